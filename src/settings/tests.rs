//! Settings as operators type them, rightly and wrongly.

use super::*;

fn from_file(text: &str) -> Sources {
    Sources {
        file: Some(("huidu.toml".into(), text.to_owned())),
        ..Sources::default()
    }
}

fn env(name: &str, value: &str) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

#[test]
fn nothing_typed_is_one_node_with_a_directory() {
    let settings = Settings::read(&Sources::default()).unwrap();
    assert!(
        matches!(&settings.store, StoreSettings::Fs { path } if path == &PathBuf::from("huidu-data/store"))
    );
    assert!(matches!(settings.bus, BusSettings::Local));
    assert_eq!(settings.review, Review::Required);
    assert!(settings.device.listen.ip().is_loopback());
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let mut sources =
        from_file("audience = \"a/file\"\n[log]\nlevel = \"warn\"\n[node]\nname = \"from-file\"\n");
    sources.env = vec![
        env("HUIDU_AUDIENCE", "a/env"),
        env("HUIDU_LOG__LEVEL", "debug"),
        env("PATH", "/bin"),
    ];
    sources.flags = vec![FlagValue {
        flag: "--set".into(),
        key: "audience".into(),
        value: "a/flag".into(),
    }];
    let settings = Settings::read(&sources).unwrap();
    assert_eq!(settings.audience, "a/flag");
    assert_eq!(settings.log.level, "debug");
    assert_eq!(settings.node.name, "from-file");
}

