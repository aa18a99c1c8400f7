//! Who may ask for what, and whose tokens are whose.

use std::collections::BTreeSet;

use huidu_core::{
    authority::{Role, authorise},
    catalogue::Catalogue,
    command::Command,
    credential::Expiry,
    digest::Digest,
    event::Actor,
    version::Review,
};

use crate::{commands::table, world::*};

/// One of each role, and its letter.
pub(crate) const PEOPLE: [(&str, &str); 7] = [
    ("root", "A"),
    ("maya", "M"),
    ("sven", "S"),
    ("rui", "R"),
    ("sec", "Y"),
    ("ping", "P"),
    ("audrey", "U"),
];

#[test]
fn who_leaves_or_changes_roles_loses_its_tokens() {
    let mut world = World::new(Review::Required);
    world.no(
        "root",
        Command::AddToken {
            id: "x".into(),
            sha256: Digest::of(b"x"),
            role: Role::Admin,
            note: String::new(),
            member: Some("rui".parse().unwrap()),
            expires: Expiry::Usual,
            scopes: BTreeSet::new(),
        },
        "member `rui` is a reviewer; give the token that role, or change the member's first",
    );
    world.ok("root", add_token("rui-2", "rui"));
    let tokens = |world: &World| world.catalogue.tokens.len();
    let before = tokens(&world);
    world.ok("root", put_member("rui", Role::Auditor));
    assert_eq!(tokens(&world), before - 2);
    let remove = |name: &str| Command::RemoveMember {
        member: name.parse().unwrap(),
    };
    world.ok("sec", remove("rosa"));
    assert_eq!(tokens(&world), before - 3);
    world.no(
        "sec",
        remove("rosa"),
        "there is no member `rosa`; `huidu member list` shows them",
    );

    world.ok("root", put_member("ada", Role::Admin));
    world.ok("root", add_token("ada", "ada"));
    world.ok("ada", Command::RevokeToken { id: "root".into() });
    world.no(
        "sec",
        remove("ada"),
        "revoking the last admin token is limited to 0; add another admin token first",
    );
}

/// Who may ask for what.
#[test]
fn every_role_may_ask_for_exactly_this() {
    let catalogue = Catalogue::default();
    for (command, expected, _) in table() {
        let may = |name: &str| {
            let actor = Actor {
                id: name.into(),
                role: role(name),
            };
            authorise(command.clone(), &actor, &catalogue, NOON).is_ok()
        };
        let allowed: Vec<_> = PEOPLE
            .iter()
            .filter(|(name, _)| may(name))
            .map(|(_, letter)| *letter)
            .collect();
        assert_eq!(allowed.join(","), expected, "{}", command.verb());
    }
}
