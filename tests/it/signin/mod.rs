//! People sign in: a real provider, a real huidu, a browser, and the command line. What a lying provider can
//! try is in the control plane's own tests.

mod browser;
mod provider;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use huidu::client::control::{Ask, Content};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::server::{Backing, Cluster};
use browser::{Browser, Page};
use provider::{CLIENT_ID, CLIENT_SECRET, Provider};

struct Bank {
    cluster: Cluster,
    provider: Provider,
    home: String,
}

impl Bank {
    fn open() -> Self {
        let mut cluster = Cluster::unstarted(program(), Backing::Embedded, "");
        let home = cluster.nodes[0].control_url();
        let provider = Provider::start(&home);
        let node = &cluster.nodes[0];
        node.reroute(
            "[control]\n",
            &format!("[control]\npublic_address = \"{home}\"\n"),
        );
        node.set(&format!("[signin]\nissuer = \"{}\"\nclient_id = \"{CLIENT_ID}\"\nclient_secret = \"{CLIENT_SECRET}\"", provider.issuer));
        cluster.found();
        let bank = Self {
            cluster,
            provider,
            home,
        };
        bank.admit("lin", "security", "u-7");
        bank
    }

    fn change(&self, method: &'static str, path: &str, document: Value) {
        let control = self.cluster.control(0);
        let content = if document.is_null() {
            Content::None
        } else {
            Content::Json(document)
        };
        let ask = Ask {
            method,
            path: path.to_owned(),
            content,
            if_match: None,
        };
        control.change(&ask, &control.op(), &|_| {}).unwrap();
    }

    fn admit(&self, member: &str, role: &str, subject: &str) {
        let identity = json!({ "issuer": self.provider.issuer, "subject": subject });
        self.change(
            "PUT",
            &format!("/api/v1/members/{member}"),
            json!({ "role": role, "identity": identity }),
        );
    }

    fn at(&self, path: &str) -> String {
        format!("{}{path}", self.home)
    }

    /// Signs `who` in, from the first address to the page that answers.
    fn sign_in(&self, browser: &mut Browser, who: &str) -> Page {
        let form = browser.open(&self.at("/api/v1/signin"));
        browser.log_in(&form, who)
    }

    fn whoami(&self, browser: &mut Browser) -> Page {
        browser.open(&self.at("/api/v1/whoami"))
    }
}

fn program() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_huidu"))
}

#[test]
fn a_member_signs_in_works_by_role_and_is_out_at_once_when_let_go() {
    let bank = Bank::open();
    let mut browser = Browser::new();
    assert_eq!(bank.whoami(&mut browser).status, 401);
    let done = bank.sign_in(&mut browser, "u-7");
    assert_eq!(done.status, 200, "{done:?}");
    let me = browser.go_on(&done);
    assert_eq!(
        (me.status, &me.json()["id"], &me.json()["role"]),
        (200, &json!("member/lin"), &json!("security")),
        "{me:?}"
    );
    let session = browser.cookie("__Host-huidu").unwrap().to_owned();

    // By the member's role, and no further.
    assert_eq!(browser.open(&bank.at("/api/v1/members")).status, 200);
    let policy = |browser: &mut Browser, origin: &str| {
        browser.fetch(
            origin,
            "PUT",
            &bank.at("/api/v1/review-policy"),
            r#"{"approvals":2}"#,
        )
    };
    let hosts = browser.fetch(
        &bank.home,
        "POST",
        &bank.at("/api/v1/hosts"),
        r#"{"host":"retail"}"#,
    );
    assert_eq!(
        (hosts.status, &hosts.json()["code"]),
        (403, &json!("forbidden"))
    );
    // Not for another page: of another site the cookie stays at home, of the same host the origin tells.
    assert_eq!(
        policy(&mut browser, &bank.provider.issuer).json()["code"],
        "no-token"
    );
    assert_eq!(
        policy(&mut browser, "http://127.0.0.1:9").json()["code"],
        "cross-site"
    );
    // This provider says when only where it is asked to: what is grave takes a fresh proof.
    let put = policy(&mut browser, &bank.home);
    assert_eq!(put.json()["code"], "sign-in-again", "{put:?}");

    // The provider remembers; whoever must prove it anew is asked anew.
    let again = browser.open(&bank.at("/api/v1/signin?next=/api/v1/status"));
    assert!(again.body.contains("url=/api/v1/status"), "{again:?}");
    assert_ne!(
        browser.cookie("__Host-huidu"),
        Some(&*session),
        "another session"
    );
    let form = browser.open(&bank.at("/api/v1/signin?fresh"));
    assert!(form.address.starts_with(&bank.provider.issuer), "{form:?}");
    let done = browser.log_in(&form, "u-7");
    assert_eq!(browser.go_on(&done).json()["session"]["fresh"], true);
    let put = policy(&mut browser, &bank.home);
    assert_eq!(put.status, 200, "{put:?}");

    // Nobody whom the bank does not know.
    let mut stranger = Browser::new();
    let refused = bank.sign_in(&mut stranger, "u-8");
    assert_eq!(
        (refused.status, &refused.json()["code"]),
        (403, &json!("unknown-person"))
    );
    let told = format!("--issuer {} --subject u-8", bank.provider.issuer);
    assert!(
        refused.json()["detail"].as_str().unwrap().contains(&told),
        "{refused:?}"
    );
    assert_eq!(stranger.cookie("__Host-huidu"), None);

    // Let go: nobody at the very next request, and at the next sign-in.
    bank.change("DELETE", "/api/v1/members/lin", Value::Null);
    assert_eq!(bank.whoami(&mut browser).json()["code"], "no-member");
    let refused = browser.open(&bank.at("/api/v1/signin"));
    assert_eq!(refused.json()["code"], "unknown-person", "{refused:?}");
    // Back, and out by the own will.
    bank.admit("lin", "auditor", "u-7");
    browser.open(&bank.at("/api/v1/signin"));
    assert_eq!(bank.whoami(&mut browser).json()["role"], "auditor");
    let kept = browser.cookie("__Host-huidu").unwrap().to_owned();
    assert_eq!(
        browser
            .fetch(&bank.home, "POST", &bank.at("/api/v1/signout"), "")
            .status,
        204
    );
    assert_eq!(browser.cookie("__Host-huidu"), None);
    let copied = ureq::get(bank.at("/api/v1/whoami"))
        .header("cookie", format!("__Host-huidu={kept}"))
        .call();
    assert!(
        matches!(copied, Err(ureq::Error::StatusCode(401))),
        "a copy of the cookie is over too"
    );

    // What is secret is in no line that was logged.
    let log = bank.cluster.nodes[0].log();
    assert!(log.contains("signed in"), "{log}");
    for secret in [CLIENT_SECRET, &session, &kept, "u-7", "u-8"] {
        assert!(!log.contains(secret), "{secret} is in the log");
    }
}

