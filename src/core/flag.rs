//! `Flag`: what a device is told of an app, as OpenFeature clients read it.
//!
//! A flag's key is `tenant/app`. Its value and its variant are one word: the arm that an experiment drew, else the
//! version. What is killed, or was rolled out here and cannot be served any more, has no value and says `DISABLED`: the
//! client's own default applies, and nothing that stopped can read as running. A flag says nothing that changes without
//! the answer, so equal answers are equal bytes on every node. Pure: an outcome in, words out.

use std::borrow::Cow;

use serde::Serialize;

use crate::{
    compile::{By, CompiledApp},
    manifest::{Reason, State},
    name::{ArmName, RuleName},
    poll::{PollError, Problem, TARGETING_KEY},
    resolve::Outcome,
    time::Timestamp,
    version::Number,
};

/// Why a flag has its value, in OpenFeature's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Why {
    /// There is nothing to choose by: the stable version for everybody.
    Static,
    /// Nothing spoke of this unit: the stable version, or nothing at all.
    Default,
    /// What the context says: a rule, a pin, a trial, an update that may not be skipped.
    TargetingMatch,
    /// A draw by the unit.
    Split,
    /// Killed, or nothing of it can be served any more.
    Disabled,
}

impl Why {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Static,
        Self::Default,
        Self::TargetingMatch,
        Self::Split,
        Self::Disabled,
    ];

    /// The word in answers and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Static => "STATIC",
            Self::Default => "DEFAULT",
            Self::TargetingMatch => "TARGETING_MATCH",
            Self::Split => "SPLIT",
            Self::Disabled => "DISABLED",
        }
    }
}

/// An app's variant for one unit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flag<'a> {
    key: &'a str,
    reason: Why,
    variant: Cow<'a, str>,
    /// None: the client's own default applies.
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Cow<'a, str>>,
    metadata: Metadata<'a>,
}

/// What is behind the variant; texts alone, because clients drop everything else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Metadata<'a> {
    state: State,
    cause: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<&'a Number>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a RuleName>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arm: Option<&'a ArmName>,
}

impl<'a> Flag<'a> {
    /// What `outcome` of `app` in the bank app `host` is as a flag.
    pub fn of(app: &'a CompiledApp, host: &str, outcome: Outcome<'a>) -> Self {
        let answer = outcome.answer;
        let rule = outcome.rule.and_then(|at| app.rules.get(at));
        // The cohorts of a ramp are how it is watched; what they run is what they are.
        let arm = answer.arm.as_ref();
        let arm = arm.filter(|_| rule.is_none_or(|rule| rule.candidate.is_none()));
        let served = answer.version.as_ref();
        let value: Option<Cow<'a, str>> = match (answer.state, arm, served) {
            (State::Run, Some(arm), _) => Some(arm.as_str().into()),
            (State::Run, None, Some(version)) => Some(version.to_string().into()),
            (State::Run, None, None) | (State::None | State::Killed, ..) => None,
        };
        let idle = if answer.state == State::Killed {
            "killed"
        } else {
            "none"
        };
        Self {
            key: app.id().as_str(),
            reason: why(app, host, &outcome),
            variant: value.clone().unwrap_or(idle.into()),
            value,
            metadata: Metadata {
                state: answer.state,
                cause: outcome.reason,
                version: served,
                rule: answer.rule.as_ref(),
                arm: answer.arm.as_ref(),
            },
        }
    }

    /// The flag of the killed app `key`, by whoever knows no more of it.
    pub fn killed(key: &'a str) -> Self {
        Self {
            key,
            reason: Why::Disabled,
            variant: "killed".into(),
            value: None,
            metadata: Metadata {
                state: State::Killed,
                cause: Reason::Killed,
                version: None,
                rule: None,
                arm: None,
            },
        }
    }

    /// Why it has its value.
    pub const fn reason(&self) -> Why {
        self.reason
    }
}

