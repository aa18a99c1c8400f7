//! Turns of all nodes in one Redis: of those that could do the same, one does.
//!
//! A turn ends by itself, so that a node that dies is followed by another. It is a courtesy and no lock: a node that stops
//! for longer than its turn may go on beside the next one, and a Redis that forgets gives the same turn twice. Whoever does
//! something in its turn must bear that it is done twice.

use std::time::Duration;

use ::redis::{Client, IntoConnectionInfo as _};

use super::{
    counts::{CountsError, Kept},
    redis::RedisBusError,
};

/// Takes or keeps the turn `KEYS[1]` for `ARGV[1]` for so many milliseconds; says whether it has it.
const TAKE: &str = r"
local has = redis.call('GET', KEYS[1])
if has and has ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1";

/// Gives it up, where it is its own.
const PASS: &str = r"
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return 1";

/// The turns of one installation.
pub struct RedisTurns {
    redis: Kept,
    prefix: String,
}

impl RedisTurns {
    /// Turns of `audience` on the Redis at `url`. Connects when it is first used.
    pub fn new(url: &str, audience: &str, patience: Duration) -> Result<Self, RedisBusError> {
        let info = url.into_connection_info().map_err(RedisBusError::Address)?;
        let client = Client::open(info).map_err(RedisBusError::Address)?;
        Ok(Self {
            redis: Kept::new(client, patience),
            prefix: format!("huidu:turns:{audience}"),
        })
    }

    /// Takes, or keeps, the turn at `what` for `holder`; false: another has it.
    pub async fn take(
        &self,
        what: &str,
        holder: &str,
        lasting: Duration,
    ) -> Result<bool, CountsError> {
        let mut pipe = ::redis::pipe();
        let take = pipe.cmd("EVAL").arg(TAKE).arg(1).arg(self.of(what));
        take.arg(holder)
            .arg(u64::try_from(lasting.as_millis()).unwrap_or(u64::MAX));
        let (ours,): (bool,) = self.redis.ask(&pipe).await?;
        Ok(ours)
    }

    /// Gives the turn up, where it is `holder`'s.
    pub async fn pass(&self, what: &str, holder: &str) -> Result<(), CountsError> {
        let mut pipe = ::redis::pipe();
        let pass = pipe.cmd("EVAL").arg(PASS).arg(1).arg(self.of(what));
        pass.arg(holder);
        let (_done,): (bool,) = self.redis.ask(&pipe).await?;
        Ok(())
    }

    fn of(&self, what: &str) -> String {
        format!("{}:{what}", self.prefix)
    }
}
