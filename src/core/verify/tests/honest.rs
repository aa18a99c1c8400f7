//! What an honest device makes of honest answers, and what it still knows after its battery died.

use super::world::{APP, ASOF_MS, Case, LEASE_MS, app, archive, keyring, policy, signed};
use crate::{
    binding::{Cohort, Whom},
    bucket::{self, Salt},
    judge::Strict,
    keyring::{Guard, Trust},
    manifest::{self, OnStale},
    policy::Standing,
    time::Timestamp,
    verify::{Challenge, Doubt, Need, Now, Papers, Start, State, Verdict},
};

fn permissions(verdict: &Verdict) -> Vec<String> {
    let Verdict::Run(run) = verdict else {
        panic!("{verdict:?}");
    };
    run.permissions.iter().map(ToString::to_string).collect()
}

#[test]
fn an_honest_answer_runs_after_its_papers_were_fetched() {
    let case = Case::honest();
    let (header, body) = (case.header(), case.body_bytes());
    let answer = crate::verify::Answer {
        app: &case.asked,
        stamp: &header,
        body: Some(&body),
        challenge: None,
    };
    let hear =
        |state: State, papers: &Papers<'_>| state.hear(&case.bearer(), &answer, papers, case.now);
    let mut papers = Papers::default();
    let (state, verdict) = hear(case.state.clone(), &papers);
    assert_eq!(verdict, Verdict::Needs(Need::Policy(app(APP), 3)));
    let policy = case.policy_bytes();
    papers.policy = Some(&policy);
    let (state, verdict) = hear(state, &papers);
    assert!(
        matches!(verdict, Verdict::Needs(Need::Release(..))),
        "{verdict:?}"
    );
    let release = case.release_bytes();
    papers.release = Some(&release);
    let (state, verdict) = hear(state, &papers);
    assert_eq!(permissions(&verdict), ["camera"]);
    // The second time nothing needs to be fetched.
    let (state, verdict) = hear(state, &Papers::default());
    assert_eq!(permissions(&verdict), ["camera"]);
    assert_eq!(state.start(&case.asked, case.now), Start::Nothing);
    let state = state.activated(&case.asked);
    let Start::Run {
        bundle, is_fresh, ..
    } = state.start(&case.asked, case.now)
    else {
        panic!("it was installed");
    };
    assert_eq!((bundle, is_fresh), (archive("travel 2.1.0"), true));
}

#[test]
fn an_answer_to_ones_own_challenge_runs() {
    let mut case = Case::honest();
    case.is_challenge = true;
    case.challenge = Some(Challenge {
        nonce: [9; 32],
        request: crate::digest::Digest::of(b"GET"),
    });
    assert_eq!(permissions(&case.play(&Strict).1), ["camera"]);
}

#[test]
fn nothing_new_renews_the_lease_and_nothing_else() {
    let mut first = Case::honest();
    first.policy.on_stale = OnStale::Block;
    let state = first.heard().activated(&first.asked);
    let mut again = first.clone();
    again.state = state;
    again.sends_body = false;
    again.asof_ms += 300_000;
    again.later(300_000);
    let (state, verdict) = again.play(&Strict);
    assert_eq!(permissions(&verdict), ["camera"]);
    let at = |mono_ms| Now {
        mono_ms,
        ..again.now
    };
    let end = again.now.mono_ms + u64::from(LEASE_MS);
    assert!(matches!(
        state.start(&first.asked, at(end - 1)),
        Start::Run { .. }
    ));
    assert_eq!(state.start(&first.asked, at(end)), Start::Stale);
    // For somebody who never heard the body it means nothing.
    let mut stranger = again;
    stranger.state = Case::honest().state;
    assert_eq!(stranger.play(&Strict).1, Verdict::Doubted(Doubt::Body));
}

#[test]
fn none_takes_the_offer_away_and_lets_go_on_what_runs() {
    let case = Case::honest();
    let state = case.heard().activated(&case.asked);
    let mut none = Case::next(state, 8);
    none.manifest.state = manifest::State::None;
    let (state, verdict) = none.play(&Strict);
    assert_eq!(verdict, Verdict::Nothing);
    assert!(state.app(&case.asked).unwrap().offered.is_none());
    assert!(matches!(
        state.start(&case.asked, none.now),
        Start::Run { .. }
    ));
}

