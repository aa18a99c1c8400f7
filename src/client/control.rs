//! The control plane from the operator's side: one request after the other, safe to repeat.
//!
//! Every change carries an `Idempotency-Key` that is kept over its retries, so a lost reply is never a
//! change made twice; whoever chose it can ask the server by it what became of the change. A change whose end
//! nobody knows is told as exactly that, with the key. The token is sent and never printed.

use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;
use serde_json::Value;
use ureq::{Agent, SendBody};

use super::http::{self, header, never_arrived};
use crate::{
    clock::{Ids as _, RandomIds},
    settings::Secret,
};

/// Tries of one change whose replies are lost.
const TRIES: u32 = 3;
/// How long a change of unknown end is asked about.
const PATIENCE: Duration = Duration::from_secs(20);
/// Pause between two questions.
const PAUSE: Duration = Duration::from_millis(250);
/// Bytes of an answer that are read.
const ANSWER_BYTES: u64 = 256 * 1024 * 1024;

/// The control plane of one server.
#[derive(Debug)]
pub struct Control {
    agent: Agent,
    server: String,
    token: Option<Secret>,
    ids: RandomIds,
}

/// What is sent with a change.
#[derive(Debug)]
pub enum Content<'a> {
    /// Nothing.
    None,
    /// A JSON document.
    Json(Value),
    /// A TOML document.
    Toml(String),
    /// A signed paper: its bytes are sent as they are.
    Signed(Vec<u8>),
    /// A file, streamed.
    File {
        /// The file.
        path: &'a Path,
        /// Its media type.
        media: &'static str,
    },
}

/// A change to ask for.
#[derive(Debug)]
pub struct Ask<'a> {
    /// `POST`, `PUT`, `DELETE`.
    pub method: &'static str,
    /// The path and query, from `/api/v1`.
    pub path: String,
    /// What is sent.
    pub content: Content<'a>,
    /// The revision it is made for: `*` or a number; none: not said.
    pub if_match: Option<String>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// The entity tag, without its quotes: a revision.
    pub revision: Option<String>,
    /// The document; null where there is none.
    pub document: Value,
    /// Its bytes, as they came.
    pub bytes: Vec<u8>,
}

/// A refusal, RFC 9457.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Problem {
    /// The status.
    #[serde(default)]
    pub status: u16,
    /// For programs.
    #[serde(default)]
    pub code: String,
    /// The code in words.
    #[serde(default)]
    pub title: String,
    /// What, where, and what to do.
    #[serde(default)]
    pub detail: String,
    /// The field at fault.
    #[serde(default)]
    pub field: Option<String>,
    /// Every mistake, where there can be several.
    #[serde(default)]
    pub errors: Vec<Mistake>,
}

/// One mistake among several.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct Mistake {
    /// Where, as a JSON pointer.
    #[serde(default)]
    pub pointer: Option<String>,
    /// Line in a TOML body.
    #[serde(default)]
    pub line: Option<u64>,
    /// Column in that line.
    #[serde(default)]
    pub column: Option<u64>,
    /// What is wrong.
    #[serde(default)]
    pub message: String,
    /// What to do.
    #[serde(default)]
    pub help: Option<String>,
}

/// Why there is no answer to go on with.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    /// Nobody there.
    #[error("`{server}` cannot be reached ({why}); check --server and that huidu runs there")]
    Unreachable {
        /// The server.
        server: String,
        /// Why.
        why: String,
    },
    /// The server refuses.
    #[error("{}", told(.0))]
    Refused(Box<Problem>),
    /// Whether the change was made is not known.
    #[error(
        "whether the change was made is not known ({why}); its op id is {op}: ask later with `huidu op {op}`, or repeat the command with --op {op}"
    )]
    Unknown {
        /// What it is recognised by.
        op: String,
        /// What happened.
        why: String,
    },
    /// An answer that makes no sense.
    #[error(
        "`{server}` answers with something that is no control plane (status {status}); check --server"
    )]
    Foreign {
        /// The server.
        server: String,
        /// The status.
        status: u16,
    },
    /// A file to be sent.
    #[error("`{}`: {error}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// No ids can be made.
    #[error("the system gives no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
}