fn why(app: &CompiledApp, host: &str, outcome: &Outcome<'_>) -> Why {
    match outcome.reason {
        Reason::Killed => Why::Disabled,
        // Here it was rolled out, and is no more: delisted, or all of it failed on this device.
        Reason::None if app.is_rolled_out_in(host) => Why::Disabled,
        Reason::None => Why::Default,
        Reason::Stable if app.rules.is_empty() && app.pins.is_empty() => Why::Static,
        Reason::Stable => Why::Default,
        Reason::Pinned | Reason::Floor | Reason::Trial => Why::TargetingMatch,
        Reason::Rule => {
            let row = outcome.rule.and_then(|at| app.rows.get(at));
            match row {
                Some(row) if row.splits || row.by != By::Everybody => Why::Split,
                _ => Why::TargetingMatch,
            }
        }
    }
}

impl CompiledApp {
    fn is_rolled_out_in(&self, host: &str) -> bool {
        let hosts = &self.hosts;
        let found = hosts.binary_search_by(|known| known.as_str().cmp(host));
        self.has_rollout && found.is_ok()
    }

    /// The instants at which an answer may become another by time alone.
    pub fn turns(&self) -> impl Iterator<Item = Timestamp> + '_ {
        let rules = self.rules.iter();
        let rules = rules.flat_map(|rule| [Some(rule.start), rule.end]);
        let previews = self.trials.iter().flat_map(|trial| trial.previews.iter());
        let previews = previews.map(|(_, preview)| Some(preview.until));
        let turns = rules.chain(previews).flatten();
        turns.filter(|at| *at > Timestamp::EPOCH)
    }
}

/// What went wrong, in OpenFeature's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ErrorCode {
    /// The body is not the JSON of an evaluation.
    ParseError,
    /// The context names no unit.
    TargetingKeyMissing,
    /// Something of the context cannot be meant.
    InvalidContext,
    /// No such app.
    FlagNotFound,
}

impl ErrorCode {
    /// What kind of mistake `error` is.
    pub fn of(error: &PollError) -> Self {
        match error {
            PollError::TooLong { .. } | PollError::Json { .. } => Self::ParseError,
            PollError::Field {
                field: TARGETING_KEY,
                problem: Problem::Missing,
            } => Self::TargetingKeyMissing,
            PollError::Field { .. } => Self::InvalidContext,
        }
    }

    /// The word in answers and metrics.
    pub const fn word(self) -> &'static str {
        match self {
            Self::ParseError => "PARSE_ERROR",
            Self::TargetingKeyMissing => "TARGETING_KEY_MISSING",
            Self::InvalidContext => "INVALID_CONTEXT",
            Self::FlagNotFound => "FLAG_NOT_FOUND",
        }
    }
}

/// Why there is no flag.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure<'a> {
    /// The key asked for; none: all were.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(rename = "errorCode")]
    code: ErrorCode,
    #[serde(rename = "errorDetails")]
    details: Cow<'static, str>,
}

impl<'a> Failure<'a> {
    /// The context is not understood. The core's errors name fields and never values, so their texts may be sent.
    pub fn of(key: Option<&'a str>, error: &PollError) -> Self {
        Self {
            key,
            code: ErrorCode::of(error),
            details: error.to_string().into(),
        }
    }

    /// No app is called `key`.
    pub const fn not_found(key: &'a str) -> Self {
        Self {
            key: Some(key),
            code: ErrorCode::FlagNotFound,
            details: Cow::Borrowed("no app is called so here; a flag's key is `tenant/app`"),
        }
    }

    /// `host` has more flags than one answer holds.
    pub const fn too_many() -> Self {
        Self {
            key: None,
            code: ErrorCode::InvalidContext,
            details: Cow::Borrowed(
                "this bank app has more flags than one answer holds; name up to 200 in `context.apps`",
            ),
        }
    }

    /// What kind of failure it is.
    pub const fn code(&self) -> ErrorCode {
        self.code
    }
}

/// A flag, or why there is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Entry<'a> {
    /// A flag.
    Flag(Flag<'a>),
    /// None.
    Failure(Failure<'a>),
}

/// All flags that were asked for, and where changes are told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bulk<'a> {
    /// The flags, by the order of their keys.
    pub flags: Vec<Entry<'a>>,
    /// Where changes are told; empty: nowhere.
    #[serde(rename = "eventStreams", skip_serializing_if = "<[_]>::is_empty")]
    pub streams: &'a [Stream<'a>],
}

/// Where changes are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Stream<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    endpoint: Endpoint<'a>,
    #[serde(rename = "inactivityDelaySec")]
    inactive_s: u32,
}

