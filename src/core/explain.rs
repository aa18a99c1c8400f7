//! `explain`: the walk of `resolve`, narrated, for operators.
//!
//! It is the same walk with an observer that takes notes, so it cannot tell another story than the answer
//! does. It quotes what the device stated: show it to those who may see that, never log it.

use std::fmt;

use serde::Serialize;

use crate::{
    bucket::{self, Fine},
    compile::{CompiledApp, CompiledRule, Draw},
    manifest::{Reason, State},
    name::{AppId, ArmName, HostId, RuleName},
    poll::{Device, Installed},
    predicate::Mismatch,
    resolve::{Drawn, Observer, Seen, Take},
    revision::Revision,
    share::Share,
    slots::Slots,
    time::Timestamp,
    version::Number,
};

/// What a device is told, with everything that was asked on the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The app.
    pub app: AppId,
    /// Its revision.
    pub revision: Revision,
    /// What the device does.
    pub state: State,
    /// The version it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<Number>,
    /// Why.
    pub reason: Reason,
    /// The rule that took it, also when a floor is served first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleName>,
    /// The arm of its split.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arm: Option<ArmName>,
    /// Where the answer is among the app's answers.
    pub index: usize,
    /// The answer's entity tag.
    pub etag: String,
    /// What was asked, in order.
    pub steps: Vec<Step>,
}

/// One thing that was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What kind of thing.
    pub asked: Asked,
    /// Its name, where it has one: the rule, the pinned unit's version, the floor.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// True when it settled the version.
    pub took: bool,
    /// Why, or why not.
    #[serde(flatten)]
    pub why: Why,
}

/// What kind of thing a step asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Asked {
    /// The app as a whole.
    App,
    /// A version under review that this device may try.
    Trial,
    /// The pin of this unit.
    Pin,
    /// A rule.
    Rule,
    /// The stable version.
    Stable,
    /// A version that may not be skipped.
    Floor,
    /// The version the device runs.
    Running,
}

/// Why something took a device, or why not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Why {
    /// It took the device.
    Taken {
        /// The version it gives.
        version: Number,
        /// How the device was drawn.
        #[serde(flatten)]
        draw: Drawing,
    },
    /// The rule is paused.
    Paused,
    /// It has not begun.
    NotYet {
        /// When it begins.
        start: Timestamp,
    },
    /// It has ended.
    Over {
        /// When it ended.
        end: Option<Timestamp>,
    },
    /// The device is not in its audience.
    NotMeant {
        /// The first part that does not hold.
        #[serde(flatten)]
        mismatch: Mismatch,
    },
    /// The device's position is outside the rule's share or slots.
    Outside {
        /// How the device was drawn.
        #[serde(flatten)]
        draw: Drawing,
    },
    /// The version is not listed.
    NotListed {
        /// The version.
        version: Number,
        /// How the device was drawn.
        #[serde(flatten)]
        draw: Drawing,
    },
    /// The version failed on this device.
    Failed {
        /// The version.
        version: Number,
        /// How the device was drawn.
        #[serde(flatten)]
        draw: Drawing,
    },
    /// The whole app is killed.
    AppKilled,
    /// The app has no rollout.
    NoRollout,
    /// The rollout is not for this bank app.
    OtherHost {
        /// The bank apps it is for.
        hosts: Vec<HostId>,
    },
    /// The device runs a killed version.
    RunsKilled,
}

/// Where a unit stands and what it drew.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Drawing {
    /// Its place in the order of units.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
    /// The arm it drew.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arm: Option<ArmName>,
    /// Its ticket, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<u32>,
    /// Of so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tickets: Option<u32>,
}

/// A unit's place in the order of units that a rule draws from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Position {
    /// Drawn by share.
    Share {
        /// The salt of the order.
        salt: String,
        /// The unit's fine position.
        fine: Fine,
        /// Positions below this are inside.
        threshold: u64,
        /// The rule's share.
        share: Share,
        /// The smallest share that includes the unit.
        smallest_share: Share,
    },
    /// Drawn by slots of a layer.
    Slot {
        /// The salt of the layer.
        salt: String,
        /// The unit's fine position.
        fine: Fine,
        /// The unit's slot.
        slot: u16,
        /// The slots the rule owns.
        slots: Slots,
        /// True when the slot is in a holdout, which no rule may own.
        held_out: bool,
    },
}

