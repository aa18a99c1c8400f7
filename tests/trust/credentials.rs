//! Credentials that expire and credentials that are narrowed: nothing is let through by either, whoever asks
//! and whoever wrote it into the ledger.

use std::collections::BTreeSet;

use huidu_core::{
    authority::{Forbidden, Role, authorise},
    catalogue::{Catalogue, Token},
    command::Command,
    credential::{Expiry, Scope},
    digest::Digest,
    event::{Actor, Event},
    eyes::{EyesPolicy, Kind, Requirement},
    limits,
    revision::Revision,
    time::Timestamp,
    validity::{self, Invalid},
    version::Review,
};

use crate::{commands::table, people::PEOPLE, world::*};

const DAY: u64 = 86_400_000;

fn narrowed(role: Role, scopes: &[Scope]) -> Catalogue {
    let token = Token {
        sha256: Digest::of(b"t"),
        role,
        note: String::new(),
        member: None,
        expires: None,
        scopes: scopes.iter().copied().collect(),
    };
    let mut catalogue = Catalogue::default();
    catalogue.tokens.insert("t".into(), token);
    catalogue
}

fn given(expires: Expiry, scopes: &[Scope]) -> Command {
    Command::AddToken {
        id: "new".into(),
        sha256: Digest::of(b"new"),
        role: Role::ReleaseManager,
        note: String::new(),
        member: None,
        expires,
        scopes: scopes.iter().copied().collect(),
    }
}

/// Every command, every role, every scope alone, all but one and none: a credential has what its role and its
/// scopes both include, never more.
#[test]
fn a_credential_may_what_its_role_and_a_scope_of_it_include() {
    let mut asked = 0;
    for (name, letter) in PEOPLE {
        let actor = Actor {
            id: "t".into(),
            role: role(name),
        };
        for scope in Scope::ALL {
            let alone = narrowed(actor.role.clone(), &[scope]);
            let others: Vec<_> = Scope::ALL.into_iter().filter(|one| *one != scope).collect();
            let all_but = narrowed(actor.role.clone(), &others);
            for (command, roles, scopes) in table() {
                let by_role = roles.split(',').any(|one| one == letter);
                let needed: Vec<_> = scopes.split(',').collect();
                // A token that is wider than the one it is given out by needs more than the scope.
                let widens = matches!(command, Command::AddToken { .. });
                let may = |catalogue: &Catalogue| {
                    authorise(command.clone(), &actor, catalogue, NOON).is_ok()
                };
                let verb = command.verb();
                let within = needed.contains(&scope.word());
                assert_eq!(
                    may(&alone),
                    by_role && within && !widens,
                    "{name} {} {verb}",
                    scope.word()
                );
                let left = needed
                    .iter()
                    .any(|one| others.iter().any(|other| other.word() == *one));
                assert_eq!(
                    may(&all_but),
                    by_role && left && !widens,
                    "{name} without {} {verb}",
                    scope.word()
                );
                assert_eq!(may(&narrowed(actor.role.clone(), &[])), by_role, "{verb}");
                asked += 3;
            }
        }
    }
    println!("figure: commands by role and scope {asked} as their table says");
    assert!(asked > 10_000, "{asked}");
}

#[test]
fn what_is_outside_its_scopes_is_told_with_the_scope_it_takes() {
    let catalogue = narrowed(Role::ReleaseManager, &[Scope::Read, Scope::Submit]);
    let maya = Actor {
        id: "t".into(),
        role: Role::ReleaseManager,
    };
    let told = authorise(kill("1.0.0"), &maya, &catalogue, NOON).unwrap_err();
    assert_eq!(
        told.to_string(),
        "this token's scopes do not let it kill; use one with scope `kill`, or one without scopes"
    );
}

#[test]
fn a_token_expires_by_itself_and_nobody_acts_by_it_then() {
    let mut world = World::new(Review::Required);
    world.ok("root", given(Expiry::Usual, &[]));
    let token = &world.catalogue.tokens["new"];
    let end = NOON.plus_ms(90 * DAY);
    assert_eq!(token.expires, Some(end));
    let actor = Actor {
        id: "new".into(),
        role: Role::ReleaseManager,
    };
    let last = Timestamp::from_unix_ms(end.unix_ms() - 1);
    for (now, holds) in [(NOON, true), (last, true), (end, false)] {
        let asked = authorise(list("1.0.0"), &actor, &world.catalogue, now);
        assert_eq!(asked.is_ok(), holds, "{now}");
        assert_eq!(world.catalogue.knows(&actor, now), holds);
        // Nor does what it is made to have written into the ledger by then.
        let event = Event::TenantAdded {
            tenant: "cmb".parse().unwrap(),
            title: String::new(),
        };
        let checked = validity::check(&world.catalogue, now, &actor, &[event]);
        assert_eq!(checked.is_ok(), holds, "{now}: {checked:?}");
    }
    let over = authorise(list("1.0.0"), &actor, &world.catalogue, end).unwrap_err();
    assert_eq!(over, Forbidden::Expired { at: end });
}

