//! A node told something by another node: one short question, one short answer, and patience for neither.
//!
//! Blocking like all of this folder; whoever must not wait asks on a thread of its own. Nothing is believed
//! because of the connection: what is said, and what is answered, is signed.

use std::time::Duration;

use bytes::Bytes;
use ureq::{Agent, Body, http::Response};

use super::NoCertificates;

/// A whole call, from the connection to the last byte.
const PATIENCE: Duration = Duration::from_millis(900);
/// To connect.
const CONNECT: Duration = Duration::from_millis(400);
/// Bytes of an answer.
const ANSWER_BYTES: u64 = 64 * 1024;
/// Connections kept for the next time, to all nodes together and to one.
const IDLE: (usize, usize) = (256, 2);
/// What is sent.
const MEDIA: &str = "application/vnd.huidu.kill+json";

/// The way to other nodes.
#[derive(Debug, Clone)]
pub struct Peers {
    agent: Agent,
}

impl Peers {
    /// The way to nodes whose certificates, where they show any, lead to `authorities` (PEM), or to those that
    /// browsers trust.
    pub fn new(authorities: Option<&[u8]>) -> Result<Self, NoCertificates> {
        let agent = super::agent(authorities)?
            .timeout_global(Some(PATIENCE))
            .timeout_connect(Some(CONNECT))
            .max_idle_connections(IDLE.0)
            .max_idle_connections_per_host(IDLE.1)
            .build()
            .new_agent();
        Ok(Self { agent })
    }

    /// Tells the node at `address` of a kill; what it answers, or why it does not.
    pub fn tell(&self, address: &str, notice: &[u8]) -> Result<Bytes, String> {
        let target = format!("{address}/peer/v1/kills");
        let request = self.agent.post(target).header("content-type", MEDIA);
        answered(request.send(notice))
    }

    /// Reads what the node at `address` last said of itself.
    pub fn hear(&self, address: &str) -> Result<Bytes, String> {
        answered(self.agent.get(format!("{address}/peer/v1/beat")).call())
    }
}

/// The whole answer, or why there is none.
fn answered(reply: Result<Response<Body>, ureq::Error>) -> Result<Bytes, String> {
    let mut reply = reply.map_err(|error| error.to_string())?;
    let status = reply.status().as_u16();
    let body = reply
        .body_mut()
        .with_config()
        .limit(ANSWER_BYTES)
        .read_to_vec();
    let body = body.map_err(|error| error.to_string())?;
    if status == 200 {
        return Ok(body.into());
    }
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let why = problem["code"].as_str().unwrap_or_default();
    Err(format!(
        "it answers {status} {}",
        why.chars().take(40).collect::<String>()
    ))
}
