//! Every number that bounds anything, on one page, each with why.
//!
//! The same constants bound what may be written (`decide`) and what is read, so no revision can be
//! larger than a node accepts. Nothing here is configurable: a limit that differs between two nodes
//! would let one of them refuse what the other wrote.

/// Bytes of a name (tenant, app, host, rule, arm, layer, segment, tag): short enough to type and to print.
pub const NAME_BYTES: usize = 63;
/// Bytes of a salt or of a unit. A device id is 16 to 64 bytes; hashing stays a handful of blocks.
pub const UNIT_BYTES: usize = 128;
/// Bytes of a free text that people read (a title, a reason, notes).
pub const TEXT_BYTES: usize = 2_000;
/// Rules in one rollout. The walk is linear in rules that a device does not match.
pub const RULES: usize = 1_000;
/// Arms of one split.
pub const ARMS: usize = 64;
/// Sum of the weights of one split, so that a switch between two splits can be counted exactly.
pub const WEIGHT_TOTAL: u32 = 10_000;
/// Depth of nested `any`/`all`/`not`: evaluation is recursive and must not exhaust a stack.
pub const AUDIENCE_DEPTH: usize = 8;
/// Predicates in one audience.
pub const AUDIENCE_TERMS: usize = 256;
/// Values in one list of one predicate (longer lists are segments).
pub const LIST_VALUES: usize = 1_000;
/// Pins (unit → version) of one rollout (longer lists are segments).
pub const PINS: usize = 10_000;
/// Floors (versions that may not be skipped) of one rollout.
pub const FLOORS: usize = 100;
/// Hosts of one rollout.
pub const HOSTS: usize = 64;
/// Parameters of one serve, and bytes of one value.
pub const PARAMS: usize = 64;
/// Bytes of one parameter value.
pub const PARAM_BYTES: usize = 1_024;
/// Versions kept per app.
pub const VERSIONS: usize = 10_000;
/// Permissions asked for by one version.
pub const PERMISSIONS: usize = 256;
/// Host APIs and pages that the catalogue of permissions names; the whole catalogue is one event.
pub const CATALOGUE_PERMISSIONS: usize = 2_000;
/// Bytes of the title of one of them.
pub const GRADED_TITLE_BYTES: usize = 200;
/// Bytes of a list of files: 5 000 files with long paths.
pub const FILE_LIST_BYTES: usize = 8 * 1024 * 1024;
/// Bytes of the number of a filing.
pub const FILING_BYTES: usize = 100;
/// Approvals that one version can need.
pub const APPROVALS: u8 = 10;
/// People of one installation.
pub const MEMBERS: usize = 10_000;
/// Versions of one app that are on trial at a time; each poll of the app looks at all of them.
pub const TRIALS: usize = 16;
/// Test devices of one trial.
pub const TRIAL_DEVICES: usize = 200;
/// Links of one trial that are open at a time.
pub const TRIAL_PREVIEWS: usize = 64;
/// The longest that a preview link is open.
pub const PREVIEW_MS: u64 = 14 * 24 * 60 * 60 * 1000;
/// Units of one sample that statistics judge: a hundred times everybody, and still counted exactly by a float.
pub const STATS_UNITS: u64 = 1_000_000_000_000;
/// Units in one segment.
pub const SEGMENT_UNITS: u64 = 100_000_000;
/// Slots of a layer: 0.01 % each.
pub const LAYER_SLOTS: u16 = 10_000;
/// Bytes of one rule file or rollout document.
pub const RULE_FILE_BYTES: usize = 1024 * 1024;
/// Bytes of one ledger record. A record is read by every node: small enough to read in one piece.
pub const RECORD_BYTES: usize = 1024 * 1024;
/// Wants whose end is remembered, so that a retry is recognised; every checkpoint carries them.
pub const RECENT_OPS: usize = 4_096;
/// Bytes of a kill that is told to other nodes before the ledger has it, its signature among them.
pub const NOTICE_BYTES: usize = 32 * 1024;
/// Kills that a node holds before the ledger has them.
pub const NOTICES: usize = 1_024;
/// Revisions that whoever took a kill may be ahead of a node that is told of it.
pub const NOTICE_AHEAD: u64 = 1 << 20;
/// Bytes of one manifest body, so that a client can bound what it reads.
pub const MANIFEST_BYTES: usize = 64 * 1024;
/// Bytes of a query string (or `Huidu-Device` header) of a single poll.
pub const QUERY_BYTES: usize = 4 * 1024;
/// Bytes of the body of a batch poll or of a batch of events.
pub const POLL_BODY_BYTES: usize = 256 * 1024;
/// Flags in one answer to an OpenFeature client: as many as apps in a batch poll.
pub const FLAGS: usize = 200;
/// Bytes of the body of an evaluation: a context, and the names of as many apps as one may ask about.
pub const EVALUATION_BYTES: usize = 64 * 1024;
/// Apps in one batch poll.
pub const POLL_APPS: usize = 200;
/// Tags one device may carry.
pub const POLL_TAGS: usize = 64;
/// Free attributes one device may carry.
pub const POLL_ATTRS: usize = 32;
/// Bytes of one attribute value.
pub const ATTR_BYTES: usize = 256;
/// Failed releases one device may name for one app.
pub const POLL_FAILED: usize = 32;
/// Events in one report.
pub const REPORT_EVENTS: usize = 1_000;
/// How much one event without a name, or of a counter, may stand for.
pub const EVENT_COUNT: u64 = 1_000;
/// How long an event is known again: an hour. A device that sends one again after longer is refused.
pub const EVENT_WINDOW_MS: u64 = 60 * 60 * 1_000;
/// Events that a node knows again at a time; one more is put off. Two such windows are at most 256 MiB.
pub const EVENT_IDS: usize = 8_000_000;
/// How far back the minute lies in which an event still counts; what is older counts when it arrives.
pub const EVENT_AGO_S: u64 = 60 * 60;
/// Cells (version, rule, arm) that are counted of one app.
pub const FEEDBACK_CELLS: usize = 1_000;
/// Counters of an app's own, by name.
pub const FEEDBACK_COUNTERS: usize = 32;
/// Numbers that a node holds by minute: about 150 bytes each.
pub const FEEDBACK_PLACES: usize = 2_000_000;
/// Minutes after which numbers are settled to hours: two days.
pub const FEEDBACK_OPEN_MINUTES: u32 = 2 * 24 * 60;
/// Minutes after which a node forgets what the store still has: 30 days.
pub const FEEDBACK_MINUTES: u32 = 30 * 24 * 60;
/// Bytes of one sheet of counts.
pub const SHEET_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of a bundle: the hard ceiling; settings may lower it.
pub const BUNDLE_BYTES: u64 = 200 * 1024 * 1024;
/// Bytes of one signed envelope (keyring, release record, app policy).
pub const ENVELOPE_BYTES: usize = 64 * 1024;
/// Signatures in one envelope or beside one stamp: each costs a verification.
pub const SIGNATURES: usize = 32;
/// Depth of signed JSON: readers are recursive.
pub const JSON_DEPTH: usize = 8;
/// The largest integer in signed JSON: what every language holds exactly.
pub const JSON_INTEGER: u64 = (1 << 53) - 1;
/// Keys in one keyring.
pub const KEYS: usize = 64;
/// Groups of one role, each with a threshold of its own.
pub const KEY_GROUPS: usize = 4;
/// Keyrings a device walks at most in one go, from the one it has to the newest.
pub const KEYRING_STEPS: u64 = 64;
/// The longest lease a keyring may allow: a week.
pub const LEASE_MS: u32 = 7 * 24 * 60 * 60 * 1_000;
/// How far a device's knowledge may move in one answer: a revision beyond is no honest one.
pub const REVISION_STEP: u64 = 1 << 32;
/// Ranges of positions that one answer may be bound to.
pub const COHORT_RANGES: usize = 512;
/// Cohorts one answer may be bound to: a share, a layer and what encloses them.
pub const COHORTS: usize = 8;
/// Platforms one release or answer may name.
pub const PLATFORMS: usize = 16;
/// Releases one policy may revoke one by one; a floor takes back all before it.
pub const REVOKED: usize = 1_000;
/// Approvers one release record may name.
pub const APPROVERS: usize = 16;
/// Changes that wait to be agreed on at the same time.
pub const PROPOSALS: usize = 1_000;
/// How long a token holds where nobody says how long, in milliseconds: 90 days.
pub const TOKEN_MS: u64 = 90 * 24 * 60 * 60 * 1000;
/// How long a token may hold at most, in milliseconds: 366 days.
pub const TOKEN_LONGEST_MS: u64 = 366 * 24 * 60 * 60 * 1000;
/// How long before a token expires somebody is told, in milliseconds: two weeks.
pub const TOKEN_SOON_MS: u64 = 14 * 24 * 60 * 60 * 1000;
/// How long a change waits to be agreed on, or for its time, in milliseconds: two weeks.
pub const PROPOSAL_MS: u64 = 14 * 24 * 60 * 60 * 1000;
/// Steps of one ramp plan, and guards that watch a step: each guard is judged every few seconds.
pub const RAMP_STEPS: usize = 32;
/// Guards of one step. Each gets its part of `alpha`, so many of them see little.
pub const RAMP_GUARDS: usize = 16;
/// Change windows of one plan, and freezes.
pub const RAMP_WINDOWS: usize = 32;
/// The longest that a step is held: what waits longer waits for an approval.
pub const RAMP_HOLD_MS: u64 = 31 * 24 * 60 * 60 * 1000;
/// Experiments of one app that are remembered; beyond, those that ended first are forgotten.
pub const EXPERIMENTS: usize = 64;
/// Experiments of one app that run at the same time.
pub const EXPERIMENTS_RUNNING: usize = 32;
/// The longest that an experiment may be asked to run at least: counts are kept for 30 days.
pub const EXPERIMENT_LEAST_MS: u64 = 28 * 24 * 60 * 60 * 1000;
