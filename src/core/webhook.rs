//! `webhook`: what receivers outside are told of a record that counts, in exactly which bytes.
//!
//! A function of the record and of what is true after it, so that every node says the same bytes about it, at its first
//! try and at every one that follows: a receiver knows a repetition by the id in it. Never anything that a device said.

use std::{fmt, str::FromStr};

use bytes::Bytes;
use serde::{Serialize, Serializer};

use crate::{
    catalogue::Catalogue,
    event::Event,
    name::{AppId, Measure, RuleName},
    ramp::{Act, Findings, Why},
    record::Record,
    revision::Revision,
    time::Timestamp,
    version::Number,
};

/// What a receiver may be told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// A version, or a whole app, was killed.
    Kill,
    /// A kill was taken back.
    Unkill,
    /// A guard wrote harm down.
    GuardNote,
    /// A guard holds a ramp.
    GuardHold,
    /// A guard rolled a ramp back.
    GuardRollBack,
    /// A guard rolled a ramp back, and killed its version: that is told as a kill of its own, too.
    GuardKill,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Kill,
        Self::Unkill,
        Self::GuardNote,
        Self::GuardHold,
        Self::GuardRollBack,
        Self::GuardKill,
    ];

    /// Its name, in settings and messages.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Unkill => "unkill",
            Self::GuardNote => "guard.note",
            Self::GuardHold => "guard.hold",
            Self::GuardRollBack => "guard.roll-back",
            Self::GuardKill => "guard.kill",
        }
    }

    /// The topic of this name.
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|topic| topic.word() == word)
    }

    /// What an act by a node is told as; none: it is how a plan goes on.
    const fn of(act: &Act) -> Option<Self> {
        match act {
            Act::Note { .. } => Some(Self::GuardNote),
            Act::Hold { .. } => Some(Self::GuardHold),
            Act::RollBack => Some(Self::GuardRollBack),
            Act::Kill => Some(Self::GuardKill),
            Act::Advance | Act::Finish | Act::Resume | Act::Approve | Act::Abort => None,
        }
    }
}

impl Serialize for Topic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

/// The place of an event in the ledger, `418.1`: the revision, and the how manieth of it, from 0. Also how far a receiver
/// has been told: everything in front of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The revision.
    pub rev: Revision,
    /// The how manieth of its events.
    pub event: u32,
}

impl Place {
    /// In front of everything of a revision.
    pub const fn before(rev: Revision) -> Self {
        Self { rev, event: 0 }
    }

    /// Behind everything of a revision.
    pub const fn behind(rev: Revision) -> Self {
        Self::before(rev.next())
    }

    /// The place behind this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self {
            rev: self.rev,
            event: self.event.saturating_add(1),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.rev, self.event)
    }
}

/// Why a text is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a place is a revision and the number of an event, such as 418.1")]
pub struct NoPlace;

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (rev, event) = text.split_once('.').ok_or(NoPlace)?;
        let place = Self {
            rev: Revision::new(rev.parse().map_err(|_| NoPlace)?),
            event: event.parse().map_err(|_| NoPlace)?,
        };
        // One place, one text.
        Some(place)
            .filter(|place| place.to_string() == text)
            .ok_or(NoPlace)
    }
}

/// Something to be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id: the place of its event.
    pub place: Place,
    /// What it is about.
    pub topic: Topic,
    /// When it happened, by the clock of the node that wrote it down.
    pub at: Timestamp,
    /// What is sent.
    pub body: Bytes,
}

/// The written form. Fields are only ever added; a change of what one means takes another `v`.
#[derive(Serialize)]
struct Written<'a> {
    v: u8,
    id: String,
    event: Topic,
    /// Which installation, `bank/environment`.
    audience: &'a str,
    at: Timestamp,
    app: &'a AppId,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a RuleName>,
    /// Who: a credential's public name, `member/<id>`, or `huidu` for a node by itself.
    by: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
    /// Why it is held.
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<Why>,
    /// What harm was written down.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    measures: Vec<&'a Measure>,
    /// What it rests on.
    #[serde(skip_serializing_if = "Option::is_none")]
    findings: Option<&'a Findings>,
}