#[test]
fn a_kill_stops_and_only_a_later_word_brings_back() {
    for stops in [Vec::new(), vec![archive("travel 2.1.0")]] {
        let case = Case::honest();
        let state = case.heard().activated(&case.asked);
        let mut kill = Case::next(state, 8);
        kill.manifest.state = manifest::State::Killed;
        kill.manifest.binding.stops.clone_from(&stops);
        let (state, verdict) = kill.play(&Strict);
        assert_eq!(verdict, Verdict::Stop);
        assert_eq!(state.start(&case.asked, kill.now), Start::Nothing);
        // Before it is acted on it is kept: the same after the battery died.
        let kept = serde_json::to_string(&state).unwrap();
        let state: State = serde_json::from_str(&kept).unwrap();
        let mut back = Case::next(state.clone(), 8);
        back.asof_ms += 5;
        let doubted = Verdict::Doubted(Doubt::Equivocation);
        assert_eq!(back.play(&Strict).1, doubted);
        let back = Case::next(state, 9);
        let (state, verdict) = back.play(&Strict);
        assert_eq!(permissions(&verdict), ["camera"]);
        let state = state.activated(&case.asked);
        assert!(matches!(
            state.start(&case.asked, back.now),
            Start::Run { .. }
        ));
    }
}

#[test]
fn a_kill_of_another_archive_leaves_this_one_running() {
    let case = Case::honest();
    let state = case.heard().activated(&case.asked);
    let mut kill = Case::next(state, 8);
    kill.manifest.state = manifest::State::Killed;
    kill.manifest.binding.stops = vec![archive("travel 2.0.0")];
    let (state, verdict) = kill.play(&Strict);
    assert_eq!(verdict, Verdict::Nothing);
    assert!(matches!(
        state.start(&case.asked, kill.now),
        Start::Run { .. }
    ));
}

#[test]
fn what_was_taken_back_live_is_not_permitted_whatever_was_granted() {
    let mut case = Case::honest();
    case.manifest.permissions = vec!["camera".parse().unwrap(), "location".parse().unwrap()];
    assert_eq!(permissions(&case.play(&Strict).1), ["camera", "location"]);
    case.manifest.revoked = vec!["location".parse().unwrap()];
    assert_eq!(permissions(&case.play(&Strict).1), ["camera"]);
}

#[test]
fn a_cohort_admits_its_own() {
    let mut case = Case::honest();
    let salt = Salt::new("travel.main").unwrap();
    let mine = bucket::fine(salt.as_str(), case.unit).get();
    case.manifest.binding.whom = Some(Whom {
        hosts: vec!["bank".parse().unwrap()],
        platforms: vec!["android".parse().unwrap()],
        host_version: Some(">=8.0".parse().unwrap()),
        cohorts: vec![Cohort {
            salt,
            fine: vec![(mine, mine + 1)],
        }],
        arm: None,
    });
    assert_eq!(permissions(&case.play(&Strict).1), ["camera"]);
    let mut other = case;
    other.unit = "d-1043";
    assert_eq!(other.play(&Strict).1, Verdict::Doubted(Doubt::NotForMe));
}

#[test]
fn a_managed_rollback_needs_nobody_to_sign_again() {
    let state = Case::honest().heard();
    let mut back = Case::next(state, 8);
    // An earlier release, still at or above the floor, chosen by a newer revision.
    back.release.seq = 4;
    back.release.version = "2.0.0".parse().unwrap();
    back.release.bundle.sha256 = archive("travel 2.0.0");
    back.manifest.version = Some("2.0.0".parse().unwrap());
    back.manifest.bundle.as_mut().unwrap().sha256 = archive("travel 2.0.0");
    assert_eq!(permissions(&back.play(&Strict).1), ["camera"]);
}

#[test]
fn a_hard_delisting_stops_without_any_server() {
    let case = Case::honest();
    let state = case.heard().activated(&case.asked);
    let mut last = policy();
    last.version = 4;
    last.state = Standing::Delisted;
    let few = signed(&last, &case.policy_by[..1]);
    let (state, verdict) = state.hear_policy(&case.asked, &few);
    assert_eq!(verdict, Verdict::Doubted(Doubt::Paper));
    let (state, verdict) = state.hear_policy(&case.asked, &signed(&last, &case.policy_by));
    assert_eq!(verdict, Verdict::Stop);
    assert_eq!(state.start(&case.asked, case.now), Start::Forbidden);
    // The policy from before changes nothing, and no server brings the app back.
    let (state, verdict) = state.hear_policy(&case.asked, &case.policy_bytes());
    assert_eq!(verdict, Verdict::Doubted(Doubt::PolicyRollback));
    let next = Case::next(state, 9);
    assert_eq!(next.play(&Strict).1, Verdict::Doubted(Doubt::Policy));
}