impl CompiledApp {
    /// What [`CompiledApp::resolve`] answers, and how it came to that.
    pub fn explain(
        &self,
        host: &str,
        device: &Device<'_>,
        installed: &Installed<'_>,
        now: Timestamp,
    ) -> Explanation {
        let mut notes = Notes {
            app: self,
            device,
            installed,
            steps: Vec::new(),
        };
        let outcome = self.walk(host, device, installed, now, &mut notes);
        let answer = outcome.answer;
        Explanation {
            app: self.id.clone(),
            revision: self.revision,
            state: answer.state,
            version: answer.version.clone(),
            reason: outcome.reason,
            rule: outcome.rule.map(|at| self.rules[at].name.clone()),
            arm: answer.arm.clone(),
            index: outcome.index,
            etag: answer.etag.to_string(),
            steps: notes.steps,
        }
    }
}

struct Notes<'a, 'd> {
    app: &'a CompiledApp,
    device: &'a Device<'d>,
    installed: &'a Installed<'d>,
    steps: Vec<Step>,
}

impl Observer for Notes<'_, '_> {
    const NARRATES: bool = true;

    fn saw(&mut self, seen: Seen) {
        let app = self.app;
        let plain = |asked, why| (asked, String::new(), why);
        let (asked, name, why) = match seen {
            Seen::AppKilled => plain(Asked::App, Why::AppKilled),
            Seen::NoRollout => plain(Asked::App, Why::NoRollout),
            Seen::OtherHost => {
                let hosts = app.hosts.to_vec();
                plain(Asked::App, Why::OtherHost { hosts })
            }
            Seen::RunsKilled => plain(Asked::Running, Why::RunsKilled),
            Seen::Trial(at, take) => {
                let number = &app.trials[at].number;
                (Asked::Trial, number.to_string(), unruled(take, number))
            }
            Seen::Pin(at, take) => {
                let number = &app.pins[at].1.number;
                (Asked::Pin, number.to_string(), unruled(take, number))
            }
            Seen::Stable(take) => match &app.stable_number {
                Some(number) => (Asked::Stable, number.to_string(), unruled(take, number)),
                None => plain(Asked::Stable, Why::NoRollout),
            },
            Seen::Floor(at, take) => {
                let number = &app.floors[at].0;
                (Asked::Floor, number.to_string(), unruled(take, number))
            }
            Seen::Rule(at, take) => {
                let rule = &app.rules[at];
                (Asked::Rule, rule.name.to_string(), self.ruled(rule, take))
            }
        };
        let took = matches!(why, Why::Taken { .. });
        // What takes last settles the version: a floor stands before what was chosen.
        if took {
            self.steps.iter_mut().for_each(|step| step.took = false);
        }
        self.steps.push(Step {
            asked,
            name,
            took,
            why,
        });
    }
}

/// The story of a take without a rule.
fn unruled(take: Take, number: &Number) -> Why {
    let (version, draw) = (number.clone(), Drawing::default());
    match take {
        Take::NotListed(_) => Why::NotListed { version, draw },
        Take::Failed(_) => Why::Failed { version, draw },
        _ => Why::Taken { version, draw },
    }
}

impl Notes<'_, '_> {
    fn ruled(&self, rule: &CompiledRule, take: Take) -> Why {
        let drawing = |drawn: Drawn| self.drawing(rule, drawn);
        // An arm that is out of reach has no version to name; no written rule has such a draw.
        let version = |drawn: Drawn| {
            let arm = drawn
                .arm
                .and_then(|at| rule.arms.get(at))
                .or(rule.arms.last());
            arm.map_or(Number::new(0, 0, 0), |arm| arm.number.clone())
        };
        match take {
            Take::Paused => Why::Paused,
            Take::NotYet => Why::NotYet { start: rule.start },
            Take::Over => Why::Over { end: rule.end },
            Take::NotMeant => match rule.when.mismatch(self.device, self.installed) {
                Some(mismatch) => Why::NotMeant { mismatch },
                None => Why::Outside {
                    draw: Drawing::default(),
                },
            },
            Take::Outside(fine) => Why::Outside {
                draw: drawing(Drawn {
                    fine: Some(fine),
                    ..Drawn::default()
                }),
            },
            Take::Taken(drawn) => Why::Taken {
                version: version(drawn),
                draw: drawing(drawn),
            },
            Take::NotListed(drawn) => Why::NotListed {
                version: version(drawn),
                draw: drawing(drawn),
            },
            Take::Failed(drawn) => Why::Failed {
                version: version(drawn),
                draw: drawing(drawn),
            },
        }
    }