#[test]
fn a_real_provider_gives_nothing_for_a_code_of_another_sign_in() {
    let bank = Bank::open();
    let callback = "/api/v1/signin/callback";
    let back = |browser: &mut Browser| {
        browser.stops_at = Some("/api/v1/signin/callback");
        let form = browser.open(&bank.at("/api/v1/signin"));
        let page = browser.log_in(&form, "u-7");
        browser.stops_at = None;
        page.address
    };
    let of = |address: &str, name: &str| {
        let query = address.split_once('?').unwrap().1.to_owned();
        let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs.find(|(key, _)| *key == name).unwrap().1.to_owned()
    };
    let (mut thief, mut victim) = (Browser::new(), Browser::new());
    let (stolen, own) = (back(&mut thief), back(&mut victim));
    let (issuer, code) = (of(&own, "iss"), of(&stolen, "code"));
    let mut refused = 0;
    // Another browser's code under the own state: made for another challenge (PKCE).
    let injected = victim.open(&bank.at(&format!(
        "{callback}?code={code}&state={}&iss={issuer}",
        of(&own, "state")
    )));
    assert_eq!(
        (injected.status, &injected.json()["code"]),
        (400, &json!("sign-in-state")),
        "{injected:?}"
    );
    assert!(
        injected.json()["detail"]
            .as_str()
            .unwrap()
            .contains("does not take the code"),
        "{injected:?}"
    );
    refused += 1;
    // The whole answer of another browser: not its state.
    let (mut thief, mut victim) = (Browser::new(), Browser::new());
    let (stolen, own) = (back(&mut thief), back(&mut victim));
    assert_eq!(victim.open(&stolen).json()["code"], "sign-in-state");
    refused += 1;
    assert_eq!(
        Browser::new().open(&own).json()["code"],
        "sign-in-state",
        "nor a browser that began nothing"
    );
    refused += 1;
    let elsewhere = own.replace(&issuer, "https%3A%2F%2Fevil.example");
    assert_eq!(
        victim.open(&elsewhere).json()["code"],
        "statement",
        "nor another provider's name"
    );
    refused += 1;
    // The own answer, once; and its code no second time under a new state.
    let own = back(&mut Browser::new());
    let mut late = Browser::new();
    assert_eq!(late.open(&own).json()["code"], "sign-in-state");
    let mut honest = Browser::new();
    let own = back(&mut honest);
    assert_eq!(honest.open(&own).status, 200);
    assert_eq!(
        honest.open(&own).json()["code"],
        "sign-in-state",
        "the answer again"
    );
    let mut other = Browser::new();
    let next = back(&mut other);
    let replayed = other.open(&next.replace(&of(&next, "code"), &of(&own, "code")));
    assert!(
        replayed.json()["detail"]
            .as_str()
            .unwrap()
            .contains("does not take the code"),
        "{replayed:?}"
    );
    assert_eq!(other.cookie("__Host-huidu"), None);
    refused += 3;
    println!("figure: sign-ins at a real provider that do not belong together {refused} refused");
}