/// What is to be told of `record`, once it counts; `catalogue` is what is true after it.
pub fn of(record: &Record, catalogue: &Catalogue) -> Vec<Message> {
    let events = (0..).zip(&record.events);
    let said = events.filter_map(|(event, happened)| {
        let rev = record.rev;
        let place = Place { rev, event };
        let written = written(happened, record, catalogue, place)?;
        Some(Message {
            place,
            topic: written.event,
            at: record.at,
            body: serde_json::to_vec(&written).ok()?.into(),
        })
    });
    said.collect()
}

fn written<'a>(
    happened: &'a Event,
    record: &'a Record,
    catalogue: &'a Catalogue,
    place: Place,
) -> Option<Written<'a>> {
    let bare = |event, app| Written {
        v: 1,
        id: place.to_string(),
        event,
        audience: &catalogue.audience,
        at: record.at,
        app,
        version: None,
        rule: None,
        by: &record.actor.id,
        reason: "",
        held: None,
        measures: Vec::new(),
        findings: None,
    };
    Some(match happened {
        Event::Killed {
            app,
            version,
            reason,
            ..
        } => Written {
            version: version.as_ref(),
            reason,
            ..bare(Topic::Kill, app)
        },
        Event::Unkilled {
            app,
            version,
            reason,
        } => Written {
            version: version.as_ref(),
            reason,
            ..bare(Topic::Unkill, app)
        },
        Event::RampMoved {
            app,
            rule,
            act,
            findings: Some(findings),
            ..
        } => Written {
            version: candidate(catalogue, app, rule),
            rule: Some(rule),
            held: match act {
                Act::Hold { why } => Some(*why),
                _ => None,
            },
            measures: match act {
                Act::Note { measures } => measures.iter().collect(),
                _ => Vec::new(),
            },
            findings: Some(findings),
            ..bare(Topic::of(act)?, app)
        },
        _ => return None,
    })
}

/// The version that a rule brings.
fn candidate<'a>(catalogue: &'a Catalogue, app: &AppId, rule: &RuleName) -> Option<&'a Number> {
    let rule = catalogue.apps.get(app)?.rule(rule)?;
    let (_, _, arm) = rule.arms().into_iter().next()?;
    Some(&arm.version)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::Actor,
        record::{Record, tests::record},
        rulefile,
    };

    const FILE: &str = r#"