    fn drawing(&self, rule: &CompiledRule, drawn: Drawn) -> Drawing {
        let arm = drawn.arm.and_then(|at| rule.arms.get(at));
        let salt = |at: &u32| self.app.salts[*at as usize].0.to_string();
        let position = drawn.fine.and_then(|fine| match &rule.draw {
            Draw::Everybody => None,
            Draw::Share { salt: at, share } => Some(Position::Share {
                salt: salt(at),
                fine,
                threshold: bucket::threshold(*share),
                share: *share,
                smallest_share: fine.smallest_share(),
            }),
            Draw::Slots {
                salt: at,
                slots,
                held_out,
            } => Some(Position::Slot {
                salt: salt(at),
                fine,
                slot: fine.slot(),
                slots: slots.clone(),
                held_out: held_out.contains(fine.slot()),
            }),
        });
        Drawing {
            position,
            arm: arm.and_then(|arm| arm.name.clone()),
            ticket: drawn.ticket,
            tickets: drawn.ticket.map(|_| rule.tickets),
        }
    }
}

impl Asked {
    const fn word(self) -> &'static str {
        match self {
            Self::App => "app",
            Self::Trial => "trial",
            Self::Pin => "pin",
            Self::Rule => "rule",
            Self::Stable => "stable",
            Self::Floor => "floor",
            Self::Running => "running",
        }
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at revision {}: ", self.app, self.revision)?;
        match (self.state, &self.version) {
            (State::Run, Some(version)) => write!(f, "run {version}")?,
            (State::Killed, _) => write!(f, "killed")?,
            _ => write!(f, "nothing to run")?,
        }
        write!(f, " ({}", self.reason.word())?;
        if let Some(rule) = &self.rule {
            write!(f, " {rule}")?;
        }
        if let Some(arm) = &self.arm {
            write!(f, ", arm {arm}")?;
        }
        writeln!(f, ")")?;
        let wide = self
            .steps
            .iter()
            .map(|step| step.name.len())
            .max()
            .unwrap_or(0);
        for step in &self.steps {
            let mark = if step.took { '*' } else { ' ' };
            let asked = step.asked.word();
            writeln!(f, " {mark} {asked:<7} {:<wide$}  {}", step.name, step.why)?;
        }
        Ok(())
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken { version, draw } => write!(f, "gives {version}{draw}"),
            Self::Paused => f.write_str("is paused"),
            Self::NotYet { start } => write!(f, "begins at {start}"),
            Self::Over { end: Some(end) } => write!(f, "ended at {end}"),
            Self::Over { end: None } => f.write_str("has ended"),
            Self::NotMeant {
                mismatch:
                    Mismatch {
                        path,
                        wanted,
                        stated,
                    },
            } => {
                write!(f, "wants {path} {wanted}; ")?;
                match stated {
                    Some(stated) => write!(f, "the device has: {stated}"),
                    None => f.write_str("the device states none"),
                }
            }
            Self::Outside { draw } => write!(f, "does not reach the device{draw}"),
            Self::NotListed { version, draw } => write!(f, "{version} is not listed{draw}"),
            Self::Failed { version, draw } => write!(f, "{version} failed on this device{draw}"),
            Self::AppKilled => f.write_str("is killed"),
            Self::NoRollout => f.write_str("has no rollout"),
            Self::OtherHost { hosts } => {
                let hosts: Vec<&str> = hosts.iter().map(HostId::as_str).collect();
                write!(f, "is shown only in {}", hosts.join(", "))
            }
            Self::RunsKilled => f.write_str("is killed, and nothing else can be served"),
        }
    }
}

impl fmt::Display for Drawing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.position {
            Some(Position::Share {
                salt,
                fine,
                threshold,
                share,
                smallest_share,
            }) => {
                let fine = fine.get();
                write!(
                    f,
                    "; position {fine} of `{salt}`, inside {share} below {threshold}, "
                )?;
                write!(f, "taken from {smallest_share}")?;
            }
            Some(Position::Slot {
                salt,
                slot,
                slots,
                held_out,
                ..
            }) => {
                write!(f, "; slot {slot} of `{salt}`, owns {slots}")?;
                if *held_out {
                    f.write_str(", the slot is held out")?;
                }
            }
            None => {}
        }
        if let (Some(ticket), Some(tickets)) = (self.ticket, self.tickets) {
            write!(f, "; ticket {ticket} of {tickets}")?;
        }
        match &self.arm {
            Some(arm) => write!(f, ", arm {arm}"),
            None => Ok(()),
        }
    }
}
