//! `huidu keys`: whose signatures count. Everything but `put` works on files alone, on a machine without a
//! network.

pub(super) mod files;
mod make;
mod show;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use ed25519_dalek::SigningKey;
use huidu_core::{
    envelope::{Envelope, Kind},
    key::{KeyId, PublicKey, Signer as _},
    keyring::{Keyring, Role, Trust},
    limits,
    paper::Paper as _,
    time::Timestamp,
};
use serde_json::json;

use self::make::Signers;
use super::{
    context::{Basis, Context},
    output::{Done, Failure, outlined, remark},
};
use crate::{
    client::control::Content,
    clock::{Clock as _, System},
    settings::Settings,
};

/// Whose signatures count.
#[derive(Debug, Subcommand)]
pub(super) enum Keys {
    /// Make one key: FILE, and its public half FILE.pub
    #[command(after_help = "Example:\n  huidu keys new release-lin.key")]
    New {
        /// Where
        file: PathBuf,
    },
    /// Make the first keyring, with new keys for every role that is given none
    Init(Init),
    /// Make the keyring that follows, with one more key
    #[command(
        after_help = "Example:\n  huidu keys add keyring-1.json release release-wei.key.pub --output keyring-2.json\n  huidu sign --key root-1.key --key root-2.key keyring-2.json"
    )]
    Add {
        /// The newest keyring
        keyring: PathBuf,
        /// The role it signs for
        #[arg(value_parser = role)]
        role: Role,
        /// Public keys
        #[arg(required = true)]
        keys: Vec<PathBuf>,
        #[command(flatten)]
        next: Next,
    },
    /// Make the keyring that follows, with keys in the place of others
    ///
    /// Of role `online` all keys are replaced and a new epoch begins.
    #[command(
        after_help = "Examples:\n  huidu keys rotate keyring-1.json online online-2.key.pub --output keyring-2.json\n  huidu keys rotate keyring-1.json release wei.pub --old 1f5ec1… --output keyring-2.json"
    )]
    Rotate {
        /// The newest keyring
        keyring: PathBuf,
        /// The role
        #[arg(value_parser = role)]
        role: Role,
        /// Public keys that come; none: the others are enough
        keys: Vec<PathBuf>,
        /// The id of a key that goes; may be repeated
        #[arg(long, value_name = "KEY-ID")]
        old: Vec<KeyId>,
        #[command(flatten)]
        next: Next,
    },
    /// What files say: keys (never their secret), papers and who signed them; of several keyrings, whether each
    /// follows the one before. Without files, the keyring in force on the server
    #[command(
        after_help = "Examples:\n  huidu keys show keyring-1.json keyring-2.json\n  huidu keys show lin.key.pub record.signed.json\n  huidu keys show"
    )]
    Show {
        /// Files, keyrings in order
        files: Vec<PathBuf>,
    },
    /// Put a keyring in force on the server
    #[command(after_help = "Example:\n  huidu keys put keyring-2.json --why 'yearly rotation'")]
    Put {
        /// The keyring, signed
        file: PathBuf,
    },
}

/// What a keyring that follows may change besides its keys.
#[derive(Debug, Args)]
pub(super) struct Next {
    /// How many keys of the role must sign from now on
    #[arg(long)]
    threshold: Option<u32>,
    /// How long it lasts, in days from now
    #[arg(long, default_value_t = 365)]
    days: u64,
    /// Where to write it, unsigned
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
}

/// Make the first keyring.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  huidu keys init ceremony --audience bank/prod
  huidu keys init ceremony --audience bank/prod --release 2:lin.key.pub,wei.key.pub,yan.key.pub --policy 2:ops.key.pub,sec.key.pub")]
pub(super) struct Init {
    /// Where everything is written
    dir: PathBuf,
    /// The installation
    #[arg(long, value_name = "BANK/ENVIRONMENT")]
    audience: String,
    /// For developers alone: customers' devices refuse it
    #[arg(long)]
    development: bool,
    /// Who signs keyrings: `2/3` makes three keys of which two must sign, `2:a.pub,b.pub` takes those
    #[arg(long, default_value = "2/3", value_parser = party, value_name = "K/N|K:FILES")]
    root: Party,
    /// Who signs release records
    #[arg(long, default_value = "2/3", value_parser = party, value_name = "K/N|K:FILES")]
    release: Party,
    /// Who signs app policies
    #[arg(long, default_value = "2/2", value_parser = party, value_name = "K/N|K:FILES")]
    policy: Party,
    /// The servers' key
    #[arg(long, default_value = "1/1", value_parser = party, value_name = "K/N|K:FILES")]
    online: Party,
    /// The key that signs the log
    #[arg(long, default_value = "1/1", value_parser = party, value_name = "K/N|K:FILES")]
    log: Party,
    /// The longest time an answer may be trusted
    #[arg(long, default_value = "15m", value_parser = crate::settings::units::duration, value_name = "DURATION")]
    max_lease: std::time::Duration,
    /// How long it lasts, in days
    #[arg(long, default_value_t = 365)]
    days: u64,
}