app = "acme/shop"
hosts = ["h"]
stable = "1.0.0"
[[rule]]
name = "next"
serve = "2.0.0"
[rule.ramp]
step = [{ share = "5%", hold = "30m", units = 100 }, { share = "20%", hold = "30m" }]
guard = [{ measure = "crashed", action = "kill" }]
"#;

    /// What is true once an app ramps.
    fn ramping() -> Catalogue {
        let rollout = rulefile::parse_toml("a.toml", FILE).unwrap().rollout;
        let mut catalogue = Catalogue {
            audience: "bank/prod".into(),
            ..Catalogue::default()
        };
        let added = Event::AppAdded {
            app: "acme/shop".parse().unwrap(),
            title: "a shop".into(),
        };
        let rollout = Box::new(rollout);
        let _touched = catalogue.apply(
            Revision::new(400),
            Timestamp::EPOCH,
            &[added, Event::RolloutPut { rollout }],
        );
        catalogue
    }

    fn happened(events: Vec<Event>) -> Record {
        Record {
            rev: Revision::new(418),
            at: "2026-11-24T12:00:00Z".parse().unwrap(),
            actor: Actor {
                id: "huidu".into(),
                role: crate::authority::Role::Admin,
            },
            events,
            ..record()
        }
    }

    fn moved(act: &str, findings: Option<&str>) -> Event {
        let findings = findings.map_or_else(String::new, |found| format!(r#","findings":{found}"#));
        let text = format!(
            r#"{{"event":"ramp-moved","app":"acme/shop","rule":"next","from":410,{act},"share":"0%"{findings}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn killed(version: Option<&str>) -> Event {
        Event::Killed {
            app: "acme/shop".parse().unwrap(),
            version: version.map(|version| version.parse().unwrap()),
            reason: "a guard of rule `next` saw harm".into(),
            before: None,
        }
    }

    const FOUND: &str = r#"{"units":{"candidate":412,"control":405},"guards":[{"measure":"crashed","events":{"candidate":33,"control":2},"verdict":"fail"}]}"#;

    fn texts(record: &Record) -> Vec<String> {
        let said = of(record, &ramping()).into_iter();
        said.map(|message| String::from_utf8(message.body.to_vec()).unwrap())
            .collect()
    }

    /// Receivers out there read these bytes.
    #[test]
    fn what_a_guard_did_has_exactly_these_bytes() {
        #[derive(serde::Deserialize)]
        struct Vectors {
            messages: Vec<Vector>,
        }
        #[derive(serde::Deserialize)]
        struct Vector {
            body: String,
        }
        let kept: Vectors =
            serde_json::from_str(include_str!("../../tests/vectors/webhook.json")).unwrap();
        let record = happened(vec![
            moved(r#""act":"kill""#, Some(FOUND)),
            killed(Some("2.0.0")),
        ]);
        let kept: Vec<String> = kept.messages.into_iter().map(|one| one.body).collect();
        assert_eq!(texts(&record), kept);
        let said = of(&record, &ramping());
        let known: Vec<_> = said
            .iter()
            .map(|one| (one.topic, one.place.to_string()))
            .collect();
        assert_eq!(
            known,
            [
                (Topic::GuardKill, "418.0".to_owned()),
                (Topic::Kill, "418.1".to_owned())
            ]
        );
    }

    #[test]
    fn kills_and_what_guards_did_are_told_and_nothing_else() {
        let topics = |events| -> Vec<Topic> {
            let record = happened(events);
            let said = of(&record, &ramping());
            said.iter().map(|one| one.topic).collect()
        };
        for (act, topic) in [
            (
                r#""act":"note","measures":["crashed"]"#,
                Some(Topic::GuardNote),
            ),
            (r#""act":"hold","why":"ratio""#, Some(Topic::GuardHold)),
            (r#""act":"roll-back""#, Some(Topic::GuardRollBack)),
            (r#""act":"kill""#, Some(Topic::GuardKill)),
            (r#""act":"advance""#, None),
            (r#""act":"finish""#, None),
        ] {
            let told: Vec<Topic> = topic.into_iter().collect();
            assert_eq!(topics(vec![moved(act, Some(FOUND))]), told, "{act}");
            // People did it.
            assert_eq!(topics(vec![moved(act, None)]), [], "{act}");
        }
        let unkilled = Event::Unkilled {
            app: "acme/shop".parse().unwrap(),
            version: None,
            reason: String::new(),
        };
        assert_eq!(
            topics(vec![unkilled, killed(None)]),
            [Topic::Unkill, Topic::Kill]
        );
        let record = happened(vec![
            moved(r#""act":"hold","why":"ratio""#, Some(FOUND)),
            killed(None),
        ]);
        let said = texts(&record);
        assert!(
            said[0].contains(r#""by":"huidu","held":"ratio","findings""#),
            "{said:?}"
        );
        assert!(!said[1].contains("version"), "{said:?}");
        let noted = happened(vec![moved(
            r#""act":"note","measures":["crashed"]"#,
            Some(FOUND),
        )]);
        assert!(texts(&noted)[0].contains(r#""measures":["crashed"],"findings""#));
    }

    #[test]
    fn topics_and_places_are_read_as_they_are_written() {
        for topic in Topic::ALL {
            assert_eq!(Topic::named(topic.word()), Some(topic));
        }
        assert_eq!(Topic::named("guard"), None);
        let place = Place {
            rev: Revision::new(418),
            event: 1,
        };
        assert_eq!(place.to_string(), "418.1");
        assert_eq!("418.1".parse(), Ok(place));
        for wrong in [
            "",
            "418",
            "418.",
            ".1",
            "0418.1",
            "418.01",
            "+418.1",
            "418.1.0",
            "418.4294967296",
        ] {
            assert_eq!(wrong.parse::<Place>(), Err(NoPlace), "{wrong}");
        }
        assert!(place < place.next() && place.next() < Place::behind(place.rev));
        assert!(Place::before(place.rev) < place);
    }
}