#[test]
fn a_policy_counts_even_where_the_answer_that_led_to_it_does_not() {
    let case = Case::honest();
    let state = case.heard().activated(&case.asked);
    let mut next = Case::next(state, 8);
    next.policy.version = 4;
    next.policy.floor_seq = 6;
    next.policy_named = Some(4);
    let (state, verdict) = next.play(&Strict);
    assert_eq!(verdict, Verdict::Stop);
    assert_eq!(state.start(&case.asked, next.now), Start::Forbidden);
}

#[test]
fn a_test_device_tries_a_version_under_review_in_its_sandbox() {
    let mut case = Case::honest();
    case.on_trial();
    assert_eq!(case.play(&Strict).1, Verdict::Doubted(Doubt::NoRelease));
    case.test_device();
    assert_eq!(permissions(&case.play(&Strict).1), ["camera"]);
    // The floor counts numbers that it does not have; all else of the policy holds.
    let state = case.heard().activated(&case.asked);
    assert!(matches!(
        state.start(&case.asked, case.now),
        Start::Run { .. }
    ));
    let mut last = policy();
    last.version = 4;
    last.revoked.push(archive("travel 2.1.0"));
    last.revoked.sort_unstable();
    let (state, verdict) = state.hear_policy(&case.asked, &signed(&last, &case.policy_by));
    assert_eq!(verdict, Verdict::Stop);
    assert_eq!(state.start(&case.asked, case.now), Start::Forbidden);
    // What is not on trial needs its papers on a test device too, and gets by with them.
    let mut listed = Case::honest();
    listed.test_device();
    assert_eq!(permissions(&listed.play(&Strict).1), ["camera"]);
}

#[test]
fn of_two_answers_of_one_revision_the_kill_counts_and_two_histories_are_told() {
    for stops in [Vec::new(), vec![archive("travel 2.1.0")]] {
        let case = Case::honest();
        let state = case.heard().activated(&case.asked);
        let mut kill = case.clone();
        kill.state = state;
        kill.manifest.state = manifest::State::Killed;
        kill.manifest.binding.stops.clone_from(&stops);
        // From a node that looked earlier: a kill is obeyed all the same.
        kill.asof_ms -= 1_000;
        let (state, verdict) = kill.play(&Strict);
        assert_eq!(verdict, Verdict::Stop, "{stops:?}");
        let heard = state.app(&case.asked).unwrap().heard.as_ref().unwrap();
        assert_eq!(heard.equivocal, stops.is_empty());
        assert_eq!(heard.asof, Timestamp::from_unix_ms(case.asof_ms));
        // And what it stopped stays stopped at that revision, however late it is said to be offered.
        let mut back = case.clone();
        back.state = state;
        back.asof_ms += 60_000;
        let (state, verdict) = back.play(&Strict);
        assert_eq!(verdict, Verdict::Doubted(Doubt::Equivocation));
        assert_eq!(state.start(&case.asked, back.now), Start::Nothing);
    }
}

#[test]
fn one_revision_says_different_things_to_different_devices_but_not_of_one_version() {
    let case = Case::honest();
    let mut again = case.clone();
    again.state = case.heard();
    again.asof_ms += 1_000;
    let mut other_rule = again.clone();
    other_rule.manifest.rule = Some("main".parse().unwrap());
    let mut other_version = again.clone();
    other_version.release.version = "2.2.0".parse().unwrap();
    other_version.manifest.version = Some("2.2.0".parse().unwrap());
    other_version.release.bundle.sha256 = archive("travel 2.2.0");
    other_version.manifest.bundle.as_mut().unwrap().sha256 = archive("travel 2.2.0");
    let mut permitted = again.clone();
    permitted.manifest.permissions = Vec::new();
    let mut rebuilt = again.clone();
    rebuilt.release.bundle.sha256 = archive("travel 2.1.0 again");
    rebuilt.manifest.bundle.as_mut().unwrap().sha256 = archive("travel 2.1.0 again");
    let mut policy = again.clone();
    policy.policy.version = 4;
    policy.policy_named = Some(4);
    for (name, told, expected) in [
        ("the same", &again, false),
        ("another rule", &other_rule, false),
        ("another version", &other_version, false),
        ("the same version, permitted less", &permitted, true),
        ("the same version, other bytes", &rebuilt, true),
        ("another policy", &policy, true),
    ] {
        let heard = told.heard().app(&case.asked).unwrap().heard.clone();
        assert_eq!(heard.unwrap().equivocal, expected, "{name}");
    }
    // Of the next revision nothing is known yet.
    let next = Case::next(permitted.heard(), 8).heard();
    assert!(
        !next
            .app(&case.asked)
            .unwrap()
            .heard
            .as_ref()
            .unwrap()
            .equivocal
    );
}