/// `huidu` as a person types it, with a home of its own.
fn huidu(bank: &Bank, home: &TempDir, words: &[&str]) -> Command {
    let mut command = Command::new(program());
    command
        .env_clear()
        .env("HOME", home.path())
        .env("HUIDU_SERVER", &bank.home);
    command
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// Signs in by a command line and a browser beside it.
fn log_in(
    bank: &Bank,
    home: &TempDir,
    words: &[&str],
    browser: &mut Browser,
    who: &str,
) -> (Child, Page) {
    let mut login = huidu(bank, home, words).spawn().unwrap();
    let mut address = String::new();
    let mut says = BufReader::new(login.stderr.as_mut().unwrap());
    while !address.trim().starts_with("http") {
        address.clear();
        assert!(
            says.read_line(&mut address).unwrap() > 0,
            "it says no address"
        );
    }
    let form = browser.open(address.trim());
    let page = if form.body.contains("<form") {
        browser.log_in(&form, who)
    } else {
        form
    };
    (login, page)
}

#[test]
fn a_command_line_signs_in_by_a_browser_and_keeps_its_session_to_itself() {
    let bank = Bank::open();
    let home = TempDir::new().unwrap();
    let run = |words: &[&str]| huidu(&bank, &home, words).output().unwrap();
    let nobody = run(&["member", "list"]);
    assert!(
        !nobody.status.success() && said(&nobody).contains("needs a token"),
        "{}",
        said(&nobody)
    );

    let mut browser = Browser::new();
    let (mut login, page) = log_in(&bank, &home, &["login"], &mut browser, "u-7");
    assert!(
        page.address.starts_with("http://127.0.0.1:") && page.body.contains("Signed in"),
        "{page:?}"
    );
    assert_eq!(
        browser.cookie("__Host-huidu"),
        None,
        "the browser itself is not signed in"
    );
    assert!(login.wait().unwrap().success());
    let mut told = String::new();
    login
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut told)
        .unwrap();
    assert!(told.contains("signed in as `lin` until"), "{told}");

    let file = home.path().join(".config/huidu/sessions.json");
    let kept = fs::read_to_string(&file).unwrap();
    assert_eq!(
        fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let session = serde_json::from_str::<Value>(&kept).unwrap()[&bank.home]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(session.starts_with("hs_") && !told.contains(&session));
    let list = run(&["member", "list"]);
    assert!(
        list.status.success() && said(&list).contains("u-7"),
        "{}",
        said(&list)
    );
    let whoami = run(&["whoami"]);
    assert!(said(&whoami).contains("member/lin"), "{}", said(&whoami));

    // Anew, by the password: the provider remembers and asks all the same.
    let (mut login, page) = log_in(&bank, &home, &["login", "--fresh"], &mut browser, "u-7");
    assert!(page.body.contains("Signed in"), "{page:?}");
    assert!(login.wait().unwrap().success());
    assert!(
        !fs::read_to_string(&file).unwrap().contains(&session),
        "another session"
    );

    // A file that others can read is not used.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let loose = run(&["whoami"]);
    assert!(
        !loose.status.success() && said(&loose).contains("chmod 600"),
        "{}",
        said(&loose)
    );
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();

    let kept: Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
    let session = kept[&bank.home].as_str().unwrap();
    let out = run(&["logout"]);
    assert!(out.status.success(), "{}", said(&out));
    assert_eq!(fs::read_to_string(&file).unwrap().trim(), "{}");
    let over = run(&["whoami", "--token", session]);
    assert!(said(&over).contains("was ended"), "{}", said(&over));
    let nobody = run(&["whoami"]);
    assert!(said(&nobody).contains("needs a token"), "{}", said(&nobody));

    // Whoever is nobody at the bank is told so in the browser; the command line goes on waiting.
    let mut stranger = Browser::new();
    let (mut login, page) = log_in(&bank, &home, &["login"], &mut stranger, "u-8");
    assert_eq!(page.json()["code"], "unknown-person", "{page:?}");
    assert!(login.try_wait().unwrap().is_none());
    login.kill().unwrap();
    login.wait().unwrap();
}
