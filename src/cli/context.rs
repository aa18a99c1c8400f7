//! What a verb works with: the flags, the server, and a way to say things.

use std::{
    env, fs,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
};

use anyhow::Context as _;
use huidu_core::name::AppId;
use serde_json::{Value, json};

use super::{
    Globals,
    login::kept,
    output::{Done, Failure, remark, say},
};
use crate::{
    client::control::{Ask, Content, Control, Reply},
    settings::Secret,
};

/// What a change is made for, when nobody names a revision.
pub(super) enum Basis<'a> {
    /// Something new, or something that may always be done: no revision.
    Nothing,
    /// The app as it is now.
    App(&'a AppId),
    /// Whatever is at this path now; nothing there is fine too.
    At(&'a str),
    /// Whatever revision it is at.
    Any,
}

/// Flags and the way to the server.
#[derive(Debug)]
pub(super) struct Context {
    globals: Globals,
}

impl Context {
    pub(super) const fn new(globals: Globals) -> Self {
        Self { globals }
    }

    pub(super) const fn is_json(&self) -> bool {
        self.globals.json
    }

    /// The server: as the flag says, or the environment, or `default`.
    pub(super) fn server(&self, variable: &str, default: &str) -> String {
        let given = self.globals.server.clone();
        let given = given.or_else(|| env::var(variable).ok().filter(|text| !text.is_empty()));
        given.unwrap_or_else(|| default.to_owned())
    }

    /// The server, with the credential.
    pub(super) fn control(&self) -> Result<Control, Failure> {
        let token = match (&self.globals.token, &self.globals.token_file) {
            (Some(token), _) => Some(token.trim().to_owned()),
            (None, Some(file)) => {
                let text = fs::read_to_string(file).with_context(|| {
                    format!("the token file `{}` cannot be read", file.display())
                })?;
                Some(text.trim().to_owned())
            }
            (None, None) => kept::find(self.stranger()?.server())?,
        };
        let server = self.server("HUIDU_SERVER", "http://127.0.0.1:8081");
        Ok(Control::new(&server, token.map(Secret::new))?)
    }

    /// The server, without any credential.
    pub(super) fn stranger(&self) -> Result<Control, Failure> {
        let server = self.server("HUIDU_SERVER", "http://127.0.0.1:8081");
        Ok(Control::new(&server, None)?)
    }

    /// Reads something and says it.
    pub(super) fn show(&self, path: &str, text: impl Fn(&Value) -> String) -> Done {
        let reply = self.control()?.get(path)?;
        self.answer(&reply.document, text);
        Ok(0)
    }

    /// Says a document: as it is, or as `text` puts it.
    pub(super) fn answer(&self, document: &Value, text: impl Fn(&Value) -> String) {
        if self.globals.json {
            say(&format!("{document:#}"));
        } else {
            say(&text(document));
        }
    }

    /// Makes a change and says which revision it became.
    pub(super) fn change(
        &self,
        method: &'static str,
        path: &str,
        content: Content<'_>,
        basis: &Basis<'_>,
        done: &str,
    ) -> Done {
        let reply = self.ask(method, path, content, basis, &|_| {})?;
        self.changed(&reply.document, done);
        Ok(0)
    }

    /// Says what a change led to.
    pub(super) fn changed(&self, document: &Value, done: &str) {
        self.answer(document, |document| {
            if let Some(id) = document["waits"]["id"].as_str() {
                let lacks = &document["waits"]["lacks"];
                return match document["waits"]["enact_at"].as_str() {
                    Some(at) => format!("not yet: change `{id}` waits for {lacks} approval(s) and for {at}"),
                    None => format!("not yet: change `{id}` waits for {lacks} approval(s); somebody else: huidu change approve {id}"),
                };
            }
            let repeated = if document["repeated"] == true {
                ", as before"
            } else {
                ""
            };
            format!("{done} (revision {}{repeated})", document["revision"])
        });
    }

    /// Makes a change.
    pub(super) fn ask(
        &self,
        method: &'static str,
        path: &str,
        content: Content<'_>,
        basis: &Basis<'_>,
        progress: &dyn Fn(u64),
    ) -> Result<Reply, Failure> {
        let control = self.control()?;
        let if_match = match (&self.globals.if_match, basis) {
            (Some(given), _) => Some(given.clone()),
            (None, Basis::Nothing) => None,
            (None, Basis::Any) => Some("*".into()),
            (None, Basis::App(app)) => Some(revision(&control.get(&app_path(app))?)?),
            (None, Basis::At(path)) => control
                .find(path)?
                .map(|found| revision(&found))
                .transpose()?,
        };
        self.send(&control, method, path, content, if_match, progress)
    }

    /// Makes a change of what was looked at when it had `revision`.
    pub(super) fn ask_at(
        &self,
        method: &'static str,
        path: &str,
        content: Content<'_>,
        revision: &str,
    ) -> Result<Reply, Failure> {
        let if_match = self
            .globals
            .if_match
            .clone()
            .unwrap_or_else(|| revision.to_owned());
        let control = self.control()?;
        self.send(&control, method, path, content, Some(if_match), &|_| {})
    }

    fn send(
        &self,
        control: &Control,
        method: &'static str,
        path: &str,
        content: Content<'_>,
        if_match: Option<String>,
        progress: &dyn Fn(u64),
    ) -> Result<Reply, Failure> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let more = query(&[
            ("why", self.globals.why.as_deref()),
            ("at", self.globals.enact_at.as_deref()),
        ]);
        let path = if more.is_empty() {
            path.to_owned()
        } else {
            format!("{path}{joint}{more}")
        };
        let ask = Ask {
            method,
            path,
            content,
            if_match,
        };
        let op = self.globals.op.clone().unwrap_or_else(|| control.op());
        Ok(control.change(&ask, &op, progress)?)
    }

    /// Asks back, unless `--yes`.
    pub(super) fn confirm(&self, question: &str) -> Result<(), Failure> {
        if self.globals.yes {
            return Ok(());
        }
        if !io::stdin().is_terminal() {
            return Err(Failure::Usage(format!(
                "{question} Nobody is there to answer; add --yes"
            )));
        }
        let _ = write!(io::stderr(), "{question} [y/N] ");
        let mut answer = String::new();
        io::stdin()
            .lock()
            .read_line(&mut answer)
            .context("the answer cannot be read")?;
        if matches!(answer.trim(), "y" | "Y" | "yes" | "是") {
            Ok(())
        } else {
            Err(Failure::Refused("left as it is".into()))
        }
    }

    /// Says why a verb failed; the exit code.
    pub(super) fn fail(&self, failure: &Failure) -> u8 {
        let code = failure.code();
        if self.globals.json {
            remark(&json!({ "error": failure.to_string(), "exit": code }).to_string());
        } else {
            remark(&format!("huidu: {failure}"));
        }
        code
    }
}

/// The revision of something: its entity tag, or what its document says.
fn revision(reply: &Reply) -> Result<String, Failure> {
    let told = reply.document["revision"]
        .as_u64()
        .map(|number| number.to_string());
    let tag = reply.revision.clone().or(told);
    tag.ok_or_else(|| Failure::Refused("the server names no revision; give --if-match".into()))
}

/// Where an app is.
pub(super) fn app_path(app: &AppId) -> String {
    format!("/api/v1/apps/{app}")
}

/// A query string of the pairs that have a value.
pub(super) fn query(pairs: &[(&str, Option<&str>)]) -> String {
    crate::client::query(pairs)
}