/// A problem as people read it: the sentence, then every mistake on its own line.
fn told(problem: &Problem) -> String {
    let head = if problem.detail.is_empty() {
        &problem.title
    } else {
        &problem.detail
    };
    let mut text = if head.is_empty() {
        format!("refused with status {}", problem.status)
    } else {
        head.clone()
    };
    for mistake in &problem.errors {
        text.push_str("\n  ");
        match (mistake.line, mistake.column, &mistake.pointer) {
            (Some(line), column, _) => {
                text.push_str(&format!("{line}:{}: ", column.unwrap_or(1)));
            }
            (None, _, Some(pointer)) if !pointer.is_empty() => {
                text.push_str(&format!("{pointer}: "));
            }
            _ => {}
        }
        text.push_str(&mistake.message);
        if let Some(help) = &mistake.help {
            text.push_str(&format!("; {help}"));
        }
    }
    text
}

impl Control {
    /// The control plane at `server`, `http://…`.
    pub fn new(server: &str, token: Option<Secret>) -> Result<Self, ControlError> {
        Ok(Self {
            agent: http::agent(),
            server: server.trim_end_matches('/').to_owned(),
            token,
            ids: RandomIds::new()?,
        })
    }

    /// The control plane's address, as requests begin with it.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Reads `path`, which begins with `/api/v1`.
    pub fn get(&self, path: &str) -> Result<Reply, ControlError> {
        let reply = self.send("GET", path, &Content::None, None, None, &|_| {});
        self.answered(reply.map_err(|stop| self.unreachable(&stop))?)
    }

