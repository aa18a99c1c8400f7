//! `huidu login`, `huidu logout`, `huidu whoami`: who a command line is.
//!
//! The browser signs in, this command waits on loopback for what it brings, and claims the session with what
//! only it knows. No browser is opened unless one is named. The session is kept where its owner alone can
//! read it, and is never printed.

pub(super) mod kept;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::Command,
    sync::mpsc,
    thread,
    time::Duration,
};

use anyhow::Context as _;
use clap::Args;
use data_encoding::BASE64URL_NOPAD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use super::{
    context::{Context, query},
    output::{Done, Failure, outlined, remark},
};

/// How long a person may take.
const PATIENCE: Duration = Duration::from_secs(10 * 60);
/// How long a browser may take to say what it wants.
const REQUEST: Duration = Duration::from_secs(5);
/// Bytes of a request.
const REQUEST_BYTES: u64 = 16 * 1024;

/// Sign in as a person, by a browser on this machine.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  huidu login\n  huidu login --fresh                  for what takes a sign-in of the last five minutes\n  huidu login --browser firefox\n  huidu login --port 8765              behind `ssh -L 8765:127.0.0.1:8765`"
)]
pub(super) struct Login {
    /// Prove anew who you are
    #[arg(long)]
    fresh: bool,
    /// The program that opens the address; left out, it is only printed
    #[arg(long, value_name = "PROGRAM")]
    browser: Option<String>,
    /// The port on loopback to wait on; left out, any that is free
    #[arg(long, default_value_t = 0)]
    port: u16,
}

/// End the session of this command line.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  huidu logout")]
pub(super) struct Logout {}

/// Who this command line is.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  huidu whoami --json")]
pub(super) struct Whoami {}

impl Login {
    pub(super) fn run(self, context: &Context) -> Done {
        let control = context.stranger()?;
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, self.port))
            .with_context(|| format!("port {} of loopback cannot be waited on", self.port))?;
        let port = listener
            .local_addr()
            .context("the port is not known")?
            .port();
        let (state, verifier) = (chance()?, chance()?);
        let challenge = BASE64URL_NOPAD.encode(&Sha256::digest(verifier.as_bytes()));
        let asked = query(&[
            ("port", Some(&port.to_string())),
            ("challenge", Some(&challenge)),
            ("state", Some(&state)),
            ("fresh", self.fresh.then_some("1")),
        ]);
        let address = format!("{}/api/v1/signin?{asked}", control.server());
        let brought = wait(listener, state);
        remark(&format!(
            "open this address in a browser on this machine:\n\n  {address}\n"
        ));
        if let Some(browser) = &self.browser {
            let opened = Command::new(browser).arg(&address).spawn();
            opened.with_context(|| format!("`{browser}` cannot be started"))?;
        }
        let grant = brought.recv_timeout(PATIENCE).map_err(|_| {
            Failure::Refused("nobody signed in within ten minutes; run it again".into())
        })?;
        let claim = json!({ "grant": grant, "verifier": verifier });
        let claimed = control.query("/api/v1/signin/token", claim)?.document;
        let (Some(token), Some(member)) = (claimed["token"].as_str(), claimed["member"].as_str())
        else {
            return Err(Failure::Refused(
                "the server gave no session; compare versions".into(),
            ));
        };
        let path = kept::keep(control.server(), token)?;
        let until = claimed["until"].as_str().unwrap_or_default();
        let told = json!({ "member": member, "until": until, "file": path });
        context.answer(&told, |_| {
            format!(
                "signed in as `{member}` until {until}; the session is in {}",
                path.display()
            )
        });
        Ok(0)
    }
}

impl Logout {
    pub(super) fn run(self, context: &Context) -> Done {
        let control = context.control()?;
        // The session is forgotten here whatever the server says.
        let was_kept = kept::forget(control.server())?;
        if was_kept {
            control.query("/api/v1/signout", json!({}))?;
        }
        let told = json!({ "signed_out": was_kept });
        context.answer(&told, |_| {
            if was_kept {
                "signed out"
            } else {
                "nobody was signed in"
            }
            .to_owned()
        });
        Ok(0)
    }
}

impl Whoami {
    pub(super) fn run(self, context: &Context) -> Done {
        context.show("/api/v1/whoami", outlined)
    }
}

fn chance() -> anyhow::Result<String> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).context("the system gives no randomness")?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

/// Waits for the browser that brings a grant with `state`; whatever else comes is told that it is wrong here.
fn wait(listener: TcpListener, state: String) -> mpsc::Receiver<String> {
    let (bring, brought) = mpsc::channel();
    thread::spawn(move || {
        for connection in listener.incoming().flatten() {
            if let Some(grant) = granted(&connection, &state) {
                // Whoever waited may have lost patience.
                let _gone = bring.send(grant);
                return;
            }
        }
    });
    brought
}

fn granted(mut connection: &TcpStream, state: &str) -> Option<String> {
    connection.set_read_timeout(Some(REQUEST)).ok()?;
    connection.set_write_timeout(Some(REQUEST)).ok()?;
    let mut reader = BufReader::new(connection.take(REQUEST_BYTES));
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    // The rest is read too: a connection that is closed on unread bytes may lose the answer.
    let mut header = String::new();
    while reader.read_line(&mut header).ok()? > 0 && !header.trim().is_empty() {
        header.clear();
    }
    let grant = grant_in(&line, state);
    let (status, text) = match grant {
        Some(_) => (
            "200 OK",
            "Signed in. Go back to where you typed `huidu login`.\n",
        ),
        None => ("404 Not Found", "This is not the end of a sign-in.\n"),
    };
    let answer = format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: {}\r\ncache-control: no-store\r\nreferrer-policy: no-referrer\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    let _gone = connection.write_all(answer.as_bytes());
    grant
}

/// The grant of a request line, when it comes with the state that was asked with.
fn grant_in(line: &str, state: &str) -> Option<String> {
    let target = line.strip_prefix("GET /?")?.split(' ').next()?;
    let pairs = || target.split('&').filter_map(|pair| pair.split_once('='));
    let named = |name| {
        pairs()
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    };
    (named("state") == Some(state)).then(|| named("grant").map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_grant_with_the_state_that_was_asked_with_is_taken() {
        for (line, grant) in [
            ("GET /?grant=g&state=s HTTP/1.1", Some("g")),
            ("GET /?state=s&grant=g HTTP/1.1", Some("g")),
            ("GET /?grant=g&state=t HTTP/1.1", None),
            ("GET /?grant=g HTTP/1.1", None),
            ("GET /?state=s HTTP/1.1", None),
            ("POST /?grant=g&state=s HTTP/1.1", None),
            ("GET /favicon.ico HTTP/1.1", None),
            ("", None),
        ] {
            assert_eq!(grant_in(line, "s").as_deref(), grant, "{line}");
        }
    }
}
