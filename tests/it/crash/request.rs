//! A change as it goes over the wire, every time the same bytes.

use std::{io, net::SocketAddr};

use serde_json::json;
use ulid::Ulid;

use super::{
    APP,
    check::{Change, Told},
};
use crate::support::{
    archives,
    wire::{Reply, Wire},
};

/// Which of two kinds.
pub(super) const fn kind(change: &Change) -> usize {
    match change {
        Change::Publish(_) => 0,
        Change::Kill(_) => 1,
    }
}

/// A change as it is sent, every time the same.
pub(super) struct Request {
    path: String,
    headers: Vec<(&'static str, String)>,
    body: Vec<u8>,
}

impl Request {
    pub(super) fn of(op: Ulid, change: &Change, token: &str) -> Self {
        let (path, media, body) = match change {
            Change::Publish(version) => (
                format!("/api/v1/apps/{APP}/versions?version={version}&list=true"),
                "application/gzip",
                archives::saying(version),
            ),
            Change::Kill(version) => (
                format!("/api/v1/apps/{APP}/kill"),
                "application/json",
                json!({"version": version, "reason": "it loses orders"})
                    .to_string()
                    .into_bytes(),
            ),
        };
        let headers = vec![
            ("authorization", format!("Bearer {token}")),
            ("idempotency-key", op.to_string()),
            ("content-type", media.to_owned()),
        ];
        Self {
            path,
            headers,
            body,
        }
    }

    pub(super) fn send(&self, to: SocketAddr) -> io::Result<Reply> {
        let headers: Vec<_> = (self.headers.iter())
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        Wire::connect(to)?.ask("POST", &self.path, &headers, &self.body)
    }
}

/// What an answer says, when it says that the change was made.
pub(super) fn made(reply: &Reply) -> Option<Told> {
    let said = reply.json();
    matches!(reply.status, 200 | 201).then(|| Told {
        revision: said["revision"].as_u64().unwrap(),
        repeated: said["repeated"] == true,
    })
}