    /// Asks whether something is there.
    pub fn find(&self, path: &str) -> Result<Option<Reply>, ControlError> {
        match self.get(path) {
            Ok(reply) => Ok(Some(reply)),
            Err(ControlError::Refused(problem)) if problem.status == 404 => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks without changing anything, with a document.
    pub fn query(&self, path: &str, document: Value) -> Result<Reply, ControlError> {
        let content = Content::Json(document);
        let reply = self.send("POST", path, &content, None, None, &|_| {});
        self.answered(reply.map_err(|stop| self.unreachable(&stop))?)
    }

    /// A new op id.
    pub fn op(&self) -> String {
        self.ids.ulid().to_string()
    }

    /// Makes a change, again where the reply was lost, and waits until it is known what became of it.
    /// `progress` hears how many bytes of a file are sent.
    pub fn change(
        &self,
        ask: &Ask<'_>,
        op: &str,
        progress: &dyn Fn(u64),
    ) -> Result<Reply, ControlError> {
        let mut why = String::new();
        let mut may_have_arrived = false;
        for attempt in 0..TRIES {
            if attempt > 0 {
                thread::sleep(PAUSE * attempt);
            }
            let if_match = ask.if_match.as_deref();
            match self.send(
                ask.method,
                &ask.path,
                &ask.content,
                if_match,
                Some(op),
                progress,
            ) {
                Ok(reply) if reply.status == 202 && reply.document["state"] == "unknown" => {
                    return self.wait_for(op, "the store has not said yet");
                }
                Ok(reply) => return self.answered(reply),
                Err(Stop::File(error)) => return Err(error),
                Err(stop) => {
                    may_have_arrived |= !matches!(stop, Stop::NeverArrived(_));
                    why = stop.why();
                    if !may_have_arrived {
                        break;
                    }
                }
            }
        }
        if may_have_arrived {
            self.wait_for(op, &why)
        } else {
            Err(ControlError::Unreachable {
                server: self.server.clone(),
                why,
            })
        }
    }

    /// Asks what became of a change until it is known, or for long enough.
    pub fn wait_for(&self, op: &str, why: &str) -> Result<Reply, ControlError> {
        let since = Instant::now();
        let path = format!("/api/v1/ops/{}", http::escaped(op));
        loop {
            if let Ok(reply) = self.get(&path) {
                match reply.document["state"].as_str() {
                    Some("committed") => return Ok(reply),
                    Some("cancelled") => {
                        return Err(ControlError::Refused(Box::new(Problem {
                            status: 503,
                            detail: "the change was not made; ask again".into(),
                            ..Problem::default()
                        })));
                    }
                    _ => {}
                }
            }
            if since.elapsed() > PATIENCE {
                return Err(ControlError::Unknown {
                    op: op.to_owned(),
                    why: why.to_owned(),
                });
            }
            thread::sleep(PAUSE);
        }
    }

    fn send(
        &self,
        method: &'static str,
        path: &str,
        content: &Content<'_>,
        if_match: Option<&str>,
        op: Option<&str>,
        progress: &dyn Fn(u64),
    ) -> Result<Reply, Stop> {
        let mut request = ::http::Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.server))
            .header("accept", "application/json");
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        }
        match if_match {
            Some("*") => request = request.header("if-match", "*"),
            Some(revision) => {
                request = request.header("if-match", format!("\"{}\"", revision.trim_matches('"')));
            }
            None => {}
        }
        if let Some(op) = op {
            request = request.header("idempotency-key", op);
        }
        let reply = match content {
            Content::None => self.agent.run(request.body(()).map_err(Stop::of)?),
            Content::Json(document) => {
                let request = request.header("content-type", "application/json");
                self.agent
                    .run(request.body(document.to_string()).map_err(Stop::of)?)
            }
            Content::Toml(document) => {
                let request = request.header("content-type", "application/toml");
                self.agent
                    .run(request.body(document.as_str()).map_err(Stop::of)?)
            }
            Content::Signed(envelope) => {
                let request = request.header("content-type", "application/json");
                self.agent
                    .run(request.body(envelope.as_slice()).map_err(Stop::of)?)
            }
            Content::File { path, media } => {
                let unreadable = |error| {
                    Stop::File(ControlError::File {
                        path: path.to_path_buf(),
                        error,
                    })
                };
                let file = File::open(path).map_err(unreadable)?;
                let bytes = file.metadata().map_err(unreadable)?.len();
                let mut counted = Counted {
                    file,
                    sent: 0,
                    progress,
                };
                let request = request
                    .header("content-type", *media)
                    .header("content-length", bytes.to_string())
                    .body(SendBody::from_reader(&mut counted));
                self.agent.run(request.map_err(Stop::of)?)
            }
        };
        let mut reply = reply.map_err(Stop::of_call)?;
        let body = reply
            .body_mut()
            .with_config()
            .limit(ANSWER_BYTES)
            .read_to_vec();
        let body = body.map_err(Stop::of_call)?;
        Ok(Reply {
            status: reply.status().as_u16(),
            revision: header(&reply, "etag").map(|tag| tag.trim_matches('"').to_owned()),
            document: if body.is_empty() {
                Value::Null
            } else {
                serde_json::from_slice(&body)
                    .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&body).into_owned()))
            },
            bytes: body,
        })
    }

    fn answered(&self, reply: Reply) -> Result<Reply, ControlError> {
        if (200..300).contains(&reply.status) {
            return Ok(reply);
        }
        let problem = serde_json::from_value::<Problem>(reply.document).ok();
        match problem.filter(|problem| !problem.code.is_empty()) {
            Some(mut problem) => {
                problem.status = reply.status;
                Err(ControlError::Refused(Box::new(problem)))
            }
            None => Err(ControlError::Foreign {
                server: self.server.clone(),
                status: reply.status,
            }),
        }
    }

    fn unreachable(&self, stop: &Stop) -> ControlError {
        ControlError::Unreachable {
            server: self.server.clone(),
            why: stop.why(),
        }
    }
}

/// Why a request brought no answer.
enum Stop {
    /// Nothing was sent.
    NeverArrived(String),
    /// Something may have been.
    Lost(String),
    /// What was to be sent cannot be read.
    File(ControlError),
}

impl Stop {
    #[expect(clippy::needless_pass_by_value, reason = "handed to map_err")]
    fn of(error: ::http::Error) -> Self {
        Self::NeverArrived(error.to_string())
    }

    #[expect(clippy::needless_pass_by_value, reason = "handed to map_err")]
    fn of_call(error: ureq::Error) -> Self {
        if never_arrived(&error) {
            Self::NeverArrived(error.to_string())
        } else {
            Self::Lost(error.to_string())
        }
    }

    fn why(&self) -> String {
        match self {
            Self::NeverArrived(why) | Self::Lost(why) => why.clone(),
            Self::File(error) => error.to_string(),
        }
    }
}

/// A file that tells how much of it was read.
struct Counted<'a> {
    file: File,
    sent: u64,
    progress: &'a dyn Fn(u64),
}

impl Read for Counted<'_> {
    fn read(&mut self, window: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(window)?;
        self.sent += read as u64;
        (self.progress)(self.sent);
        Ok(read)
    }
}