#[test]
fn a_token_expires_in_the_future_and_within_366_days() {
    let mut world = World::new(Review::Required);
    let told = "a token expires in the future and 366 days ahead at most; name such a time, or none for 90 days";
    for at in [NOON, NOON.plus_ms(limits::TOKEN_LONGEST_MS + 1)] {
        world.no("root", given(Expiry::At(at), &[]), told);
    }
    world.ok("root", given(Expiry::At(NOON.plus_ms(366 * DAY)), &[]));
}

#[test]
fn an_admin_whose_token_is_over_is_not_the_other_admin() {
    let mut world = World::new(Review::Required);
    let admin = Event::TokenAdded {
        id: "old".into(),
        sha256: Digest::of(b"old"),
        role: Role::Admin,
        note: String::new(),
        member: None,
        expires: Some(NOON),
        scopes: BTreeSet::new(),
    };
    let next = Revision::new(world.catalogue.revision.get() + 1);
    world.catalogue.apply(next, NOON, &[admin]);
    world.no(
        "root",
        Command::RevokeToken { id: "root".into() },
        "revoking the last admin token is limited to 0; add another admin token first",
    );
}

#[test]
fn a_forged_record_by_a_narrow_credential_does_not_count() {
    let mut world = World::new(Review::Required);
    world.ok("root", given(Expiry::Usual, &[Scope::Read, Scope::Changes]));
    let actor = Actor {
        id: "new".into(),
        role: Role::ReleaseManager,
    };
    let tenant = Event::TenantAdded {
        tenant: "cmb".parse().unwrap(),
        title: String::new(),
    };
    let checked = validity::check(&world.catalogue, NOON, &actor, &[tenant]);
    assert!(matches!(checked, Err(Invalid::Role { .. })), "{checked:?}");
}

/// An agreement that leaves others to agree is no enactment, and counts by the same rule.
#[test]
fn an_agreement_by_a_token_without_that_scope_does_not_count() {
    let mut world = World::new(Review::Required);
    let two = Requirement {
        approvals: 2,
        roles: vec![Role::Security, Role::Reviewer],
    };
    let policy = EyesPolicy {
        kinds: [(Kind::ReviewPolicy, two)].into(),
        ..EyesPolicy::default()
    };
    world.ok("sec", Command::SetEyes { policy });
    let mut narrow = add_token("rui-2", "rui");
    if let Command::AddToken { scopes, .. } = &mut narrow {
        scopes.insert(Scope::Review);
    }
    world.ok("root", narrow);
    world.ok("sec", policy_of_two());
    let (id, proposal) = world.catalogue.trust.proposals.iter().next().unwrap();
    let (id, hash) = (id.clone(), proposal.hash);
    let agreed = [Event::ProposalApproved {
        id,
        by: "member/rui".into(),
        hash: Some(hash),
    }];
    for (token, counts) in [("rui", true), ("rui-2", false)] {
        let actor = Actor {
            id: token.into(),
            role: Role::Reviewer,
        };
        let checked = validity::check(&world.catalogue, NOON, &actor, &agreed);
        assert_eq!(checked.is_ok(), counts, "{token}: {checked:?}");
    }
}

fn policy_of_two() -> Command {
    policy(2, false)
}

/// What waits is kept as it was asked for, and people agreed on its hash: neither may change.
#[test]
fn a_token_asked_for_before_there_was_an_end_has_none_and_the_same_hash() {
    let old = r#"{"add-token":{"id":"t","sha256":"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad","role":"sre","note":"","member":null}}"#;
    let command: Command = serde_json::from_str(old).unwrap();
    assert_eq!(serde_json::to_string(&command).unwrap(), old);
    let Command::AddToken {
        expires, scopes, ..
    } = command
    else {
        panic!("{old}");
    };
    assert_eq!((expires, scopes), (Expiry::Never, BTreeSet::new()));
}
