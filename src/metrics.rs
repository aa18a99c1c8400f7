//! Every metric, in one struct. The doc comment of a field is the help text of its metric.
//!
//! Names begin with `huidu_` and say their unit. A metric that has labels taken from the catalogue
//! (app, version, rule, arm) keeps at most [`SERIES`] different sets of them; every further set is
//! counted under `other`, so that no catalogue can exhaust a node or the monitor behind it. Labels never
//! hold anything that a device says about itself. The table in `docs/metrics.md` is made from here.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use huidu_core::manifest::{Reason, State};
use prometheus::{
    Encoder, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder, core::Collector,
};

/// Different sets of app, version, rule and arm that one metric counts apart.
pub const SERIES: usize = 10_000;
/// Stands in every label of what is not counted apart.
pub const OTHER: &str = "other";

/// What a metric looks like to the table of metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// The doc comment: several lines, each with a blank in front.
    help: &'static str,
}

impl Description {
    /// The help text on one line.
    pub fn help(&self) -> String {
        self.help.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn opts(&self) -> Opts {
        Opts::new(self.name, self.help())
    }
}

/// A kind of metric: how it is made of its description.
trait Kind: Collector + Clone + Sized + 'static {
    const KIND: &'static str;
    fn made(description: &Description, buckets: &[f64]) -> prometheus::Result<Self>;
}

macro_rules! kinds {
    ($($type:ident $kind:literal |$description:ident, $buckets:ident| $made:expr;)*) => {$(
        impl Kind for $type {
            const KIND: &'static str = $kind;
            fn made($description: &Description, $buckets: &[f64]) -> prometheus::Result<Self> {
                $made
            }
        }
    )*};
}

kinds! {
    IntCounter "counter" |description, _buckets| Self::with_opts(description.opts());
    IntGauge "gauge" |description, _buckets| Self::with_opts(description.opts());
    IntCounterVec "counter" |description, _buckets| Self::new(description.opts(), description.labels);
    IntGaugeVec "gauge" |description, _buckets| Self::new(description.opts(), description.labels);
    Histogram "histogram" |description, buckets| Self::with_opts(
        HistogramOpts::from(description.opts()).buckets(buckets.to_vec())
    );
    HistogramVec "histogram" |description, buckets| Self::new(
        HistogramOpts::from(description.opts()).buckets(buckets.to_vec()), description.labels
    );
}