/// Who signs for a role.
#[derive(Debug, Clone)]
enum Party {
    New { threshold: u32, keys: u32 },
    Given { threshold: u32, files: Vec<PathBuf> },
}

fn party(text: &str) -> Result<Party, String> {
    let wrong =
        || "write `2/3` for two of three new keys, or `2:a.pub,b.pub` for two of those".to_owned();
    let (threshold, is_new, rest) = match (text.split_once('/'), text.split_once(':')) {
        (_, Some((threshold, files))) => (threshold, false, files),
        (Some((threshold, keys)), None) => (threshold, true, keys),
        (None, None) => return Err(wrong()),
    };
    let threshold: u32 = threshold.parse().map_err(|_| wrong())?;
    if is_new {
        let keys: u32 = rest.parse().map_err(|_| wrong())?;
        let fits = (1..=keys).contains(&threshold) && keys <= 20;
        return fits
            .then_some(Party::New { threshold, keys })
            .ok_or_else(wrong);
    }
    let files: Vec<PathBuf> = rest.split(',').map(PathBuf::from).collect();
    let fits = threshold >= 1 && threshold as usize <= files.len();
    fits.then_some(Party::Given { threshold, files })
        .ok_or_else(wrong)
}

fn role(text: &str) -> Result<Role, String> {
    let known = Role::ALL.into_iter().find(|role| role.word() == text);
    known.ok_or_else(|| "a role is root, release, policy, online or log".to_owned())
}

impl Party {
    /// Its public keys; new ones are made in `dir`, and those of the root are handed back to sign with.
    fn signers(
        &self,
        role: Role,
        dir: &Path,
        made: &mut Vec<(Role, SigningKey)>,
    ) -> anyhow::Result<Signers> {
        let (threshold, keys) = match self {
            Self::New { threshold, keys } => {
                let mut public = Vec::new();
                for number in 1..=*keys {
                    let key = files::make(&dir.join(format!("{}-{number}.key", role.word())))?;
                    public.push(key.public_key());
                    made.push((role, key));
                }
                (*threshold, public)
            }
            Self::Given { threshold, files } => {
                let public = files.iter().map(|file| files::read_public(file));
                (*threshold, public.collect::<Result<_, _>>()?)
            }
        };
        Ok(Signers {
            role,
            threshold,
            keys,
        })
    }
}

impl Init {
    fn run(&self, context: &Context) -> Done {
        fs::create_dir_all(&self.dir)
            .with_context(|| format!("`{}` cannot be made", self.dir.display()))?;
        let mut made = Vec::new();
        let mut signers = Vec::new();
        for (role, party) in [
            (Role::Root, &self.root),
            (Role::Release, &self.release),
            (Role::Policy, &self.policy),
            (Role::Online, &self.online),
            (Role::Log, &self.log),
        ] {
            signers.push(party.signers(role, &self.dir, &mut made)?);
        }
        let trust = if self.development {
            Trust::Dev
        } else {
            Trust::Prod
        };
        let lease = u32::try_from(self.max_lease.as_millis()).unwrap_or(u32::MAX);
        let expires = make::ahead(System.now(), self.days);
        let keyring = make::first(&self.audience, trust, expires, lease, &signers)?;
        let file = self.dir.join("keyring-1.json");
        let signed_by = write_signed(&keyring, &file, &made)?;
        let text = make::outline(&keyring, &signed_by);
        context.answer(&json!({ "file": file, "signed_by": signed_by }), |_| {
            format!(
                "{text}\n\n`{}` is the root of this installation",
                file.display()
            )
        });
        if trust == Trust::Prod && !made.is_empty() {
            remark(
                "Carry every .key file to the one person it is for, on a medium of its own, and delete it here; the servers get online-1.key and log-1.key alone.",
            );
        }
        Ok(0)
    }
}

fn write_signed(
    keyring: &Keyring,
    file: &Path,
    made: &[(Role, SigningKey)],
) -> anyhow::Result<Vec<KeyId>> {
    let mut envelope = Envelope::new(Kind::Keyring, keyring.to_payload());
    for (_, key) in made.iter().filter(|(role, _)| *role == Role::Root) {
        envelope.sign(key)?;
    }
    files::write_new(file, &envelope.to_bytes())?;
    Ok(signers_of(&envelope))
}

