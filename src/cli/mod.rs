//! The command line: the tree of verbs, the flags all of them share, and what an exit code means.
//!
//! One file a verb. A verb reads its arguments, asks one thing and says the answer, for people or as JSON;
//! it decides nothing that the server or the core decides.

mod app;
mod audit;
mod bucket;
mod change;
mod completions;
mod context;
mod device;
mod experiment;
mod explain;
mod fleet;
mod health;
mod history;
mod host;
mod keys;
mod kill;
mod login;
mod member;
mod op;
mod output;
pub mod parts;
mod permission;
mod policy;
mod progress;
mod ramp;
mod review;
mod rollout;
mod rules;
mod segment;
mod serve;
mod sign;
mod status;
mod store;
mod tenant;
#[cfg(test)]
mod tests;
mod token;
mod trial;
mod version;

use std::{path::PathBuf, process::ExitCode};

use clap::{Args, Parser, Subcommand};

use context::Context;

/// Exit codes, as `--help` shows them.
const EXIT_CODES: &str = "\
Exit codes:
  0  done
  1  refused, or failed
  2  wrong usage; or, for `rules plan --detailed-exitcode`, something would change
  3  the server cannot be reached
  4  whether the change was made is not known; the op id is printed

Environment:
  HUIDU_SERVER, HUIDU_TOKEN, HUIDU_TOKEN_FILE   as the flags of those names
  HUIDU_DEVICE_SERVER                           as --server of `huidu device`
  HUIDU_CONFIG and HUIDU_<SETTING>              settings of `huidu serve`, see deploy/huidu.toml";

/// Gray releases of mini-programs: publish, roll out by rule and share, explain, kill.
#[derive(Debug, Parser)]
#[command(name = "huidu", version, after_help = EXIT_CODES, max_term_width = 110)]
pub struct Cli {
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    verb: Verb,
}

/// Flags that every verb understands.
#[derive(Debug, Clone, Args)]
struct Globals {
    #[arg(
        long,
        global = true,
        value_name = "URL",
        help_heading = "Server",
        help = "The control plane [env: HUIDU_SERVER; default: http://127.0.0.1:8081]; for `device` the data plane \
            [env: HUIDU_DEVICE_SERVER; default: http://127.0.0.1:8080]"
    )]
    server: Option<String>,
    /// The credential; better in the environment or a file than on a command line
    #[arg(
        long,
        global = true,
        env = "HUIDU_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN",
        help_heading = "Server"
    )]
    token: Option<String>,
    /// The file that holds the credential
    #[arg(
        long,
        global = true,
        env = "HUIDU_TOKEN_FILE",
        value_name = "FILE",
        conflicts_with = "token",
        help_heading = "Server"
    )]
    token_file: Option<PathBuf>,
    /// Answer as JSON
    #[arg(long, global = true, help_heading = "Output")]
    json: bool,
    /// Do not ask back
    #[arg(long, short = 'y', global = true, help_heading = "Changes")]
    yes: bool,
    /// The revision the change is made for, or `*`; left out, the one that is read just before
    #[arg(long, global = true, value_name = "REVISION", help_heading = "Changes")]
    if_match: Option<String>,
    /// The change's id: give the same one again to repeat a change whose end is not known
    #[arg(long, global = true, value_name = "ID", help_heading = "Changes")]
    op: Option<String>,
    /// Why, for the history
    #[arg(long, global = true, value_name = "TEXT", help_heading = "Changes")]
    why: Option<String>,
    /// Let the change happen at a later time, once people agreed where that is needed
    #[arg(long, global = true, value_name = "TIME", help_heading = "Changes")]
    enact_at: Option<String>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run a node
    Serve(serve::Serve),
    /// Look at the object store
    #[command(subcommand)]
    Store(store::Store),
    /// What the server says of itself
    Status(status::Status),
    /// The nodes, and whether they agree
    Fleet(fleet::Fleet),
    /// Sign in as a person, by a browser on this machine
    Login(login::Login),
    /// End the session of this command line
    Logout(login::Logout),
    /// Who this command line is
    Whoami(login::Whoami),
    /// Partner merchants
    #[command(subcommand)]
    Tenant(tenant::Tenant),
    /// Bank apps that run mini-programs
    #[command(subcommand)]
    Host(host::Host),
    /// Mini-programs
    #[command(subcommand)]
    App(app::App),
    /// Versions of a mini-program
    #[command(subcommand)]
    Version(version::Version),
    /// What is in a version, and who finds it fit
    #[command(subcommand)]
    Review(review::Review),
    /// Versions under review, in sandboxes
    #[command(subcommand)]
    Trial(trial::Trial),
    /// What mini-programs may do
    #[command(subcommand)]
    Permission(permission::Permission),
    /// Which version each device gets
    #[command(subcommand)]
    Rollout(rollout::Rollout),
    /// Rules that grow by themselves
    #[command(subcommand)]
    Ramp(ramp::Ramp),
    /// A/B tests
    #[command(subcommand)]
    Experiment(experiment::Experiment),
    /// Stop a version, or a whole app, now
    Kill(kill::Kill),
    /// Take a kill back
    Unkill(kill::Unkill),
    /// Uploaded lists of units
    #[command(subcommand)]
    Segment(segment::Segment),
    /// Rule files: check, plan, apply, evaluate, test
    #[command(subcommand)]
    Rules(rules::Rules),
    /// Where units stand in a rollout
    Bucket(bucket::Bucket),
    /// What devices reported of an app
    Health(health::Health),
    /// Why a device gets what it gets
    Explain(explain::Explain),
    /// What was changed, by whom and why
    History(history::History),
    /// What a copy of the store proves
    #[command(subcommand)]
    Audit(audit::Audit),
    /// What was true at a moment
    At(audit::At),
    /// What became of a change
    Op(op::Op),
    /// Credentials
    #[command(subcommand)]
    Token(token::Token),
    /// People
    #[command(subcommand)]
    Member(member::Member),
    /// Changes that people agree on
    #[command(subcommand)]
    Change(change::Change),
    /// Whose signatures count: keyrings and key files
    #[command(subcommand)]
    Keys(keys::Keys),
    /// Sign a keyring, a release record or an app policy, offline
    Sign(sign::Sign),
    /// What holds for all versions of an app, signed offline
    #[command(subcommand)]
    Policy(policy::Policy),
    /// Be a device
    Device(device::Device),
    /// Completions for a shell
    Completions(completions::Completions),
}

