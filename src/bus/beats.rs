//! Beats of all nodes in one Redis: each node keeps its own last words there for seconds, whoever asks reads all.
//!
//! A name whose words are gone is that of a node which was silent for too long. What is read here was written by
//! whoever can write to that Redis: the reader checks signatures, and decides nothing by what is missing.

use std::time::Duration;

use ::redis::{Client, IntoConnectionInfo as _};

use super::{
    counts::{CountsError, Kept},
    redis::RedisBusError,
};

/// How long words are kept, in milliseconds.
const KEPT_MS: u64 = 10_000;
/// How long the names are kept after the last beat of any node, in seconds.
const NAMES_SECONDS: i64 = 3_600;
/// The most names that are read: a Redis that somebody fills is not worth more.
const NAMES: usize = 1_000;

/// The beats of one installation.
pub struct RedisBeats {
    redis: Kept,
    prefix: String,
}

impl RedisBeats {
    /// Beats of `audience` on the Redis at `url`. Connects when it is first used.
    pub fn new(url: &str, audience: &str, patience: Duration) -> Result<Self, RedisBusError> {
        let info = url.into_connection_info().map_err(RedisBusError::Address)?;
        Ok(Self {
            redis: Kept::new(
                Client::open(info).map_err(RedisBusError::Address)?,
                patience,
            ),
            prefix: format!("huidu:beats:{audience}"),
        })
    }

    /// Keeps `text` as the last words of `node`; answers those of all nodes.
    pub async fn exchange(&self, node: &str, text: &str) -> Result<Vec<String>, CountsError> {
        let names = format!("{}:nodes", self.prefix);
        let mut pipe = ::redis::pipe();
        pipe.cmd("SET")
            .arg(self.of(node))
            .arg(text)
            .arg("PX")
            .arg(KEPT_MS)
            .ignore();
        pipe.sadd(&names, node).ignore();
        pipe.expire(&names, NAMES_SECONDS).ignore();
        pipe.smembers(&names);
        let (mut known,): (Vec<String>,) = self.redis.ask(&pipe).await?;
        known.truncate(NAMES);
        let keys: Vec<String> = known.iter().map(|name| self.of(name)).collect();
        let mut pipe = ::redis::pipe();
        pipe.mget(&keys);
        let (texts,): (Vec<Option<String>>,) = self.redis.ask(&pipe).await?;
        let silent: Vec<&String> = known
            .iter()
            .zip(&texts)
            .filter(|(_, text)| text.is_none())
            .map(|(name, _)| name)
            .collect();
        if !silent.is_empty() {
            let mut pipe = ::redis::pipe();
            // One that speaks again names itself again.
            pipe.srem(&names, silent).ignore();
            let (): () = self.redis.ask(&pipe).await?;
        }
        Ok(texts.into_iter().flatten().collect())
    }

    fn of(&self, node: &str) -> String {
        format!("{}:of:{node}", self.prefix)
    }
}