macro_rules! metrics {
    ($(
        $(#[doc = $doc:literal])+
        $field:ident: $type:ident = $name:literal $([$($label:literal),+])? $(in $buckets:expr)?;
    )*) => {
        /// Every metric of a node.
        pub struct Metrics {
            registry: Registry,
            served_series: Series,
            reported_series: Series,
            $($(#[doc = $doc])+ pub $field: $type,)*
        }

        /// What every metric is, in the order of the struct.
        pub const DESCRIPTIONS: &[Description] = &[$(Description {
            name: $name,
            kind: <$type as Kind>::KIND,
            labels: &[$($($label),+)?],
            help: concat!($($doc, "\n"),+),
        }),*];

        impl Metrics {
            fn made() -> prometheus::Result<Self> {
                let registry = Registry::new();
                let mut descriptions = DESCRIPTIONS.iter();
                $(
                    let buckets: &[f64] = [$($buckets,)? &[]][0];
                    let description = descriptions.next().ok_or(prometheus::Error::AlreadyReg)?;
                    let $field = <$type as Kind>::made(description, buckets)?;
                    registry.register(Box::new($field.clone()))?;
                )*
                Ok(Self {
                    registry,
                    served_series: Series::default(),
                    reported_series: Series::default(),
                    $($field,)*
                })
            }
        }
    };
}

/// Of an operation on the store, in seconds.
const STORE_SECONDS: &[f64] = &[
    0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];
/// Of a kill on its way, in seconds.
const KILL_SECONDS: &[f64] = &[
    0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0, 300.0,
];
/// Of a change on its way into what is served, in seconds.
const APPLY_SECONDS: &[f64] = &[
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5,
];

metrics! {
    /// Polls answered, by what the device was told to do and why; an app of a batch counts as one poll.
    polls: IntCounterVec = "huidu_polls_total" ["state", "reason"];
    /// Polls that named an app this node does not know.
    polls_unknown_app: IntCounter = "huidu_polls_unknown_app_total";
    /// Polls answered by 304, because the device has the answer already.
    polls_not_modified: IntCounter = "huidu_polls_not_modified_total";
    /// Polls that were not understood, by the field that was wrong (`body` when it is none).
    polls_refused: IntCounterVec = "huidu_polls_refused_total" ["field"];
    /// Answers given, by what they serve; `rule` and `arm` are empty where no rule took the device. At
    /// most 10000 different sets of labels are counted apart, the rest under `other`.
    served: IntCounterVec = "huidu_served_total" ["app", "version", "rule", "arm"];
    /// What devices reported to this node, by what they run; `other` stands for what the catalogue does not know. At
    /// most 10000 different sets of labels are counted apart, the rest under `other`.
    reported: IntCounterVec = "huidu_reported_total" ["app", "version", "rule", "arm", "event"];
    /// Events that devices reported under a name, by what became of them: taken, duplicate, refused, no-room; and of
    /// those taken, duplicate-elsewhere (another node had it, it does not count) and never-checked (it counted while
    /// nobody could say whether another node had it).
    events: IntCounterVec = "huidu_events_total" ["outcome"];
    /// Sheets of counts kept in the store, or not.
    feedback_kept: IntCounterVec = "huidu_feedback_sheets_total" ["outcome"];
    /// Sheets of counts from other nodes or the store that this node does not understand.
    feedback_unread: IntCounter = "huidu_feedback_unread_total";
    /// Numbers of what devices reported that this node holds by minute.
    feedback_places: IntGauge = "huidu_feedback_places";
    /// Times that counts could not be told to the other nodes; they go to the store then.
    count_flush_failures: IntCounter = "huidu_count_flush_failures_total";
    /// Lists of kills given out.
    kill_lists: IntCounter = "huidu_kill_lists_total";
    /// Devices that wait for a change of the list of kills, and OpenFeature clients that wait for one of flags.
    kill_listeners: IntGauge = "huidu_kill_listeners";
    /// Those that were not let wait for one, because there were too many.
    kill_listeners_refused: IntCounter = "huidu_kill_listeners_refused_total";
    /// Lists of kills sent as events.
    kill_events: IntCounter = "huidu_kill_events_total";
    /// Flags given to OpenFeature clients, by reason.
    flags: IntCounterVec = "huidu_flags_total" ["reason"];
    /// Evaluations that OpenFeature clients were refused, and flags that there are none of, by error code.
    flags_refused: IntCounterVec = "huidu_flags_refused_total" ["code"];
    /// Events that told OpenFeature clients to ask anew.
    flag_events: IntCounter = "huidu_flag_events_total";
    /// Stamps signed; `inline` ones made a poll wait for a signature.
    stamps: IntCounterVec = "huidu_stamps_signed_total" ["when"];
    /// Times that a key of this node signed nothing when asked to (`online`: stamps, `log`: heads). Answers keep
    /// their old stamps meanwhile, and age.
    signer_failures: IntCounterVec = "huidu_signer_failures_total" ["key"];
    /// Answers and bundles that devices reported they did not believe, by the code of the doubt. `stale-node`
    /// is a node that lags; `other` a code this node does not know.
    doubts: IntCounterVec = "huidu_doubts_total" ["code"];
    /// Requests for bundles, by where the bytes came from (memory, file, store, none) and the status sent.
    bundle_requests: IntCounterVec = "huidu_bundle_requests_total" ["source", "status"];
    /// Bytes of bundles handed to connections, by where they came from.
    bundle_bytes: IntCounterVec = "huidu_bundle_bytes_total" ["source"];
    /// Bytes of bundles held in memory.
    bundle_memory_bytes: IntGauge = "huidu_bundle_memory_bytes";
    /// Bytes of bundles of a distant store that are kept on this disk.
    bundle_disk_bytes: IntGauge = "huidu_bundle_disk_bytes";
    /// Times a bundle could not be kept on this disk, and was sent from the store instead.
    bundle_disk_failures: IntCounter = "huidu_bundle_disk_failures_total";
    /// Open connections of the device plane.
    connections: IntGauge = "huidu_connections";
    /// Connections refused because there were too many.
    connections_refused: IntCounter = "huidu_connections_refused_total";
    /// Connections to the device plane that ended, or took too long, before TLS was agreed on.
    tls_failures: IntCounter = "huidu_tls_handshake_failures_total";
    /// Requests of the device plane refused under overload, with Retry-After.
    shed: IntCounter = "huidu_requests_shed_total";
    /// The revision this node serves.
    ledger_revision: IntGauge = "huidu_ledger_revision";
    /// Seconds since this node last proved that it serves everything there is; rises while the store is
    /// away, and stamps age with it.
    ledger_age_seconds: IntGauge = "huidu_ledger_age_seconds";
    /// Changes this node wrote to the ledger, by how they ended.
    ledger_appends: IntCounterVec = "huidu_ledger_appends_total" ["outcome"];
    /// What this node let happen to ramps, by act.
    ramp_acts: IntCounterVec = "huidu_ramp_acts_total" ["act"];
    /// Ramps that are running or held.
    ramps: IntGaugeVec = "huidu_ramps" ["phase"];
    /// Ramps that this node cannot judge, because what was counted is not known to it.
    ramps_blind: IntGauge = "huidu_ramps_blind";
    /// Guards of ramps that are running or held, by what each says now: pass, fail, inconclusive, error.
    ramp_verdicts: IntGaugeVec = "huidu_ramp_verdicts" ["verdict"];
    /// Ramps whose units do not arrive in the cohorts as they are drawn.
    ramps_skewed: IntGauge = "huidu_ramps_skewed";
    /// Messages to receivers of webhooks, by how each try ended: delivered, failed (it is tried again), given-up (it was
    /// not taken for a day, and is not tried again).
    webhook_deliveries: IntCounterVec = "huidu_webhook_deliveries_total" ["receiver", "outcome"];
    /// Messages that wait for a receiver of webhooks, as the node knows that tells it; 0 on the others. Those that were
    /// not read from the ledger yet are not counted.
    webhook_waiting: IntGaugeVec = "huidu_webhook_waiting" ["receiver"];
    /// Seconds since what the oldest of them tells happened; 0: none waits.
    webhook_oldest_seconds: IntGaugeVec = "huidu_webhook_oldest_seconds" ["receiver"];
    /// 1 while this node is the one that tells a receiver of webhooks. Without Redis all nodes do.
    webhook_turn: IntGaugeVec = "huidu_webhook_turn" ["receiver"];
    /// Checkpoints this node wrote, by how it ended.
    ledger_checkpoints: IntCounterVec = "huidu_ledger_checkpoints_total" ["outcome"];
    /// Records of the ledger that do not count: written by nobody who may, or without the agreement they take.
    ledger_invalid: IntCounter = "huidu_ledger_invalid_records_total";
    /// Looks at the ledger because a device had heard of a later revision.
    looks: IntCounter = "huidu_looks_for_devices_total";
    /// Signed heads of the ledger that this node wrote, or could not.
    heads: IntCounterVec = "huidu_ledger_heads_total" ["outcome"];
    /// The revision of the last checkpoint this node wrote or started from.
    ledger_checkpoint_revision: IntGauge = "huidu_ledger_checkpoint_revision";
    /// Seconds from the record of a kill, by its writer's clock, to this node serving it.
    kill_propagation_seconds: Histogram = "huidu_kill_propagation_seconds" in KILL_SECONDS;
    /// Kills in force here that the ledger does not have yet.
    provisional_kills: IntGauge = "huidu_provisional_kills";
    /// Kills that were in force here before the ledger had them, by how the ledger settled them: committed, or
    /// voided (then somebody else's record governs, or nobody who may had asked).
    kills_settled: IntCounterVec = "huidu_provisional_kills_settled_total" ["outcome"];
    /// Notices of kills that other nodes sent, by what became of them: in-force, known, settled, refused, shed.
    kill_notices: IntCounterVec = "huidu_kill_notices_total" ["outcome"];
    /// Nodes that were told of a kill by this one, by whether they answered that they refuse it (reached, unreached).
    kill_peers: IntCounterVec = "huidu_kill_peers_total" ["outcome"];
    /// Times a kill could not be kept on this disk: it is in force, and would not outlast the process.
    kill_disk_failures: IntCounter = "huidu_kill_disk_failures_total";
    /// Seconds from a kill being asked of this node to its answer.
    kill_seconds: Histogram = "huidu_kill_answer_seconds" in KILL_SECONDS;
    /// Seconds from a revision being known to this node to polls being answered from it.
    apply_seconds: Histogram = "huidu_apply_seconds" in APPLY_SECONDS;
    /// Operations on the store, by verb and how they ended.
    store_operations: IntCounterVec = "huidu_store_operations_total" ["verb", "outcome"];
    /// Seconds that operations on the store took, by verb.
    store_seconds: HistogramVec = "huidu_store_operation_seconds" ["verb"] in STORE_SECONDS;
    /// 1 while the store answers, else 0.
    store_up: IntGauge = "huidu_store_up";
    /// 1 while the bus is connected, else 0; losing it costs speed, never a change.
    bus_up: IntGauge = "huidu_bus_up";
    /// Tokens that expire within two weeks; `huidu token list` shows them.
    tokens_expiring: IntGauge = "huidu_tokens_expiring";
    /// Tokens that have expired and were not taken back.
    tokens_expired: IntGauge = "huidu_tokens_expired";
    /// Hints received over the bus.
    bus_hints: IntCounter = "huidu_bus_hints_total";
    /// Times the bus was connected again.
    bus_reconnects: IntCounter = "huidu_bus_reconnects_total";
    /// Nodes of this installation that this one heard within seconds, itself among them.
    fleet_nodes: IntGauge = "huidu_fleet_nodes";
    /// Nodes that were heard within the hour and are silent now.
    fleet_silent: IntGauge = "huidu_fleet_silent_nodes";
    /// Different builds among the nodes that are heard.
    fleet_versions: IntGauge = "huidu_fleet_versions";
    /// Revisions by which this node is behind the one that is furthest.
    fleet_behind: IntGauge = "huidu_fleet_revisions_behind";
    /// Nodes that came to another state at a revision that this one knows; 1 as well while this node does not know
    /// whether it is the wrong one. Anything but 0 is an alarm.
    fleet_differing: IntGauge = "huidu_fleet_differing_nodes";
    /// Times that words could not be exchanged with the other nodes over the bus.
    fleet_beat_failures: IntCounter = "huidu_fleet_beat_failures_total";
    /// 1 while this node is quarantined: others came to another state, and it serves nothing but what stops.
    quarantined: IntGauge = "huidu_quarantined";
    /// Times that this node went through the whole ledger because others came to another state, by what it found of
    /// itself (`right`, `wrong`), or `failed`.
    state_verified: IntCounterVec = "huidu_state_verifications_total" ["outcome"];
    /// The number of the keyring in force; 0: none.
    keyring_version: IntGauge = "huidu_keyring_version";
    /// 1 while the keyring in force lists this node's online key; else devices do not believe the node.
    online_key_trusted: IntGauge = "huidu_online_key_trusted";
    /// Units of the segments in memory.
    segment_units: IntGauge = "huidu_segment_units";
    /// Bytes of the segments in memory.
    segment_bytes: IntGauge = "huidu_segment_bytes";
    /// Apps that can be polled.
    live_apps: IntGauge = "huidu_live_apps";
    /// Answers prepared for all apps.
    live_answers: IntGauge = "huidu_live_answers";
    /// Requests of the control plane, by method, route and status.
    control_requests: IntCounterVec = "huidu_control_requests_total" ["method", "route", "status"];
}

/// The sets of labels that are counted apart.
#[derive(Default)]
struct Series(Mutex<HashSet<Box<str>>>);

impl Series {
    /// True when this set is, or may yet be, counted apart.
    fn admits(&self, labels: &[&str]) -> bool {
        let key = labels.join("\0");
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.contains(key.as_str()) {
            return true;
        }
        known.len() < SERIES && known.insert(key.into())
    }
}

impl Metrics {
    /// All metrics, at zero.
    #[expect(
        clippy::expect_used,
        reason = "names and labels are the constants of this file, and every test makes them"
    )]
    pub fn new() -> Self {
        Self::made().expect("the metrics of this file can be registered together")
    }

    /// The counter of one kind of outcome. Resolved when an answer is made, never on a poll.
    pub fn outcome(&self, state: State, reason: Reason) -> IntCounter {
        let state = match state {
            State::Run => "run",
            State::None => "none",
            State::Killed => "killed",
        };
        self.polls.with_label_values(&[state, reason.word()])
    }

    /// The counter of one answer. Resolved when the answer is made, never on a poll.
    pub fn served_of(&self, app: &str, version: &str, rule: &str, arm: &str) -> IntCounter {
        let labels = [app, version, rule, arm];
        let apart = self.served_series.admits(&labels);
        self.served
            .with_label_values(if apart { &labels } else { &[OTHER; 4] })
    }

    /// The counter of one kind of report.
    pub fn reported_of(&self, labels: [&str; 5]) -> IntCounter {
        let [.., event] = labels;
        let apart = self.reported_series.admits(&labels);
        let beyond = [OTHER, OTHER, OTHER, OTHER, event];
        self.reported
            .with_label_values(if apart { &labels } else { &beyond })
    }

    /// Counts one operation on the store.
    pub fn store_operation(&self, verb: &str, outcome: &str, took: Duration) {
        self.store_operations
            .with_label_values(&[verb, outcome])
            .inc();
        self.store_seconds
            .with_label_values(&[verb])
            .observe(took.as_secs_f64());
    }

    /// All metrics in Prometheus' text form.
    pub fn render(&self) -> String {
        let mut text = Vec::new();
        // Writing to memory does not fail; a family without samples is left out.
        let families = self.registry.gather();
        if TextEncoder::new().encode(&families, &mut text).is_err() {
            return String::new();
        }
        String::from_utf8(text).unwrap_or_default()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The table of metrics for people, as `docs/metrics.md` holds it.
pub fn table() -> String {
    let mut text = String::from(
        "# Metrics\n\n\
         `GET /metrics` on the control plane, in Prometheus' text form. This table is made from the doc\n\
         comments of `src/metrics.rs` by its test; `HUIDU_BLESS=1 cargo test --lib metrics` writes it anew.\n\n\
         No label holds anything that a device says about itself. Labels taken from the catalogue are bounded:\n\
         at most 10000 different sets of them per metric, the rest is counted under `other`.\n\n\
         | name | kind | labels | what it tells |\n|---|---|---|---|\n",
    );
    for description in DESCRIPTIONS {
        let Description {
            name, kind, labels, ..
        } = description;
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let row = format!(
            "| `{name}` | {kind} | {} | {} |\n",
            labels.join(" "),
            description.help()
        );
        text.push_str(&row);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_named_and_explained() {
        let mut names = HashSet::new();
        for description in DESCRIPTIONS {
            let name = description.name;
            assert!(name.starts_with("huidu_"), "{name}");
            assert!(names.insert(name), "{name} is there twice");
            assert!(
                description.help().len() >= 15,
                "{name}: {}",
                description.help()
            );
            assert_eq!(
                name.ends_with("_total"),
                description.kind == "counter",
                "{name}"
            );
        }
        assert!(
            Metrics::new()
                .render()
                .contains("huidu_requests_shed_total 0")
        );
    }

    #[test]
    fn the_table_for_people_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/metrics.md");
        if std::env::var_os("HUIDU_BLESS").is_some() {
            std::fs::create_dir_all(concat!(env!("CARGO_MANIFEST_DIR"), "/docs")).unwrap();
            std::fs::write(path, table()).unwrap();
        }
        let kept = std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(kept, table(), "run HUIDU_BLESS=1 cargo test --lib metrics");
    }

    #[test]
    fn labels_are_bounded() {
        let metrics = Metrics::new();
        for n in 0..SERIES + 50 {
            metrics.served_of(&format!("t/a{n}"), "1.0.0", "", "").inc();
        }
        assert_eq!(metrics.served_of("t/a0", "1.0.0", "", "").get(), 1);
        assert_eq!(metrics.served.with_label_values(&[OTHER; 4]).get(), 50);
    }

    #[test]
    fn what_is_counted_is_rendered() {
        let metrics = Metrics::new();
        metrics.outcome(State::Run, Reason::Rule).inc();
        metrics.store_operation("get", "ok", Duration::from_millis(3));
        let text = metrics.render();
        assert!(
            text.contains(r#"huidu_polls_total{reason="rule",state="run"} 1"#),
            "{text}"
        );
        assert!(text.contains(r#"huidu_store_operation_seconds_bucket{verb="get",le="0.005"} 1"#));
    }
}