/// Runs what was typed.
pub fn run(cli: Cli) -> ExitCode {
    ExitCode::from(code(cli))
}

fn code(cli: Cli) -> u8 {
    let context = Context::new(cli.globals);
    let done = match cli.verb {
        Verb::Serve(verb) => verb.run(&context),
        Verb::Store(verb) => verb.run(&context),
        Verb::Status(verb) => verb.run(&context),
        Verb::Fleet(verb) => verb.run(&context),
        Verb::Login(verb) => verb.run(&context),
        Verb::Logout(verb) => verb.run(&context),
        Verb::Whoami(verb) => verb.run(&context),
        Verb::Tenant(verb) => verb.run(&context),
        Verb::Host(verb) => verb.run(&context),
        Verb::App(verb) => verb.run(&context),
        Verb::Version(verb) => verb.run(&context),
        Verb::Review(verb) => verb.run(&context),
        Verb::Trial(verb) => verb.run(&context),
        Verb::Permission(verb) => verb.run(&context),
        Verb::Rollout(verb) => verb.run(&context),
        Verb::Ramp(verb) => verb.run(&context),
        Verb::Experiment(verb) => verb.run(&context),
        Verb::Kill(verb) => verb.run(&context),
        Verb::Unkill(verb) => verb.run(&context),
        Verb::Segment(verb) => verb.run(&context),
        Verb::Rules(verb) => verb.run(&context),
        Verb::Bucket(verb) => verb.run(&context),
        Verb::Health(verb) => verb.run(&context),
        Verb::Explain(verb) => verb.run(&context),
        Verb::History(verb) => verb.run(&context),
        Verb::Audit(verb) => verb.run(&context),
        Verb::At(verb) => verb.run(&context),
        Verb::Op(verb) => verb.run(&context),
        Verb::Token(verb) => verb.run(&context),
        Verb::Member(verb) => verb.run(&context),
        Verb::Change(verb) => verb.run(&context),
        Verb::Keys(verb) => verb.run(&context),
        Verb::Sign(verb) => verb.run(&context),
        Verb::Policy(verb) => verb.run(&context),
        Verb::Device(verb) => verb.run(&context),
        Verb::Completions(verb) => verb.run(&context),
    };
    done.unwrap_or_else(|failure| context.fail(&failure))
}
