//! The tree of verbs as a whole.

use clap::{Command, CommandFactory as _, Parser as _};

use super::{Cli, EXIT_CODES};

mod deploy;
mod docs;
mod server;

#[test]
fn the_tree_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_verb_shows_an_example() {
    fn leaves(command: &Command, path: &str, bare: &mut Vec<String>) {
        let path = format!("{path} {}", command.get_name());
        if command.has_subcommands() {
            for below in command
                .get_subcommands()
                .filter(|below| below.get_name() != "help")
            {
                leaves(below, &path, bare);
            }
        } else {
            let help = command
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            if !help.contains("Example") || !help.contains("huidu ") {
                bare.push(path);
            }
        }
    }
    let mut bare = Vec::new();
    leaves(&Cli::command(), "", &mut bare);
    assert!(bare.is_empty(), "no example: {bare:?}");
}

#[test]
fn exit_codes_are_told() {
    let help = Cli::command().render_long_help().to_string();
    assert!(help.contains(EXIT_CODES.lines().next().unwrap()));
}

#[test]
fn what_people_type_is_understood() {
    for line in [
        "huidu serve --set device.listen=127.0.0.1:0 --review skipped",
        "huidu store check --quick",
        "huidu fleet --json",
        "huidu app add pingan/travel --title 旅行",
        "huidu version submit a/b 1.0.0 b.zip --permission camera --permission scan --list",
        "huidu rollout share a/b ramp 0.000001% --why test --if-match 7",
        "huidu kill a/b --reason r --yes",
        "huidu unkill a/b 1.0.0 --reason r",
        "huidu token add partner --tenant pingan",
        "huidu rules plan rollout-rules --detailed-exitcode --json",
        "huidu rules eval f.toml --polls p.jsonl",
        "huidu device --host h --app a/b --app a/c --unit u --attr grade=gold --watch --every 1s",
        "huidu explain a/b --host h --unit u --platform android --at 2026-12-01T08:00:00+08:00",
        "huidu completions zsh",
        "huidu review approve a/b 1.0.0 --bundle ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "huidu review policy --approvals 2 --filing-required true",
        "huidu permission revoke a/b location.precise --reason r",
        "huidu member put lin reviewer --issuer https://id.bank --subject u-7",
        "huidu token add reviewer --member lin",
        "huidu trial devices a/b 1.0.0 --host retail-test --device t-1 --device t-2",
        "huidu trial invite a/b 1.0.0 --host retail-test --until 2026-12-01T18:00:00+08:00",
        "huidu audit verify /backup --root keyring-1.json --objects",
        "huidu audit show /backup --app a/b --kind killed",
        "huidu at 2026-11-24T08:00:00+08:00 explain a/b --host h --unit u --dir /backup",
        "huidu at 1207 explain a/b --host h --unit u --set store.path=/backup",
        "huidu experiment list a/b --json",
        "huidu experiment show a/b copy",
        "huidu experiment begin a/b copy design.toml --if-match 7",
        "huidu experiment export a/b --format json",
        "huidu experiment export a/b copy",
        "huidu experiment promote a/b copy one-page --reason r --anyway --yes",
        "huidu experiment end a/b copy --reason r --why w",
        "huidu rollout put a/b f.toml --redraw copy --redraw price",
        "huidu change list",
        "huidu change approve 3f0c9a1d5e7b2468 --yes",
        "huidu change withdraw 3f0c9a1d5e7b2468 --reason r",
        "huidu change policy eyes.json",
        "huidu unkill a/b 1.0.0 --reason r --enact-at 2026-12-01T08:00:00+08:00",
        "huidu keys new release-lin.key",
        "huidu keys init ceremony --audience bank/prod --root 2/3 --release 2:a.pub,b.pub",
        "huidu keys add keyring-1.json release a.pub b.pub --threshold 3 --output keyring-2.json",
        "huidu keys rotate keyring-1.json online o.pub --output keyring-2.json",
        "huidu keys show",
        "huidu keys put keyring-1.json",
        "huidu sign --key a.key --key b.key record.json",
        "huidu sign --join b.json a.json",
        "huidu policy draft a/b --floor 7 --permit camera --delist --output p.json",
        "huidu review approve a/b 1.0.0 --signed r.json",
        "huidu review approve a/b 1.0.0 --without camera --without contacts",
        "huidu review record a/b 1.0.0 --without camera --output r.json",
        "huidu review fetch a/b 1.0.0 --output b.zip",
        "huidu app internal a/b --off --reason r",
        "huidu version submit a/b 1.0.0 b.zip --platform ios --host-version >=8.2 --not-before 2026-12-01T00:00:00Z --not-after 2027-12-01T00:00:00+08:00",
        "huidu device --host h --app a/b --unit u --root keyring-1.json",
    ] {
        if let Err(error) = Cli::try_parse_from(line.split_whitespace()) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_sent() {
    for line in [
        "huidu app add travel",
        "huidu experiment promote a/b copy --reason r",
        "huidu experiment promote a/b copy one-page",
        "huidu experiment end a/b copy",
        "huidu experiment show a/b COPY",
        "huidu experiment export a/b --format xls",
        "huidu rollout share a/b ramp 101%",
        "huidu rollout share a/b ramp 5",
        "huidu version submit a/b 1.0 b.zip",
        "huidu kill a/b 1.0.0",
        "huidu token add partner",
        "huidu token add root",
        "huidu member put lin partner",
        "huidu member put lin sre --issuer https://id.bank",
        "huidu review approve a/b 1.0.0 --bundle abc",
        "huidu tenant grade pingan high",
        "huidu device --host h --unit u",
        "huidu device --host h --app a/b --unit u --once --watch",
        "huidu status --token x --token-file y",
        "huidu keys init ceremony",
        "huidu keys init ceremony --audience b/p --root 3/2",
        "huidu keys init ceremony --audience b/p --root 0:a.pub",
        "huidu keys add keyring-1.json reviewer a.pub --output k",
        "huidu keys rotate keyring-1.json release --old zz --output k",
        "huidu sign record.json",
        "huidu review approve a/b 1.0.0 --signed r.json --without camera",
        "huidu version submit a/b 1.0.0 b.zip --host-version new",
        "huidu version submit a/b 1.0.0 b.zip --not-after soon",
        "huidu policy draft a/b --delist --relist --output p.json",
        "huidu device --host h --app a/b --unit u --root k --key x",
    ] {
        assert!(
            Cli::try_parse_from(line.split_whitespace()).is_err(),
            "{line}"
        );
    }
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in [
        clap_complete::Shell::Bash,
        clap_complete::Shell::Zsh,
        clap_complete::Shell::Fish,
    ] {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "huidu", &mut text);
        assert!(String::from_utf8(text).unwrap().contains("rollout"));
    }
}
