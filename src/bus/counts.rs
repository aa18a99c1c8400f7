//! Counts of all nodes in one Redis: each run of a node keeps its own absolute numbers, whoever asks adds
//! them up.
//!
//! Absolute numbers under the run's own name make a repeated write, or one whose answer was lost, change
//! nothing. Redis may forget everything at any time: the answer says when that has happened, so that the
//! caller writes all of it again. Nothing that anybody depends on lies only here.

use std::{collections::BTreeMap, time::Duration};

use ::redis::{Client, IntoConnectionInfo as _, RedisError, aio::MultiplexedConnection};
use tokio::{sync::Mutex, time::timeout};

use super::redis::RedisBusError;

/// How long the numbers of a run are kept after its last word, in seconds: 30 days.
const KEPT_SECONDS: i64 = 30 * 24 * 3_600;

/// The counts of one installation.
pub struct RedisCounts {
    redis: Kept,
    prefix: String,
}

/// A Redis that is asked now and then, over one connection that is kept.
pub(super) struct Kept {
    client: Client,
    patience: Duration,
    connection: Mutex<Option<MultiplexedConnection>>,
}

/// Why numbers were not kept, or not read.
#[derive(Debug, thiserror::Error)]
pub enum CountsError {
    /// Redis refused, or the connection broke.
    #[error("Redis does not keep counts")]
    Redis(#[from] RedisError),
    /// No answer in time.
    #[error("Redis has not answered within {0:?}")]
    Slow(Duration),
}

/// What was there before a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Before {
    /// Earlier numbers of this run.
    Numbers,
    /// Nothing: this is the first write, or Redis has forgotten the earlier ones.
    Nothing,
}

impl RedisCounts {
    /// Counts of `audience` on the Redis at `url`. Connects when it is first used.
    pub fn new(url: &str, audience: &str, patience: Duration) -> Result<Self, RedisBusError> {
        let info = url.into_connection_info().map_err(RedisBusError::Address)?;
        let client = Client::open(info).map_err(RedisBusError::Address)?;
        Ok(Self {
            redis: Kept::new(client, patience),
            prefix: format!("huidu:counts:{audience}"),
        })
    }

    /// Keeps `values` of `run` in place of what it said of them before.
    pub async fn keep(&self, run: &str, values: &[(String, u64)]) -> Result<Before, CountsError> {
        let (all, own) = (self.runs(), self.run(run));
        let mut pipe = ::redis::pipe();
        // One transaction: a run that is listed has its numbers, and both are forgotten together.
        pipe.atomic();
        pipe.exists(&own);
        if !values.is_empty() {
            pipe.hset_multiple(&own, values).ignore();
        }
        pipe.expire(&own, KEPT_SECONDS).ignore();
        pipe.sadd(&all, run).ignore();
        pipe.expire(&all, KEPT_SECONDS).ignore();
        let (existed,): (bool,) = self.redis.ask(&pipe).await?;
        Ok(if existed {
            Before::Numbers
        } else {
            Before::Nothing
        })
    }

    /// The sums over all runs.
    pub async fn totals(&self) -> Result<BTreeMap<String, u64>, CountsError> {
        let mut pipe = ::redis::pipe();
        pipe.smembers(self.runs());
        let (runs,): (Vec<String>,) = self.redis.ask(&pipe).await?;
        let mut totals: BTreeMap<String, u64> = BTreeMap::new();
        for run in runs {
            let mut pipe = ::redis::pipe();
            pipe.hgetall(self.run(&run));
            let (numbers,): (BTreeMap<String, u64>,) = self.redis.ask(&pipe).await?;
            for (name, value) in numbers {
                let total = totals.entry(name).or_default();
                *total = total.saturating_add(value);
            }
        }
        Ok(totals)
    }

    fn runs(&self) -> String {
        format!("{}:runs", self.prefix)
    }

    fn run(&self, run: &str) -> String {
        format!("{}:of:{run}", self.prefix)
    }
}

impl Kept {
    /// Connects when it is first used; no answer may take longer than `patience`.
    pub(super) fn new(client: Client, patience: Duration) -> Self {
        Self {
            client,
            patience,
            connection: Mutex::default(),
        }
    }

    /// One exchange. A connection that failed is not used again.
    pub(super) async fn ask<T: ::redis::FromRedisValue>(
        &self,
        pipe: &::redis::Pipeline,
    ) -> Result<T, CountsError> {
        let mut kept = self.connection.lock().await;
        let connection = kept.take();
        let asking = async {
            let mut connection = match connection {
                Some(connection) => connection,
                None => self.client.get_multiplexed_async_connection().await?,
            };
            let answer = pipe.query_async(&mut connection).await?;
            Ok::<_, RedisError>((connection, answer))
        };
        let answered = timeout(self.patience, asking).await;
        let (connection, answer) = answered.map_err(|_| CountsError::Slow(self.patience))??;
        *kept = Some(connection);
        Ok(answer)
    }
}