#[test]
fn everything_wrong_is_told_at_once_each_with_its_place() {
    let mut sources = from_file(
        "dta_dir = \"x\"\n[device]\nlisten = \"8080\"\nlease = 60\n[bundles]\npacked_max = \"1 GiB\"\n[stroe]\nkind = \"s3\"\n",
    );
    sources.env = vec![env("HUIDU_BUS__KIND", "kafka"), env("HUIDU_BUCKET", "b")];
    sources.flags = vec![FlagValue {
        flag: "--review".into(),
        key: "review".into(),
        value: "maybe".into(),
    }];
    let error = Settings::read(&sources).unwrap_err().to_string();
    insta::assert_snapshot!(error, @r#"
    8 settings are wrong
      huidu.toml:1: `dta_dir`: there is no such setting; did you mean `data_dir`?
      huidu.toml:7: `stroe.kind`: there is no such setting; did you mean `store.kind`?
      environment variable HUIDU_BUCKET: `bucket`: there is no such setting; did you mean `store.bucket`?
      flag --review: `review` = `maybe`: write one of required, skipped
      huidu.toml:3: `device.listen` = `8080`: write an address and a port, such as "127.0.0.1:8080" or "[::]:8080"
      huidu.toml:4: `device.lease` = `60`: write a duration with its unit, such as "250ms", "10s", "15m", "2h" or "7d"
      environment variable HUIDU_BUS__KIND: `bus.kind` = `kafka`: write one of local, redis
      huidu.toml:6: `bundles.packed_max` = `1 GiB`: is out of range; write 1 B to 200 MiB
    "#);
}

#[test]
fn an_s3_without_its_parts_says_which() {
    let error = Settings::read(&from_file(
        "store.kind = \"s3\"\nstore.endpoints = [\"http://a:1\", \"b:2\"]\n",
    ))
    .unwrap_err()
    .to_string();
    insta::assert_snapshot!(error, @"
    4 settings are wrong
      huidu.toml:2: `store.endpoints` = `http://a:1,b:2`: write an address that begins with http:// or https://
      not set: `store.bucket`: `store.kind` is s3 and this is not set; name the bucket
      not set: `store.access_key`: `store.kind` is s3 and this is not set; name the access key
      not set: `store.secret_key`: `store.kind` is s3 and this is not set; give the secret key by HUIDU_STORE__SECRET_KEY or by `store.secret_key_file`
    ");
}

#[test]
fn a_file_that_is_no_toml_names_the_line() {
    let error = Settings::read(&from_file("audience = \"a/b\"\n[store\nkind = 1\n")).unwrap_err();
    assert!(
        matches!(&error.problems[0].origin, Origin::File { line: 2, .. }),
        "{error}"
    );
}

#[test]
fn secrets_are_not_printed() {
    let mut sources = from_file(
        "store.kind = \"s3\"\nstore.endpoints = \"http://a:1\"\nstore.bucket = \"huidu\"\nstore.access_key = \"me\"\nbus.kind = \"redis\"\n",
    );
    sources.env = vec![
        env("HUIDU_STORE__SECRET_KEY", "hunter2"),
        env("HUIDU_BUS__URL", "redis://:hunter2@cache:6379"),
    ];
    let settings = Settings::read(&sources).unwrap();
    assert!(!format!("{settings:?}").contains("hunter2"));
    sources.env[1].1 = "http://:hunter2@cache".into();
    let error = Settings::read(&sources).unwrap_err();
    assert!(!error.to_string().contains("hunter2"), "{error}");
}

#[test]
fn the_address_of_a_redis_may_lie_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bus-url");
    let text = format!("[bus]\nkind = \"redis\"\nurl_file = {file:?}\n");
    let told = || Settings::read(&from_file(&text)).unwrap_err();
    assert_eq!(told().problems.len(), 1, "{}", told());
    assert!(told().to_string().contains("cannot be read"), "{}", told());
    fs::write(&file, "http://:hunter2@cache\n").unwrap();
    assert!(told().to_string().contains("write redis://host:port"));
    assert!(!told().to_string().contains("hunter2"), "{}", told());
    fs::write(&file, "redis://:hunter2@cache:6379\n").unwrap();
    let settings = Settings::read(&from_file(&text)).unwrap();
    let BusSettings::Redis { url } = settings.bus else {
        panic!("no redis")
    };
    assert_eq!(url.expose(), "redis://:hunter2@cache:6379");
}

#[test]
fn the_commented_example_names_every_setting_with_its_default() {
    let text = include_str!("../../deploy/huidu.toml");
    let file: toml::Table = text.parse().unwrap();
    let mut typed = Vec::new();
    leaves("", &file, &mut typed);
    let written: Vec<(&str, &str)> = typed
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    let known: Vec<(&str, &str)> = KEYS.iter().map(|key| (key.path, key.default)).collect();
    let sorted = |mut pairs: Vec<(&'static str, &'static str)>| {
        pairs.sort_unstable();
        pairs
    };
    let mut written_sorted = written.clone();
    written_sorted.sort_unstable();
    assert_eq!(written_sorted, sorted(known));
    Settings::read(&from_file(text)).unwrap();
    for line in text.lines().filter(|line| line.contains(" = ")) {
        let above = text
            .split(line)
            .next()
            .unwrap()
            .trim_end()
            .lines()
            .next_back();
        assert!(
            line.starts_with('#') || above.is_some_and(|l| l.starts_with('#')),
            "`{line}` has no comment above it"
        );
    }
}

fn leaves(above: &str, table: &toml::Table, into: &mut Vec<(String, String)>) {
    for (name, value) in table {
        let path = format!("{above}{name}");
        match value {
            toml::Value::Table(below) => leaves(&format!("{path}."), below, into),
            toml::Value::String(text) => into.push((path, text.clone())),
            toml::Value::Array(values) if values.is_empty() => into.push((path, String::new())),
            other => into.push((path, other.to_string())),
        }
    }
}

#[test]
fn sign_in_is_off_until_a_provider_is_named_and_then_whole() {
    assert!(
        Settings::read(&Sources::default())
            .unwrap()
            .signin
            .is_none()
    );
    let told = |text: &str| Settings::read(&from_file(text)).unwrap_err().to_string();
    insta::assert_snapshot!(told("[signin]\nissuer = \"http://id.bank\"\nscopes = \"email\"\nrequired = \"yes\"\nsession_idle = \"1s\"\n"), @r"
    6 settings are wrong
      huidu.toml:2: `signin.issuer` = `http://id.bank`: plain http is for loopback alone; write https://
      huidu.toml:5: `signin.session_idle` = `1s`: is out of range; write 60s to 86400s
      huidu.toml:3: `signin.scopes` = `email`: write `openid`, and others behind it with a space between
      huidu.toml:4: `signin.required` = `yes`: write one of auto, false, true
      not set: `signin.client_id`: name what the identity provider calls this installation
      not set: `control.public_address`: people sign in, and the provider must lead them back; write the address that their browsers use
    ");
    insta::assert_snapshot!(told("[signin]\nclient_id = \"huidu\"\n"), @r"
    1 setting is wrong
      not set: `signin.issuer`: sign-in is set up and this is not; name the identity provider
    ");
    insta::assert_snapshot!(told("[control]\npublic_address = \"https://huidu.bank/console\"\n[signin]\nissuer = \"https://id.bank\"\nclient_id = \"huidu\"\n"), @r"
    1 setting is wrong
      huidu.toml:2: `control.public_address` = `https://huidu.bank/console`: people sign in, and cookies are for a whole host; leave the path out
    ");
    let mut sources = from_file(
        "[control]\npublic_address = \"https://huidu.bank/\"\n[signin]\nissuer = \"https://id.bank/realms/staff\"\nclient_id = \"huidu\"\n",
    );
    sources.env = vec![env("HUIDU_SIGNIN__CLIENT_SECRET", "hush")];
    let settings = Settings::read(&sources).unwrap();
    assert!(!format!("{settings:?}").contains("hush"));
    let signin = settings.signin.unwrap();
    assert_eq!(signin.home.origin(), "https://huidu.bank");
    assert_eq!(signin.issuer.as_str(), "https://id.bank/realms/staff");
    assert_eq!(signin.client_secret.unwrap().expose(), "hush");
    assert_eq!(signin.required, Required::ForCustomers);
}

/// What stands under `[[webhook]]` in the commented example.
fn example_of_a_webhook(secret_file: &std::path::Path) -> String {
    let text = include_str!("../../deploy/huidu.toml");
    let (_, example) = text.split_once("# [[webhook]]").unwrap();
    let lines = example.lines().map(|line| line.trim_start_matches("# "));
    let lines: Vec<&str> = lines.filter(|line| line.contains(" = ")).collect();
    let example = format!("[[webhook]]\n{}\n", lines.join("\n"));
    example.replace(
        "/etc/huidu/secrets/pager",
        &secret_file.display().to_string(),
    )
}

#[test]
fn the_commented_example_of_a_webhook_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("pager");
    fs::write(&file, format!("{}\n{}\n", "n".repeat(32), "o".repeat(64))).unwrap();
    let settings = Settings::read(&from_file(&example_of_a_webhook(&file))).unwrap();
    let [webhook] = &settings.webhooks[..] else {
        panic!("{:?}", settings.webhooks)
    };
    assert_eq!((webhook.name.as_str(), webhook.private), ("pager", false));
    assert_eq!(webhook.address.as_str(), "https://hooks.bank.example/huidu");
    let topics: Vec<&str> = webhook.topics.iter().map(|topic| topic.word()).collect();
    assert_eq!(topics, ["kill", "guard.roll-back", "guard.kill"]);
    assert_eq!(webhook.secrets[1].expose(), "o".repeat(64));
    assert!(!format!("{settings:?}").contains("ooo"));
    assert!(webhook.ca_file.is_some());
    // Of all events, where none is named; nobody without the table.
    let short = format!(
        "[[webhook]]\nname = \"a\"\naddress = \"http://127.0.0.1:9/x?room=7\"\nsecret_file = {file:?}\n"
    );
    let settings = Settings::read(&from_file(&short)).unwrap();
    assert_eq!(settings.webhooks[0].topics.len(), 6);
    assert!(
        Settings::read(&Sources::default())
            .unwrap()
            .webhooks
            .is_empty()
    );
}

#[test]
fn everything_wrong_with_webhooks_is_told_and_no_address_is_repeated() {
    let dir = tempfile::tempdir().unwrap();
    let weak = dir.path().join("weak");
    fs::write(&weak, "hunter2\n").unwrap();
    let text = format!(
        "[[webhook]]\nname = \"Pager\"\naddress = \"http://hooks.example/T0KEN\"\nsecret_file = {weak:?}\nevents = [\"kil\"]\nprivate = \"perhaps\"\ncolour = 1\n"
    );
    let error = Settings::read(&from_file(&text)).unwrap_err().to_string();
    assert!(
        !error.contains("T0KEN") && !error.contains("hunter2"),
        "{error}"
    );
    insta::assert_snapshot!(error, @r"
    6 settings are wrong
      huidu.toml:7: `webhook.colour`: there is no such setting; write one of name, address, secret_file, events, private, ca_file
      huidu.toml:2: `webhook.name`: use 1 to 63 of a-z 0-9 . _ - beginning with a letter or digit
      huidu.toml:3: `webhook.address`: plain http is for loopback alone; write https://
      huidu.toml:4: `webhook.secret_file`: holds no secret, or a weak one; write one of 32 to 256 characters, or two, the newest first, each on a line of its own
      huidu.toml:5: `webhook.events`: write a list of kill, unkill, guard.note, guard.hold, guard.roll-back, guard.kill; leave it out for all of them
      huidu.toml:6: `webhook.private`: write true or false
    ");
    let twice = "[[webhook]]\nname = \"a\"\n[[webhook]]\nname = \"a\"\n";
    let error = Settings::read(&from_file(twice)).unwrap_err().to_string();
    assert!(error.contains("`webhook.address`: is not set"), "{error}");
    // The environment lists none.
    let sources = Sources {
        env: vec![env("HUIDU_WEBHOOK__NAME", "a")],
        ..Sources::default()
    };
    assert!(Settings::read(&sources).is_err());
}
