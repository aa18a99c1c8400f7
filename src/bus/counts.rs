//! Counts of all nodes through one Redis: ids are claimed there, and each run of a node tells its numbers to the
//! others over a stream.
//!
//! Claims lie in two generations of small hashes, so that an id is known for at least an hour; whoever claims one again
//! is told the same. Redis may forget everything at any time: the answer says when that has happened, so that the
//! caller tells all of it again. Nothing that anybody depends on lies only here.

use std::time::Duration;

use ::redis::{Client, IntoConnectionInfo as _, RedisError, aio::MultiplexedConnection};
use huidu_core::{feedback::Life, limits};
use tokio::{sync::Mutex, time::timeout};

use super::redis::RedisBusError;

/// How long a run is remembered after its last word, in seconds.
const KEPT_SECONDS: i64 = 24 * 3_600;
/// Sheets that the stream holds, more or less; what falls out of it lies in the store.
const SHEETS: usize = 20_000;
/// Sheets read at a time.
const READ: usize = 200;
/// How long to wait for a sheet, in milliseconds.
const WAIT_MS: u64 = 1_000;

/// Claims ids (`ARGV[3..]`) for a run (`ARGV[1]`) in generations of `ARGV[2]` seconds; says for each `1` when it is its own.
const CLAIM: &str = r"
local span = tonumber(ARGV[2])
local now = math.floor(tonumber(redis.call('TIME')[1]) / span)
local out = {}
for i = 3, #ARGV do
  local id = ARGV[i]
  local bucket = string.sub(id, 1, 4)
  local owner = redis.call('HGET', KEYS[1] .. (now - 1) .. ':' .. bucket, id)
  if not owner then
    local key = KEYS[1] .. now .. ':' .. bucket
    if redis.call('HSETNX', key, id, ARGV[1]) == 1 then
      redis.call('EXPIRE', key, 2 * span + 60)
      owner = ARGV[1]
    else
      owner = redis.call('HGET', key, id)
    end
  end
  out[i - 2] = owner == ARGV[1] and '1' or '0'
end
return table.concat(out)";

/// The counts of one installation.
pub struct RedisCounts {
    redis: Kept,
    /// Waits for sheets, and so carries nothing else.
    listening: Kept,
    cursor: Mutex<String>,
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

/// The sheets of a stream, each under its place in it.
type Sheets = Vec<(String, Vec<(String, Vec<Vec<u8>>)>)>;

impl RedisCounts {
    /// Counts of `audience` on the Redis at `url`. Connects when it is first used.
    pub fn new(url: &str, audience: &str, patience: Duration) -> Result<Self, RedisBusError> {
        let info = url.into_connection_info().map_err(RedisBusError::Address)?;
        let client = || Client::open(info.clone()).map_err(RedisBusError::Address);
        Ok(Self {
            redis: Kept::new(client()?, patience),
            listening: Kept::new(client()?, patience + Duration::from_millis(WAIT_MS)),
            cursor: Mutex::new("0".to_owned()),
            prefix: format!("huidu:counts:{audience}"),
        })
    }

    /// Claims `ids` for `life`; says of each whether it is its own.
    pub async fn claim(&self, life: &Life, ids: &[u64]) -> Result<Vec<bool>, CountsError> {
        let life = life.to_string();
        let mut pipe = ::redis::pipe();
        let claim = pipe.cmd("EVAL").arg(CLAIM).arg(1);
        claim.arg(format!("{}:id:", self.prefix));
        // Its end is chance: enough to tell one run from another.
        claim
            .arg(&life[life.len() - 8..])
            .arg(limits::EVENT_WINDOW_MS / 1_000);
        for id in ids {
            claim.arg(id_text(*id));
        }
        let (ours,): (String,) = self.redis.ask(&pipe).await?;
        Ok(ours.bytes().map(|byte| byte == b'1').collect())
    }

    /// Tells a sheet of `life` to whoever hears.
    pub async fn tell(&self, life: &Life, sheet: &[u8]) -> Result<Before, CountsError> {
        let (life, mut pipe) = (life.to_string(), ::redis::pipe());
        let known = format!("{}:run:{life}", self.prefix);
        // One transaction: a run that is known has told its sheets, and both are forgotten together.
        pipe.atomic();
        pipe.exists(&known);
        pipe.cmd("XADD")
            .arg(self.stream())
            .arg("MAXLEN")
            .arg("~")
            .arg(SHEETS)
            .arg("*");
        pipe.arg("life").arg(&life).arg("sheet").arg(sheet).ignore();
        pipe.cmd("SET")
            .arg(&known)
            .arg(1)
            .arg("EX")
            .arg(KEPT_SECONDS)
            .ignore();
        let (existed,): (bool,) = self.redis.ask(&pipe).await?;
        Ok(if existed {
            Before::Numbers
        } else {
            Before::Nothing
        })
    }

    /// What others than `life` told since the last call, the first time everything that is still there. Waits a while
    /// for something.
    pub async fn hear(&self, life: &Life) -> Result<Vec<Vec<u8>>, CountsError> {
        let mut cursor = self.cursor.lock().await;
        let mut pipe = ::redis::pipe();
        pipe.cmd("XREAD")
            .arg("COUNT")
            .arg(READ)
            .arg("BLOCK")
            .arg(WAIT_MS);
        pipe.arg("STREAMS").arg(self.stream()).arg(&*cursor);
        let (streams,): (Option<Sheets>,) = self.listening.ask(&pipe).await?;
        let mut sheets = Vec::new();
        for (place, fields) in streams
            .into_iter()
            .flatten()
            .flat_map(|(_, entries)| entries)
        {
            *cursor = place;
            if let [_, by, _, sheet] = &*fields
                && *by != life.to_string().into_bytes()
            {
                sheets.push(sheet.clone());
            }
        }
        Ok(sheets)
    }

    fn stream(&self) -> String {
        format!("{}:sheets", self.prefix)
    }
}

/// An id as it is claimed: 16 digits, of which the first four choose the hash.
fn id_text(id: u64) -> String {
    format!("{id:016x}")
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
