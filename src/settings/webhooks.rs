//! Receivers of webhooks, as the settings file lists them: `[[webhook]]`. The file alone: what nodes may be led to is
//! decided by whoever may write it, and by nobody who asks a node for something.

use std::{collections::BTreeSet, fs, path::PathBuf};

use huidu_core::{name::is_name, webhook::Topic};

use super::{
    Reader, Secret,
    raw::{Origin, Problem, Value},
};
use crate::signin::address::Address;

/// Receivers, at most.
const RECEIVERS: usize = 16;
/// Secrets of one, at most: the new one and the one before.
const SECRETS: usize = 2;
/// Characters of a secret.
const SECRET: std::ops::RangeInclusive<usize> = 32..=256;
/// What may be said of one.
const FIELDS: [&str; 6] = [
    "name",
    "address",
    "secret_file",
    "events",
    "private",
    "ca_file",
];

/// A receiver of webhooks.
#[derive(Debug, Clone)]
pub struct WebhookSettings {
    /// Its name, in metrics and logs.
    pub name: String,
    /// Where it is: `https://…`, or `http://…` on this machine.
    pub address: Address,
    /// What messages to it are signed with: the newest first.
    pub secrets: Vec<Secret>,
    /// What it is told of.
    pub topics: BTreeSet<Topic>,
    /// True: it may be in a network of the bank.
    pub private: bool,
    /// The certificates that its must lead to; none: those that browsers trust.
    pub ca_file: Option<PathBuf>,
}

/// One table of the list, as typed.
#[derive(Debug, Clone)]
pub(super) struct Typed {
    /// Where it begins.
    pub(super) origin: Origin,
    /// What it says.
    pub(super) fields: Vec<(String, Value, Origin)>,
}

impl Reader {
    /// The receivers that the file lists.
    pub(super) fn webhooks(&mut self) -> Vec<WebhookSettings> {
        let typed = std::mem::take(&mut self.raw.webhooks);
        if let Some(one) = typed.get(RECEIVERS) {
            let what = format!("there are more than {RECEIVERS} receivers; list fewer");
            self.told(&one.origin, "webhook", None, &what);
        }
        let mut read: Vec<WebhookSettings> = Vec::new();
        for one in typed.iter().take(RECEIVERS) {
            let Some(webhook) = self.webhook(one) else {
                continue;
            };
            if read.iter().any(|other| other.name == webhook.name) {
                let what = "another receiver has this name; each keeps its own place by it";
                self.told(&one.origin, "webhook.name", Some(webhook.name), what);
                continue;
            }
            read.push(webhook);
        }
        read
    }

    fn webhook(&mut self, typed: &Typed) -> Option<WebhookSettings> {
        let before = self.problems.len();
        for (field, _, origin) in &typed.fields {
            if !FIELDS.contains(&&**field) {
                let what = format!(
                    "there is no such setting; write one of {}",
                    FIELDS.join(", ")
                );
                self.told(origin, &format!("webhook.{field}"), None, &what);
            }
        }
        let name = self.text_of(typed, "name", |text| {
            let told = "use 1 to 63 of a-z 0-9 . _ - beginning with a letter or digit";
            is_name(text).then(|| text.to_owned()).ok_or(told.into())
        });
        // An address may hold a secret, so it is not shown.
        let address = self.text_of(typed, "address", |text| {
            Address::parse_endpoint(text).map_err(|fault| fault.to_string())
        });
        let secrets = self.text_of(typed, "secret_file", secrets);
        let events = match typed.field("events") {
            None => Ok(Topic::ALL.into()),
            Some((value, origin)) => topics(value).map_err(|what| (origin.clone(), what)),
        };
        let private = match typed.field("private") {
            None => Ok(false),
            Some((Value::Text(text), _)) if text == "true" => Ok(true),
            Some((Value::Text(text), _)) if text == "false" => Ok(false),
            Some((_, origin)) => Err((origin.clone(), "write true or false".to_owned())),
        };
        let ca_file = match typed.field("ca_file") {
            Some((Value::Text(text), _)) if !text.is_empty() => Some(PathBuf::from(text)),
            _ => None,
        };
        for (field, wrong) in [
            ("webhook.events", events.as_ref().err()),
            ("webhook.private", private.as_ref().err()),
        ] {
            if let Some((origin, what)) = wrong {
                self.told(origin, field, None, what);
            }
        }
        let webhook = WebhookSettings {
            name: name?,
            address: address?,
            secrets: secrets?,
            topics: events.ok()?,
            private: private.ok()?,
            ca_file,
        };
        (self.problems.len() == before).then_some(webhook)
    }

    /// A field that must be there; none: it is wrong, and that was told.
    fn text_of<T>(
        &mut self,
        typed: &Typed,
        field: &str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let key = format!("webhook.{field}");
        let Some((Value::Text(text), origin)) = typed.field(field) else {
            self.told(
                &typed.origin,
                &key,
                None,
                "is not set; each receiver has one",
            );
            return None;
        };
        let told = read(text);
        told.map_err(|what| self.told(origin, &key, None, &what))
            .ok()
    }

    fn told(&mut self, origin: &Origin, key: &str, given: Option<String>, what: &str) {
        self.problems.push(Problem {
            origin: origin.clone(),
            key: key.to_owned(),
            given,
            what: what.to_owned(),
        });
    }
}

impl Typed {
    fn field(&self, name: &str) -> Option<(&Value, &Origin)> {
        let mut found = self.fields.iter().filter(|(field, ..)| field == name);
        found.next().map(|(_, value, origin)| (value, origin))
    }
}

fn topics(value: &Value) -> Result<BTreeSet<Topic>, String> {
    let words = match value {
        Value::List(words) => words.as_slice(),
        Value::Text(word) => std::slice::from_ref(word),
    };
    let known = || {
        let known: Vec<&str> = Topic::ALL.iter().map(|topic| topic.word()).collect();
        format!(
            "write a list of {}; leave it out for all of them",
            known.join(", ")
        )
    };
    let read: Option<BTreeSet<Topic>> = words.iter().map(|word| Topic::named(word)).collect();
    read.filter(|topics| !topics.is_empty()).ok_or_else(known)
}

/// The secrets in a file, one a line.
fn secrets(file: &str) -> Result<Vec<Secret>, String> {
    let text = fs::read_to_string(file).map_err(|error| {
        format!("cannot be read ({error}); name a file that this user may read")
    })?;
    let lines: Vec<&str> = text.split_whitespace().collect();
    if !(1..=SECRETS).contains(&lines.len())
        || lines.iter().any(|line| !SECRET.contains(&line.len()))
    {
        let (least, most) = (SECRET.start(), SECRET.end());
        return Err(format!(
            "holds no secret, or a weak one; write one of {least} to {most} characters, or two, the newest first, each on a line of its own"
        ));
    }
    Ok(lines
        .into_iter()
        .map(|line| Secret::new(line.to_owned()))
        .collect())
}