fn signers_of(envelope: &Envelope) -> Vec<KeyId> {
    let signatures = envelope.signatures().iter();
    signatures.map(|one| one.key.clone()).collect()
}

/// The first keyring of a development installation; made, with all its keys, when it is not there. The
/// servers' key is the one the node has.
pub(super) fn development(settings: &Settings, now: Timestamp) -> anyhow::Result<String> {
    let dir = settings.data_dir.join("keys");
    let file = dir.join("keyring-1.json");
    if file.exists() {
        return files::read_text(&file);
    }
    // What a start that was cut short left behind is worth nothing: no keyring names it.
    if dir.exists() {
        fs::remove_dir_all(&dir).with_context(|| format!("`{}`", dir.display()))?;
    }
    fs::create_dir_all(&dir).with_context(|| format!("`{}`", dir.display()))?;
    let online = files::read(&settings.data_dir.join("online.key"))?;
    let mut made = Vec::new();
    let log = files::read(&settings.data_dir.join("log.key"))?;
    let own = |role, key: &SigningKey| Signers {
        role,
        threshold: 1,
        keys: vec![key.public_key()],
    };
    let mut signers = vec![own(Role::Online, &online), own(Role::Log, &log)];
    for role in [Role::Root, Role::Release, Role::Policy] {
        let party = Party::New {
            threshold: 1,
            keys: 1,
        };
        signers.push(party.signers(role, &dir, &mut made)?);
    }
    let expires = make::ahead(now, 3_650);
    let lease = limits::LEASE_MS;
    let keyring = make::first(&settings.audience, Trust::Dev, expires, lease, &signers)?;
    write_signed(&keyring, &file, &made)?;
    tracing::warn!(dir = %dir.display(), "made DEVELOPMENT keys for every role, beside the server: customers' devices refuse this installation");
    files::read_text(&file)
}

impl Keys {
    pub(super) fn run(self, context: &Context) -> Done {
        match self {
            Self::New { file } => {
                let public = files::make(&file)?.public_key();
                let beside = files::public_path(&file);
                context.answer(&json!({ "kid": public.id(), "public": beside }), |_| {
                    format!("key {} in `{}`", public.id(), file.display())
                });
                Ok(0)
            }
            Self::Init(init) => init.run(context),
            Self::Add {
                keyring,
                role,
                keys,
                next,
            } => next.write(context, &keyring, |keyring, next| {
                make::add(keyring, role, &public(&keys)?, next.threshold)
            }),
            Self::Rotate {
                keyring,
                role,
                keys,
                old,
                next,
            } => next.write(context, &keyring, |keyring, next| {
                make::rotate(keyring, role, &old, &public(&keys)?, next.threshold)
            }),
            Self::Show { files } if files.is_empty() => context.show("/api/v1/keyring", outlined),
            Self::Show { files } => show::show(context, &files),
            Self::Put { file } => {
                let content = Content::Signed(files::read_paper(&file)?);
                let done = "the keyring is in force";
                context.change("POST", "/api/v1/keyring", content, &Basis::Nothing, done)
            }
        }
    }
}

fn public(paths: &[PathBuf]) -> anyhow::Result<Vec<PublicKey>> {
    paths.iter().map(|file| files::read_public(file)).collect()
}

impl Next {
    fn write(
        &self,
        context: &Context,
        known: &Path,
        change: impl FnOnce(&mut Keyring, &Self) -> anyhow::Result<()>,
    ) -> Done {
        let known = make::newest(&files::read_paper(known)?)?;
        by_a_later_build("keyring", &known.1)?;
        let known = known.0;
        let mut keyring = make::following(&known, make::ahead(System.now(), self.days));
        change(&mut keyring, self)?;
        let envelope = Envelope::new(Kind::Keyring, keyring.to_payload());
        files::write_new(&self.output, &envelope.to_bytes())?;
        let text = make::outline(&keyring, &[]);
        context.answer(&json!({ "file": self.output, "version": keyring.version }), |_| {
            format!(
                "{text}\n\n`{}` is to be signed by enough of the root of keyring {} and of its own: huidu sign --key … {}",
                self.output.display(),
                known.version,
                self.output.display()
            )
        });
        Ok(0)
    }
}

/// A paper that this build would write again with less in it is not gone on from.
pub(super) fn by_a_later_build(what: &str, unread: &[String]) -> Result<(), Failure> {
    if unread.is_empty() {
        return Ok(());
    }
    let unread = unread.join(", ");
    Err(Failure::Refused(format!(
        "the {what} says {unread}, which this build does not know and would leave out; use the build that wrote it"
    )))
}
