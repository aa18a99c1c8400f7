//! Versions that come with what others must give them, and approvals that nobody gave.

use huidu_core::{
    digest::Digest,
    dossier::{SignedRelease, Vote},
    event::Event,
    release::Release,
    version::{Life, Version},
};

use super::{Forged, approved, by, draft, listed, person, vote};
use crate::{signed::signed, world::*};

/// Versions that come with what others must give them.
pub(super) fn versions(world: &World) -> Vec<Forged> {
    let honest = world.version("2.0.0").clone();
    let fresh = |change: fn(&mut Version)| {
        let mut version = honest.clone();
        version.number = number("3.0.0");
        let seq = world.catalogue.apps[&app()].trust.seq + 1;
        version.dossier.change(|dossier| dossier.seq = seq);
        version.submitted_at = world.now;
        change(&mut version);
        Event::VersionSubmitted {
            app: app(),
            version,
        }
    };
    let again = |change: fn(&mut Version)| {
        let mut version = world.version("1.0.0").clone();
        change(&mut version);
        Event::VersionSubmitted {
            app: app(),
            version,
        }
    };
    let ping = || by("ping");
    vec![
        (
            "a version that comes listed",
            ping(),
            vec![fresh(|v| v.life = Life::Listed)],
        ),
        (
            "a version that comes approved",
            ping(),
            vec![fresh(|v| v.life = Life::Approved)],
        ),
        (
            "a version that comes with votes",
            ping(),
            vec![fresh(|v| {
                let votes = ["rui", "rosa"].map(|who| Vote {
                    by: person(who),
                    at: NOON,
                    signed: None,
                });
                v.dossier.change(|dossier| dossier.approvals = votes.into());
            })],
        ),
        (
            "a version that comes with its record",
            ping(),
            vec![fresh(|v| {
                let release = SignedRelease {
                    address: Digest::of(b"x"),
                    envelope: "{}".into(),
                };
                v.dossier.change(|dossier| dossier.release = Some(release));
            })],
        ),
        (
            "a version handed in by somebody else",
            ping(),
            vec![fresh(|v| {
                v.dossier
                    .change(|dossier| dossier.submitted_by = Some(person("maya")));
            })],
        ),
        (
            "a version with a number above all floors",
            ping(),
            vec![fresh(|v| {
                v.dossier.change(|dossier| dossier.seq = 1_000_000);
            })],
        ),
        (
            "a version with build metadata",
            ping(),
            vec![fresh(|v| v.number = number("3.0.0+1"))],
        ),
        (
            "another archive under a number that is listed",
            ping(),
            vec![again(|v| v.bundle.sha256 = Digest::of(b"mine"))],
        ),
        ("the same number once more", ping(), vec![again(|_| {})]),
        (
            "a version of another tenant",
            ping(),
            vec![Event::VersionSubmitted {
                app: "cmb/pay".parse().unwrap(),
                version: honest,
            }],
        ),
    ]
}

/// Approvals that nobody gave, or not for this.
pub(super) fn approvals(world: &World) -> Vec<Forged> {
    let three = draft(world, "1.3.0");
    let other = draft(world, "1.2.0");
    let whole = |record: &Release| signed(record, &[11, 12, 13]);
    let mut dear = three.clone();
    dear.permissions.push("contacts".parse().unwrap());
    let rui = || by("rui");
    vec![
        (
            "listed before it was approved",
            by("maya"),
            vec![listed("2.0.0")],
        ),
        (
            "approved with nobody's approval",
            rui(),
            vec![approved("1.3.0", Some(whole(&three)))],
        ),
        (
            "approved with the approval of somebody in the same record",
            rui(),
            vec![
                vote("2.0.0", &person("rui"), None),
                vote("2.0.0", &person("rosa"), None),
                approved("2.0.0", None),
            ],
        ),
        (
            "approved twice by one person in one record",
            rui(),
            vec![
                vote("2.0.0", &person("rui"), None),
                vote("2.0.0", &person("rui"), None),
            ],
        ),
        (
            "approved with the record of another version",
            rui(),
            vec![
                vote("1.3.0", &person("rui"), None),
                approved("1.3.0", Some(whole(&other))),
            ],
        ),
        (
            "approved with a wider record",
            rui(),
            vec![
                vote("1.3.0", &person("rui"), None),
                approved("1.3.0", Some(whole(&dear))),
            ],
        ),
        (
            "approved without a record",
            rui(),
            vec![vote("1.3.0", &person("rui"), None), approved("1.3.0", None)],
        ),
        (
            "approved by a credential that is nobody's",
            by("root"),
            vec![vote("1.3.0", "token/root", Some(&whole(&three)))],
        ),
        (
            "a vote with somebody else's paper",
            rui(),
            vec![vote("1.3.0", &person("rui"), Some(&whole(&other)))],
        ),
        (
            "a record signed again for another version",
            rui(),
            vec![Event::ReleaseSigned {
                app: app(),
                version: number("1.0.0"),
                release: whole(&other),
            }],
        ),
        (
            "a record signed again by too few",
            rui(),
            vec![Event::ReleaseSigned {
                app: app(),
                version: number("1.0.0"),
                release: signed(&draft(world, "1.0.0"), &[11]),
            }],
        ),
        (
            "a review begun in somebody's name",
            rui(),
            vec![Event::ReviewBegun {
                app: app(),
                version: number("2.0.0"),
                by: person("rosa"),
            }],
        ),
        (
            "a review begun of what is listed",
            rui(),
            vec![Event::ReviewBegun {
                app: app(),
                version: number("1.0.0"),
                by: person("rui"),
            }],
        ),
        (
            "a rejection of what is listed",
            rui(),
            vec![Event::VersionRejected {
                app: app(),
                version: number("1.0.0"),
                by: person("rui"),
                reason: "x".into(),
            }],
        ),
        (
            "a rejection in somebody's name",
            rui(),
            vec![Event::VersionRejected {
                app: app(),
                version: number("2.0.0"),
                by: person("rosa"),
                reason: "x".into(),
            }],
        ),
    ]
}
