//! Copies of a bucket in which somebody changed something, by what they have and know.

use ed25519_dalek::SigningKey;
use huidu::{node::derived_op, store::Key};
use huidu_core::{
    authority::Role,
    catalogue::Catalogue,
    checkpoint::{Kept, pack_app, unpack_app},
    digest::Digest,
    event::{Actor, Event},
    record::{CheckpointRef, Record},
    revision::Revision,
    time::Timestamp,
    validity,
};
use serde_json::{Value, json};

use super::{Bucket, Mutation, story::Story};
use crate::world::signed::APP;

/// What somebody would like to be true, and how they would make it so.
type Edit = (&'static str, fn(&mut Catalogue));

/// Writes `records` from `from` on, each chained to the one before: what whoever can write into the store
/// and knows the format would do; signed again by whoever has the key.
fn rechained(
    bucket: &Bucket,
    from: u64,
    last: u64,
    key: Option<&SigningKey>,
    edit: impl Fn(&mut Record),
) -> Bucket {
    let mut bucket = bucket.clone();
    for rev in from..=last {
        let mut record = Record::decode(&bucket[&Key::Log(rev)]).unwrap();
        if rev == from {
            edit(&mut record);
        } else {
            record.prev = Digest::of(&bucket[&Key::Log(rev - 1)]);
        }
        let bytes = key.map_or_else(|| record.encode(), |key| record.seal(key));
        bucket.insert(Key::Log(rev), bytes.unwrap());
    }
    bucket
}

pub(super) fn without_heads(mut bucket: Bucket, from: u64) -> Bucket {
    bucket.retain(|key, _| !matches!(key, Key::Head(rev) if *rev >= from));
    bucket
}

/// Bytes changed, records left out, put in another order, doubled, cut off.
pub(super) fn clumsy(story: &Story) -> Vec<Mutation> {
    let (bucket, last) = (&story.bucket, story.last);
    let mut all = Vec::new();
    for rev in 1..=last {
        let bytes = &bucket[&Key::Log(rev)];
        for part in 0..6 {
            let at = (bytes.len() - 1) * part / 5;
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            let mut copy = bucket.clone();
            copy.insert(Key::Log(rev), changed.into());
            all.push((format!("byte {at} of record {rev}"), copy));
        }
        let mut copy = bucket.clone();
        copy.remove(&Key::Log(rev));
        all.push((format!("record {rev} is gone"), copy));
        if rev < last {
            let mut copy = bucket.clone();
            copy.insert(Key::Log(rev), bucket[&Key::Log(rev + 1)].clone());
            copy.insert(Key::Log(rev + 1), bytes.clone());
            all.push((format!("records {rev} and {} change places", rev + 1), copy));
            let mut copy = bucket.clone();
            copy.insert(Key::Log(rev + 1), bytes.clone());
            all.push((format!("record {rev} twice"), copy));
        }
    }
    for cut in 1..=10 {
        let mut copy = bucket.clone();
        copy.retain(|key, _| !matches!(key, Key::Log(rev) if *rev > last - cut));
        all.push((format!("the last {cut} records are gone"), copy));
    }
    for (key, bytes) in bucket {
        match key {
            Key::Head(_) => {
                for at in [0, bytes.len() / 2, bytes.len() - 2] {
                    let mut changed = bytes.to_vec();
                    changed[at] ^= 1;
                    let mut copy = bucket.clone();
                    copy.insert(key.clone(), changed.into());
                    all.push((format!("byte {at} of {key}"), copy));
                }
            }
            Key::Cas(_) => {
                let mut copy = bucket.clone();
                copy.remove(key);
                all.push((format!("{key} is gone"), copy));
            }
            _ => {}
        }
    }
    all
}

/// History rewritten by somebody who computes every hash anew, and has no key: heads and all are swept away.
pub(super) fn skilled(story: &Story) -> Vec<Mutation> {
    let (bucket, last) = (&story.bucket, story.last);
    let mut all = Vec::new();
    // Before a keyring is in force there is nobody to sign.
    let keyring = (1..=last).find(|rev| validity::resets_time(&story.record(*rev).events));
    for rev in keyring.unwrap()..=last {
        let why = rechained(bucket, rev, last, None, |record| {
            record.why = Some("it had to be".into());
        });
        all.push((
            format!("record {rev} for another reason"),
            without_heads(why, 0),
        ));
    }
    all
}

/// The same by somebody who stole a server, and signs every record again.
pub(super) fn thieves(story: &Story) -> Vec<Mutation> {
    let (bucket, last) = (&story.bucket, story.last);
    let key = Some(&story.log_key);
    let rewritten = (1..=last).map(|rev| {
        let why = rechained(bucket, rev, last, key, |record| {
            record.why = Some("it had to be".into());
        });
        (format!("record {rev} for another reason, signed"), why)
    });
    rewritten.collect()
}

/// Checkpoints that look right: well-formed, of the right revision and name, standing on the right record, with
/// what somebody would like to be true.
pub(super) fn forged_checkpoints(story: &Story) -> Vec<Mutation> {
    let (bucket, last) = (&story.bucket, story.last);
    let names: Vec<CheckpointRef> = (bucket.keys())
        .filter_map(|key| match key {
            Key::Checkpoint { rev, digest } => Some(CheckpointRef {
                rev: Revision::new(*rev),
                root: *digest,
            }),
            _ => None,
        })
        .collect();
    assert!(names.len() >= 3, "{names:?}");
    let mut all = Vec::new();
    for name in names {
        let key = |name: CheckpointRef| Key::Checkpoint {
            rev: name.rev.get(),
            digest: name.root,
        };
        let honest = Kept::decode(name, &bucket[&key(name)]).unwrap();
        let Some(Kept::Parted(honest)) = honest else {
            panic!("{name:?} is written in pieces")
        };
        let edits: [Edit; 3] = [
            ("an administrator more", |catalogue| {
                let token = catalogue.tokens.values().next().unwrap().clone();
                catalogue.tokens.insert("mine".into(), token);
            }),
            ("nothing takes agreement", |catalogue| {
                catalogue.trust.eyes = Default::default();
            }),
            ("another audience", |catalogue| catalogue.audience.push('x')),
        ];
        let mut forgeries = Vec::new();
        for (what, edit) in edits {
            let mut forged = honest.clone();
            edit(forged.catalogue.to_mut());
            forgeries.push((what, forged, None));
        }
        if let Some((_, piece)) = honest.apps.first() {
            let mut app = unpack_app(&bucket[&Key::Cas(*piece)]).unwrap();
            app.title.push('x');
            let bytes = pack_app(&app).unwrap();
            let mut forged = honest.clone();
            forged.apps.to_mut()[0].1 = Digest::of(&bytes);
            forgeries.push(("another app", forged, Some(bytes)));
        }
        for (what, forged, piece) in forgeries {
            let (mine, bytes) = forged.encode().unwrap();
            let mut beside = bucket.clone();
            beside.insert(key(mine), bytes.clone());
            if let Some(piece) = piece {
                beside.insert(Key::Cas(Digest::of(&piece)), piece.into());
            }
            all.push((
                format!("checkpoint {} with {what}, beside", name.rev),
                beside.clone(),
            ));
            beside.remove(&key(name));
            all.push((
                format!("checkpoint {} with {what}, instead", name.rev),
                beside.clone(),
            ));
            // And a record at the end that names it, which no server signed.
            let mut word = story.record(last);
            word.prev = Digest::of(&bucket[&Key::Log(last)]);
            (word.rev, word.ck) = (Revision::new(last + 1), Some(mine));
            beside.insert(Key::Log(last + 1), word.encode().unwrap());
            all.push((
                format!("checkpoint {} with {what}, announced", name.rev),
                beside,
            ));
        }
    }
    all
}

/// What lies behind the last head that is left: nothing but the signatures of the records speaks for it.
pub(super) fn behind_the_heads(story: &Story) -> Vec<Mutation> {
    let last = story.last;
    let bare = without_heads(story.bucket.clone(), last - 5);
    let mut all = Vec::new();
    for rev in last - 4..=last {
        let bytes = &bare[&Key::Log(rev)];
        for at in [1, bytes.len() / 2, bytes.len() - 120, bytes.len() - 5] {
            let mut changed = bytes.to_vec();
            changed[at] ^= 1;
            let mut copy = bare.clone();
            copy.insert(Key::Log(rev), changed.into());
            all.push((format!("byte {at} of record {rev}, behind the heads"), copy));
        }
        let edited = rechained(&bare, rev, last, None, |record| {
            record.why = Some("x".into());
        });
        all.push((format!("record {rev} again, behind the heads"), edited));
        let mut gone = bare.clone();
        gone.remove(&Key::Log(rev));
        if rev < last {
            all.push((format!("record {rev} is gone, behind the heads"), gone));
        }
    }
    all
}

/// Records that look right, signed by whoever stole a server, and that nobody was entitled to.
pub(super) fn forged(story: &Story) -> Vec<Mutation> {
    let (bucket, last) = (&story.bucket, story.last);
    let by = |kind: fn(&Event) -> bool| {
        let mut records = (1..=last).map(|rev| story.record(rev));
        let record = records.find(|record| record.events.iter().any(kind));
        record.unwrap().actor
    };
    let maya = by(|event| matches!(event, Event::ShareSet { .. }));
    let sven = by(|event| matches!(event, Event::Killed { .. }));
    let app = APP;
    let unkilled = Event::Unkilled {
        app: app.parse().unwrap(),
        version: Some("1.1.0".parse().unwrap()),
        reason: "sorry".into(),
    };
    let listed = Event::VersionListed {
        app: app.parse().unwrap(),
        version: "1.1.0".parse().unwrap(),
    };
    let nobody = Actor {
        id: "nobody".into(),
        role: Role::Admin,
    };
    let raised = Actor {
        role: Role::Admin,
        ..sven.clone()
    };
    let node = Actor {
        id: "huidu".into(),
        role: Role::Admin,
    };
    let enacted = Event::ProposalEnacted {
        id: "0123456789abcdef".into(),
    };
    let agreed = Event::ProposalApproved {
        id: "0123456789abcdef".into(),
        by: "member/wei".into(),
        hash: None,
    };
    let mut forged = unchecked_fields(story, &node);
    forged.extend([
        (
            "what takes two, by one",
            maya.clone(),
            vec![unkilled.clone()],
        ),
        (
            "with an approval of nothing",
            maya.clone(),
            vec![agreed, unkilled.clone(), enacted],
        ),
        ("by nobody", nobody, vec![listed.clone()]),
        (
            "by a role that does not include it",
            sven,
            vec![listed.clone()],
        ),
        (
            "by a role that was never given",
            raised,
            vec![listed.clone()],
        ),
        ("by a node, out of nothing", node.clone(), vec![unkilled]),
        (
            "an approval in somebody's name",
            maya,
            vec![Event::ReviewApproved {
                app: app.parse().unwrap(),
                version: "1.1.0".parse().unwrap(),
                by: "member/lin".into(),
                bundle: None,
                signed: None,
            }],
        ),
    ]);
    let chained = |(name, actor, events): (&str, Actor, Vec<Event>)| {
        let mut record = story.record(last);
        record.prev = Digest::of(&bucket[&Key::Log(last)]);
        record.rev = Revision::new(last + 1);
        record.op = derived_op(&["forged", name]);
        record.put = derived_op(&["put", name]).as_str().parse().unwrap();
        (record.actor, record.events, record.why) = (actor, events, None);
        let mut copy = bucket.clone();
        copy.insert(Key::Log(last + 1), record.seal(&story.log_key).unwrap());
        (format!("a record {name}"), copy)
    };
    let mut all: Vec<Mutation> = forged.into_iter().map(chained).collect();
    // What sven may well do, at a time that is over.
    let mut late = story.record(last);
    late.prev = Digest::of(&bucket[&Key::Log(last)]);
    (late.rev, late.at) = (Revision::new(last + 1), Timestamp::EPOCH);
    late.events = vec![Event::PermissionRevoked {
        app: APP.parse().unwrap(),
        permission: "camera".parse().unwrap(),
        reason: "x".into(),
    }];
    let mut copy = bucket.clone();
    copy.insert(Key::Log(last + 1), late.seal(&story.log_key).unwrap());
    all.push(("a record from before the last one".into(), copy));
    all
}

/// Events that happened, said once more with what nobody checked about them.
fn unchecked_fields(story: &Story, node: &Actor) -> Vec<(&'static str, Actor, Vec<Event>)> {
    let find = |kind: fn(&Event) -> bool| {
        let records = (1..=story.last).map(|rev| story.record(rev));
        let found = records.filter_map(|record| {
            let event = record.events.iter().find(|event| kind(event))?.clone();
            Some((record.actor, event))
        });
        found.into_iter().next().unwrap()
    };
    let (ping, submitted) = find(|event| matches!(event, Event::VersionSubmitted { .. }));
    let (rosa, approved) = find(|event| matches!(event, Event::VersionApproved { .. }));
    let (rui, vote) = find(|event| matches!(event, Event::ReviewApproved { .. }));
    let (ada, admitted) = find(|event| matches!(event, Event::MemberPut { .. }));
    let (_, token) = find(|event| matches!(event, Event::TokenAdded { .. }));
    let (mo, keyring) = find(|event| matches!(event, Event::KeyringPut { .. }));
    let (_, policy) = find(|event| matches!(event, Event::PolicyPut { .. }));
    let (maya, shared) = find(|event| matches!(event, Event::ShareSet { .. }));
    let (sven, killed) = find(|event| matches!(event, Event::Killed { .. }));
    let (_, rollout) = find(|event| matches!(event, Event::RolloutPut { .. }));
    // Said again with one field changed, as a text.
    let but = |event: &Event, field: &str, value: Value| {
        let mut text = json!(event);
        *text.pointer_mut(field).unwrap() = value;
        serde_json::from_value::<Event>(text).unwrap()
    };
    let with = |event: &Event, field: &str, value: Value| {
        let mut text = json!(event);
        text[field] = value;
        serde_json::from_value::<Event>(text).unwrap()
    };
    let failed = Event::ProposalFailed {
        id: "0123456789abcdef".into(),
        why: "x".into(),
    };
    let third = but(&submitted, "/version/number", json!("3.0.0"));
    let third = but(&third, "/version/life", json!({ "state": "listed" }));
    let another = but(&submitted, "/version/bundle/sha256", json!("00".repeat(32)));
    let mine = but(&token, "/id", json!("mine"));
    let eve = but(&admitted, "/member", json!("eve"));
    let lower = but(&shared, "/share", json!("1%"));
    vec![
        (
            "of a node that gives itself a credential",
            node.clone(),
            vec![failed, mine],
        ),
        ("of a version that comes listed", ping.clone(), vec![third]),
        ("of another archive under a number", ping, vec![another]),
        (
            "of an approval with nobody's approval",
            rosa,
            vec![approved],
        ),
        ("of two approvals by one", rui, vec![vote.clone(), vote]),
        ("of a second person that one invents", ada, vec![eve]),
        ("of the first keyring once more", mo.clone(), vec![keyring]),
        ("of a policy that is over", mo, vec![policy]),
        (
            "of a lower share with every slot",
            sven.clone(),
            vec![with(&lower, "slots", json!("0-9999"))],
        ),
        (
            "of a kill that lists afterwards",
            sven.clone(),
            vec![with(&killed, "before", json!({ "state": "listed" }))],
        ),
        (
            "of what nobody asked for, taken back",
            sven,
            vec![Event::ProposalWithdrawn {
                id: "0123456789abcdef".into(),
                by: "member/maya".into(),
                reason: "x".into(),
            }],
        ),
        (
            "of a rollout to what is killed",
            maya,
            vec![but(&rollout, "/rollout/stable", json!("1.1.0"))],
        ),
    ]
}