/// Relative to where the client asks already: a server need not know by what name it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
struct Endpoint<'a> {
    #[serde(rename = "requestUri")]
    path: &'a str,
}

impl<'a> Stream<'a> {
    /// Server-sent events at `path` of the same origin.
    pub const fn at(path: &'a str) -> Self {
        Self {
            kind: "sse",
            endpoint: Endpoint { path },
            inactive_s: 120,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        catalogue::{App, AppKill},
        compile::{Context, compile},
        digest::Digest,
        poll::Evaluation,
        revision::Revision,
        version::{Bundle, BundleFormat, Life, Permissions, Version},
    };

    const ROLLOUT: &str = r#"
        app = "pingan/travel"
        hosts = ["retail-bank"]
        stable = "1.0.0"
        pins = { "dev-pin" = "1.1.0" }
        [[rule]]
        name = "beta"
        when = { tag = "beta" }
        serve = "1.1.0"
        [[rule]]
        name = "some"
        when = { platform = "harmonyos" }
        share = "50%"
        serve = "1.1.0"
        [[rule]]
        name = "skins"
        when = { platform = "ios" }
        split = { a = { serve = "1.0.0", weight = 1 }, b = { serve = "1.1.0", weight = 1 } }
    "#;
    const PLAIN: &str = "app = \"pingan/travel\"\nhosts = [\"retail-bank\"]\nstable = \"1.0.0\"\n";

    fn app(rollout: &str) -> App {
        let mut app = App::new("pingan/travel".parse().unwrap(), String::new());
        app.revision = Revision::new(3);
        for number in ["1.0.0", "1.1.0"] {
            let version = Version {
                number: number.parse().unwrap(),
                bundle: Bundle {
                    sha256: Digest::of(number.as_bytes()),
                    bytes: 1,
                    format: BundleFormat::Zip,
                    files: 1,
                    unpacked_bytes: 1,
                },
                permissions: Permissions::default(),
                notes: String::new(),
                life: Life::Listed,
                submitted_at: Timestamp::EPOCH,
                dossier: Default::default(),
            };
            app.versions.insert(version.number.clone(), version.into());
        }
        app.rollout = Some(toml::from_str(rollout).unwrap());
        app
    }

    fn compiled(app: &App) -> CompiledApp {
        let context = Context {
            audience: "bank/prod".into(),
            poll_after_ms: 600_000,
            poll_spread_ms: 60_000,
            keyring: None,
        };
        compile(app, &context, &|_| None)
    }

    /// The flag for a context, without what is the same for all: key and braces.
    fn flag(app: &App, context: &str) -> String {
        let body = format!(r#"{{"context":{{{context}}}}}"#);
        let asked = Evaluation::from_json(body.as_bytes()).unwrap();
        let app = compiled(app);
        let (device, installed) = (asked.device(), asked.installed());
        let outcome = app.resolve(asked.host(), &device, &installed, Timestamp::EPOCH);
        serde_json::to_string(&Flag::of(&app, asked.host(), outcome)).unwrap()
    }

    fn delisted(app: &mut App, numbers: &[&str]) {
        for number in numbers {
            let number: Number = number.parse().unwrap();
            let mut version = Version::clone(&app.versions[&number]);
            version.life = Life::Delisted {
                reason: "leaks".into(),
                killed: true,
                at: Timestamp::EPOCH,
                before: None,
            };
            app.versions.insert(number, version.into());
        }
    }

    fn killed() -> App {
        let mut app = app(ROLLOUT);
        app.killed = Some(AppKill {
            reason: "fraud".into(),
            at: Timestamp::EPOCH,
        });
        app
    }

    #[test]
    fn a_flag_is_what_the_device_would_be_told() {
        let (split, plain) = (app(ROLLOUT), app(PLAIN));
        let mut no_one = app(ROLLOUT);
        delisted(&mut no_one, &["1.0.0", "1.1.0"]);
        let mut no_new = app(ROLLOUT);
        delisted(&mut no_new, &["1.1.0"]);
        let here = r#""host":"retail-bank","targetingKey""#;
        for (name, app, context, says) in [
            (
                "nothing to choose by",
                &plain,
                format!(r#"{here}:"d""#),
                r#""reason":"STATIC","variant":"1.0.0","value":"1.0.0","metadata":{"state":"run","cause":"stable","version":"1.0.0"}"#,
            ),
            (
                "no rule",
                &split,
                format!(r#"{here}:"d""#),
                r#""reason":"DEFAULT","variant":"1.0.0","value":"1.0.0","metadata":{"state":"run","cause":"stable","version":"1.0.0"}"#,
            ),
            (
                "a rule",
                &split,
                format!(r#"{here}:"d","tags":["beta"]"#),
                r#""reason":"TARGETING_MATCH","variant":"1.1.0","value":"1.1.0","metadata":{"state":"run","cause":"rule","version":"1.1.0","rule":"beta"}"#,
            ),
            (
                "a pin",
                &split,
                format!(r#"{here}:"dev-pin""#),
                r#""reason":"TARGETING_MATCH","variant":"1.1.0","value":"1.1.0","metadata":{"state":"run","cause":"pinned","version":"1.1.0"}"#,
            ),
            (
                "another host",
                &split,
                r#""host":"other","targetingKey":"d""#.into(),
                r#""reason":"DEFAULT","variant":"none","metadata":{"state":"none","cause":"none"}"#,
            ),
            (
                "a killed app",
                &killed(),
                format!(r#"{here}:"d""#),
                r#""reason":"DISABLED","variant":"killed","metadata":{"state":"killed","cause":"killed"}"#,
            ),
            (
                "a killed app, in another host",
                &killed(),
                r#""host":"other","targetingKey":"d""#.into(),
                r#""reason":"DISABLED","variant":"killed","metadata":{"state":"killed","cause":"killed"}"#,
            ),
            (
                "nothing listed any more",
                &no_one,
                format!(r#"{here}:"d""#),
                r#""reason":"DISABLED","variant":"none","metadata":{"state":"none","cause":"none"}"#,
            ),
            (
                "it runs what was killed, and there is nothing else",
                &no_one,
                format!(r#"{here}:"d","version":"1.1.0""#),
                r#""reason":"DISABLED","variant":"killed","metadata":{"state":"killed","cause":"killed"}"#,
            ),
            (
                "what its rule serves is killed",
                &no_new,
                format!(r#"{here}:"d","tags":["beta"]"#),
                r#""reason":"DEFAULT","variant":"1.0.0","value":"1.0.0","metadata":{"state":"run","cause":"stable","version":"1.0.0"}"#,
            ),
            (
                "all of it failed here",
                &plain,
                format!(r#"{here}:"d","failed":["1.0.0"]"#),
                r#""reason":"DISABLED","variant":"none","metadata":{"state":"none","cause":"none"}"#,
            ),
        ] {
            let expected = format!(r#"{{"key":"pingan/travel",{says}}}"#);
            assert_eq!(flag(app, &context), expected, "{name}");
        }
        let known = compiled(&killed());
        let device = crate::poll::Device::new("d");
        let installed = crate::poll::Installed::NONE;
        let outcome = known.resolve("retail-bank", &device, &installed, Timestamp::EPOCH);
        let resolved = Flag::of(&known, "retail-bank", outcome);
        assert_eq!(Flag::killed("pingan/travel"), resolved);
    }

    #[test]
    fn a_draw_is_a_split_and_both_sides_are_drawn() {
        let app = app(ROLLOUT);
        let (mut arms, mut shared) = ([0; 2], [0; 2]);
        for n in 0..200 {
            let context = |platform: &str| {
                format!(r#""host":"retail-bank","targetingKey":"dev-{n}","platform":"{platform}""#)
            };
            let said = flag(&app, &context("ios"));
            let (arm, version) = if said.contains(r#""value":"a""#) {
                ("a", "1.0.0")
            } else {
                ("b", "1.1.0")
            };
            arms[usize::from(arm == "b")] += 1;
            assert_eq!(
                said,
                format!(
                    r#"{{"key":"pingan/travel","reason":"SPLIT","variant":"{arm}","value":"{arm}","metadata":{{"state":"run","cause":"rule","version":"{version}","rule":"skins","arm":"{arm}"}}}}"#
                )
            );
            let said = flag(&app, &context("harmonyos"));
            let is_in = said.contains(r#""reason":"SPLIT","variant":"1.1.0""#);
            assert!(
                is_in || said.contains(r#""reason":"DEFAULT","variant":"1.0.0""#),
                "{said}"
            );
            shared[usize::from(is_in)] += 1;
        }
        assert!(
            arms.iter().chain(&shared).all(|n| *n > 50),
            "{arms:?} {shared:?}"
        );
    }

    #[test]
    fn the_cohorts_of_a_ramp_read_as_what_they_run() {
        let ramp = format!(
            "{PLAIN}[[rule]]\nname = \"next\"\nserve = \"1.1.0\"\nshare = \"25%\"\n[rule.ramp]\n\
             [[rule.ramp.guard]]\nmeasure = \"crashed\"\naction = \"hold\"\n[[rule.ramp.step]]\nshare = \"25%\"\nhold = \"1h\"\nunits = 10\n\
             [[rule.ramp.step]]\nshare = \"100%\"\n"
        );
        let app = app(&ramp);
        let mut seen = std::collections::BTreeSet::new();
        for n in 0..200 {
            let said = flag(
                &app,
                &format!(r#""host":"retail-bank","targetingKey":"dev-{n}""#),
            );
            let value = ["1.0.0", "1.1.0"].map(|v| said.contains(&format!(r#""value":"{v}""#)));
            assert!(value[0] != value[1], "{said}");
            assert!(!value[1] || said.contains("SPLIT"), "{said}");
            seen.insert(value);
        }
        assert_eq!(seen.len(), 2);
    }

    #[test]
    fn mistakes_have_the_words_of_the_protocol() {
        for (body, code) in [
            ("", "PARSE_ERROR"),
            (r#"{"context":7}"#, "PARSE_ERROR"),
            ("{}", "TARGETING_KEY_MISSING"),
            (
                r#"{"context":{"targetingKey":""}}"#,
                "TARGETING_KEY_MISSING",
            ),
            (r#"{"context":{"targetingKey":7}}"#, "INVALID_CONTEXT"),
            (r#"{"context":{"targetingKey":"d"}}"#, "INVALID_CONTEXT"),
        ] {
            let error = Evaluation::from_json(body.as_bytes()).unwrap_err();
            let failure = Failure::of(Some("a/b"), &error);
            let said = serde_json::to_string(&failure).unwrap();
            assert!(
                said.starts_with(&format!(
                    r#"{{"key":"a/b","errorCode":"{code}","errorDetails":""#
                )),
                "{said}"
            );
            assert_eq!(failure.code().word(), code);
        }
        let none = serde_json::to_string(&Failure::not_found("a/b")).unwrap();
        assert!(
            none.starts_with(r#"{"key":"a/b","errorCode":"FLAG_NOT_FOUND""#),
            "{none}"
        );
        for why in Why::ALL {
            assert_eq!(
                serde_json::to_string(&why).unwrap(),
                format!("\"{}\"", why.word())
            );
        }
    }

    #[test]
    fn all_flags_say_where_changes_are_told() {
        let streams = [Stream::at("/events")];
        let flags = vec![
            Entry::Flag(Flag::killed("a/b")),
            Entry::Failure(Failure::not_found("a/c")),
        ];
        let said = serde_json::to_string(&Bulk {
            flags,
            streams: &streams,
        });
        assert_eq!(
            said.unwrap(),
            concat!(
                r#"{"flags":[{"key":"a/b","reason":"DISABLED","variant":"killed","metadata":{"state":"killed","cause":"killed"}},"#,
                r#"{"key":"a/c","errorCode":"FLAG_NOT_FOUND","errorDetails":"no app is called so here; a flag's key is `tenant/app`"}],"#,
                r#""eventStreams":[{"type":"sse","endpoint":{"requestUri":"/events"},"inactivityDelaySec":120}]}"#,
            )
        );
    }

    #[test]
    fn time_alone_turns_answers_where_a_rule_begins_or_ends() {
        let timed = format!(
            "{PLAIN}[[rule]]\nname = \"new-year\"\nserve = \"1.1.0\"\nstart = \"2027-01-01T00:00:00Z\"\nend = \"2027-01-02T00:00:00Z\"\n"
        );
        let turns: Vec<_> = compiled(&app(&timed)).turns().collect();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(
            turns,
            [at("2027-01-01T00:00:00Z"), at("2027-01-02T00:00:00Z")]
        );
        assert_eq!(compiled(&app(ROLLOUT)).turns().count(), 0);
    }
}