#[test]
fn a_node_that_lags_is_told_from_one_that_lies() {
    let state = Case::next(Case::honest().state, 9).heard();
    let mut lags = Case::next(state, 8);
    lags.asof_ms += 60_000;
    assert_eq!(lags.play(&Strict).1, Verdict::Doubted(Doubt::StaleNode));
}

#[test]
fn a_lease_is_counted_on_a_clock_nobody_can_set() {
    let mut case = Case::honest();
    case.policy.on_stale = OnStale::Block;
    let state = case.heard().activated(&case.asked);
    let start = |wall_ms: i64, mono_ms: u64, boot: u64| {
        let wall = (ASOF_MS + 1_000).saturating_add_signed(wall_ms);
        let now = Now {
            wall: Timestamp::from_unix_ms(wall),
            mono_ms: case.now.mono_ms + mono_ms,
            boot,
        };
        matches!(state.start(&case.asked, now), Start::Run { .. })
    };
    let lease = u64::from(LEASE_MS);
    for (name, runs, wall_ms, mono_ms, boot) in [
        ("at once", true, 0, 0, 1),
        ("to the end", true, 0, lease - 1, 1),
        ("and no longer", false, 0, lease, 1),
        (
            "with the clock set back a day",
            false,
            -86_400_000,
            lease,
            1,
        ),
        ("with the clock set forward", true, 86_400_000, lease - 1, 1),
        ("after a restart, by the clock", true, 10_000, 5, 2),
        ("after a restart, too late", false, 600_000, 5, 2),
        (
            "after a restart, with the clock set back",
            false,
            -86_400_000,
            5,
            2,
        ),
    ] {
        assert_eq!(start(wall_ms, mono_ms, boot), runs, "{name}");
    }
}

#[test]
fn a_grace_prolongs_what_must_not_be_stale() {
    let mut case = Case::honest();
    case.policy.on_stale = OnStale::Block;
    case.policy.stale_grace_s = 60;
    let state = case.heard().activated(&case.asked);
    let at = |mono_ms| Now {
        mono_ms: case.now.mono_ms + mono_ms,
        ..case.now
    };
    let end = u64::from(LEASE_MS) + 60_000;
    let start = |ms| state.start(&case.asked, at(ms));
    assert!(matches!(
        start(end - 1),
        Start::Run {
            is_fresh: false,
            ..
        }
    ));
    assert_eq!(start(end), Start::Stale);
    // Where the bank chose to go on, it goes on, and says so.
    let free = Case::honest().heard().activated(&case.asked);
    let late = free.start(&case.asked, at(end * 100));
    assert!(matches!(
        late,
        Start::Run {
            is_fresh: false,
            ..
        }
    ));
}

#[test]
fn everything_a_device_knows_survives_its_battery() {
    let case = Case::honest();
    let state = case.heard().activated(&case.asked);
    let text = serde_json::to_string(&state).unwrap();
    assert_eq!(serde_json::from_str::<State>(&text).unwrap(), state);
}

#[test]
fn papers_may_be_missing_between_developers_alone() {
    let mut dev = keyring();
    dev.trust = Trust::Dev;
    for (trust, guard, runs) in [
        (Trust::Dev, Guard::Development, true),
        (Trust::Dev, Guard::Production, false),
        (Trust::Prod, Guard::Development, false),
        (Trust::Prod, Guard::Production, false),
    ] {
        let mut case = Case::honest();
        dev.trust = trust;
        case.state = State::new(dev.clone(), guard, Timestamp::from_unix_ms(ASOF_MS));
        (case.release_named, case.policy_named) = (Some(None), None);
        let verdict = case.play(&Strict).1;
        assert_eq!(
            matches!(verdict, Verdict::Run(_)),
            runs,
            "{trust:?} {guard:?} {verdict:?}"
        );
    }
}
