//! `S3Store`: a bucket as a store, on anything that speaks S3 and enforces `If-None-Match: *`.
//!
//! The only file that names the S3 client. A conditional create is sent exactly once: the client's
//! own retries would turn "it landed, the reply was lost" into "somebody else was first". Only 412
//! is a definite no; every other failure of a write is `Unavailable`. Credentials are given, never
//! looked up in the surroundings, and never printed.

use std::{fmt, io, ops::Range, path::Path, time::Duration};

use aws_sdk_s3::{
    Client,
    config::{
        BehaviorVersion, Config, Credentials, Region, http::HttpResponse, retry::RetryConfig,
        timeout::TimeoutConfig,
    },
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    operation::put_object::builders::PutObjectFluentBuilder,
    primitives::{ByteStream, DateTime, DateTimeFormat},
    types::{BucketLocationConstraint, CreateBucketConfiguration},
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use bytes::Bytes;
use data_encoding::BASE64;
use huidu_core::{digest::Digest, time::Timestamp};
use sha2::{Digest as _, Sha256};

use super::{
    BoxFuture, Folder, Key, KeyPrefix, Place, Store, StoreError, check_digest, check_name,
};

/// How long a connection may take to open.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Attempts of operations that may be repeated.
const ATTEMPTS: u32 = 3;
/// The pause before the second attempt; it doubles, and is jittered.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The slowest upload that is waited for.
const SLOWEST_UPLOAD_BYTES_PER_SEC: u64 = 1024 * 1024;
/// Positions that every server can parse.
const LAST_POSITION: u64 = i64::MAX as u64;

/// Where a bucket is and how to open it.
#[derive(Clone)]
pub struct S3Settings {
    /// URL of one endpoint, such as `http://127.0.0.1:8333`.
    pub endpoint: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// What stands before every key, so that several clusters share a bucket.
    pub prefix: KeyPrefix,
    /// The access key.
    pub access_key: String,
    /// The secret key.
    pub secret_key: String,
    /// How long one attempt of an ordinary operation may take.
    pub timeout: Duration,
}

/// Objects in a bucket.
#[derive(Clone)]
pub struct S3Store {
    client: Client,
    settings: S3Settings,
}

/// Why the bucket did not do as asked.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error("the bucket answered {status} `{code}`: {message}")]
    Answered {
        status: u16,
        code: String,
        message: String,
    },
    #[error("the bucket did not answer: {detail}")]
    Silent { detail: String },
}

impl Failure {
    /// True when the bucket answered to the point: it does not take such a request. Rights, a bucket that is busy and an
    /// inner error may all be other the next time.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Self::Answered { status, .. } => match status {
                401 | 403 | 408 | 425 | 429 => false,
                500..=599 => *status == 501,
                _ => true,
            },
            Self::Silent { .. } => false,
        }
    }
}

impl S3Store {
    /// A client of the bucket. Does not speak to it yet; [`probe`](super::probe) does.
    pub fn new(settings: S3Settings) -> Self {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let credentials = Credentials::from_keys(&settings.access_key, &settings.secret_key, None);
        let retries = RetryConfig::standard()
            .with_max_attempts(ATTEMPTS)
            .with_initial_backoff(FIRST_PAUSE);
        let config = Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(http)
            .endpoint_url(&settings.endpoint)
            .region(Region::new(settings.region.clone()))
            .credentials_provider(credentials)
            .force_path_style(true)
            .retry_config(retries)
            .timeout_config(timeouts(settings.timeout))
            .build();
        Self {
            client: Client::from_conf(config),
            settings,
        }
    }

    /// Makes the bucket if there is none. Only where the credentials may; otherwise it is made by hand.
    pub async fn ensure_bucket(&self) -> Result<(), StoreError> {
        let bucket = &self.settings.bucket;
        if self
            .client
            .head_bucket()
            .bucket(bucket)
            .send()
            .await
            .is_ok()
        {
            return Ok(());
        }
        let region = self.settings.region.as_str();
        // The first region of all is the one that must not be named.
        let place = (region != "us-east-1").then(|| {
            CreateBucketConfiguration::builder()
                .location_constraint(BucketLocationConstraint::from(region))
                .build()
        });
        let made = self.client.create_bucket().bucket(bucket);
        match made.set_create_bucket_configuration(place).send().await {
            Ok(_) => Ok(()),
            // Another node made it in the meantime; if it is a stranger's, the probe will say so.
            Err(error) if status(&error) == Some(409) => Ok(()),
            Err(error) => Err(unavailable(Place::Store, &error)),
        }
    }

    fn name(&self, key: &Key) -> String {
        self.settings.prefix.full(&key.path())
    }

    /// A write of `body`, whose SHA-256 the server checks as well.
    fn write(&self, key: &Key, body: ByteStream, digest: Digest) -> PutObjectFluentBuilder {
        self.client
            .put_object()
            .bucket(&self.settings.bucket)
            .key(self.name(key))
            .checksum_sha256(BASE64.encode(digest.as_bytes()))
            .body(body)
    }

    /// Sends a conditional create once and within `timeout`.
    async fn create(
        &self,
        key: &Key,
        write: PutObjectFluentBuilder,
        timeout: Duration,
    ) -> Result<(), StoreError> {
        let once = Config::builder()
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts(timeout));
        let write = write.if_none_match("*").customize().config_override(once);
        match write.send().await {
            Ok(_) => Ok(()),
            Err(error) if status(&error) == Some(412) => {
                Err(StoreError::AlreadyExists { key: key.clone() })
            }
            Err(error) => Err(unavailable(key, &error)),
        }
    }

    async fn read(&self, key: &Key, range: Option<String>) -> Result<Part, StoreError> {
        let request = self.client.get_object().bucket(&self.settings.bucket);
        let answer = request.key(self.name(key)).set_range(range).send().await;
        let object = match answer {
            Ok(object) => object,
            Err(error) if status(&error) == Some(416) => return Ok(Part::BeyondTheEnd),
            Err(error) => return Err(absent_or_unavailable(key, &error)),
        };
        let ranged = object.content_range().is_some();
        let body = object.body.collect().await;
        let bytes = body
            .map_err(|e| StoreError::unavailable(key, e))?
            .into_bytes();
        Ok(if ranged {
            Part::Range(bytes)
        } else {
            Part::Whole(bytes)
        })
    }

    async fn read_range(&self, key: &Key, range: Range<u64>) -> Result<Bytes, StoreError> {
        if range.is_empty() || range.start >= LAST_POSITION {
            // Nothing to read; only whether there is an object to read nothing of.
            return self.size(key).await.map(|_| Bytes::new());
        }
        let last = range.end.min(LAST_POSITION) - 1;
        let header = format!("bytes={}-{last}", range.start);
        match self.read(key, Some(header)).await? {
            Part::Range(bytes) => Ok(bytes),
            Part::BeyondTheEnd => Ok(Bytes::new()),
            // A server may ignore the header, and does for empty objects.
            Part::Whole(bytes) => {
                let cut =
                    |at| usize::try_from(at).map_or(bytes.len(), |at: usize| at.min(bytes.len()));
                Ok(bytes.slice(cut(range.start)..cut(range.end)))
            }
        }
    }

    async fn size(&self, key: &Key) -> Result<u64, StoreError> {
        let request = self.client.head_object().bucket(&self.settings.bucket);
        let answer = request.key(self.name(key)).send().await;
        let object = answer.map_err(|error| absent_or_unavailable(key, &error))?;
        Ok(u64::try_from(object.content_length().unwrap_or(0)).unwrap_or(0))
    }

    async fn upload(&self, key: &Key, path: &Path) -> Result<(), StoreError> {
        let named = key.digest().is_some();
        let failed = |e: io::Error| StoreError::unavailable(key, e);
        let (digest, size) = hash_file(path).await.map_err(failed)?;
        check_digest(key, digest)?;
        if named && self.size(key).await.is_ok() {
            return Ok(());
        }
        let body = ByteStream::from_path(path).await;
        let body = body.map_err(|e| StoreError::unavailable(key, e))?;
        let sending = Duration::from_secs(size / SLOWEST_UPLOAD_BYTES_PER_SEC);
        let write = self.write(key, body, digest);
        let timeout = self.settings.timeout + sending;
        match self.create(key, write, timeout).await {
            Err(StoreError::AlreadyExists { .. }) if named => Ok(()),
            other => other,
        }
    }

    async fn keys(&self, folder: Folder, after: Option<&Key>) -> Result<Vec<Key>, StoreError> {
        let prefix = &self.settings.prefix;
        // A place in another folder is left to the filter below: servers differ about it.
        let start = after.filter(|key| key.folder() == Some(folder));
        let start = start.map(|key| self.name(key));
        let mut keys = Vec::new();
        let mut page = None;
        loop {
            let request = self
                .client
                .list_objects_v2()
                .bucket(&self.settings.bucket)
                .prefix(prefix.full(folder.path()))
                .set_start_after(start.clone())
                .set_continuation_token(page);
            let answer = request.send().await.map_err(|e| unavailable(folder, &e))?;
            for name in answer.contents().iter().filter_map(|object| object.key()) {
                match prefix.key_of(name) {
                    Some(key) if after.is_none_or(|after| key > *after) => keys.push(key),
                    Some(_) => {}
                    None => tracing::warn!(name, "skipped a foreign object"),
                }
            }
            page = answer.next_continuation_token().map(str::to_owned);
            if page.is_none() {
                break;
            }
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(keys)
    }
}

/// What a read brought.
enum Part {
    Whole(Bytes),
    Range(Bytes),
    BeyondTheEnd,
}

impl Store for S3Store {
    fn get<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        Box::pin(async move {
            let (Part::Whole(bytes) | Part::Range(bytes)) = self.read(key, None).await? else {
                return Ok(Bytes::new());
            };
            check_name(key, &bytes)?;
            Ok(bytes)
        })
    }

    fn get_range<'a>(
        &'a self,
        key: &'a Key,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Bytes, StoreError>> {
        Box::pin(self.read_range(key, range))
    }

    fn head<'a>(&'a self, key: &'a Key) -> BoxFuture<'a, Result<u64, StoreError>> {
        Box::pin(self.size(key))
    }

    fn kept_since<'a>(
        &'a self,
        key: &'a Key,
    ) -> BoxFuture<'a, Result<Option<Timestamp>, StoreError>> {
        Box::pin(async move {
            let request = self.client.head_object().bucket(&self.settings.bucket);
            let answer = request.key(self.name(key)).send().await;
            let object = answer.map_err(|error| absent_or_unavailable(key, &error))?;
            let ms = object.last_modified().and_then(|at| at.to_millis().ok());
            let ms = ms.and_then(|ms| u64::try_from(ms).ok());
            Ok(ms.map(Timestamp::from_unix_ms))
        })
    }

    fn put_new<'a>(&'a self, key: &'a Key, bytes: Bytes) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let digest = Digest::of(&bytes);
            check_digest(key, digest)?;
            let write = self.write(key, bytes.into(), digest);
            self.create(key, write, self.settings.timeout).await
        })
    }

    fn put<'a>(&'a self, key: &'a Key, bytes: Bytes) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(async move {
            let digest = Digest::of(&bytes);
            check_digest(key, digest)?;
            let write = self.write(key, bytes.into(), digest).send().await;
            write.map(drop).map_err(|error| unavailable(key, &error))
        })
    }

    fn put_file<'a>(
        &'a self,
        key: &'a Key,
        path: &'a Path,
    ) -> BoxFuture<'a, Result<(), StoreError>> {
        Box::pin(self.upload(key, path))
    }

    fn list<'a>(
        &'a self,
        folder: Folder,
        after: Option<&'a Key>,
    ) -> BoxFuture<'a, Result<Vec<Key>, StoreError>> {
        Box::pin(self.keys(folder, after))
    }

    fn describe(&self) -> String {
        let S3Settings {
            endpoint,
            bucket,
            prefix,
            ..
        } = &self.settings;
        format!("bucket {bucket} at {endpoint}, prefix `{prefix}`")
    }
}

impl fmt::Debug for S3Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Settings")
            .field("endpoint", &self.endpoint)
            .field("region", &self.region)
            .field("bucket", &self.bucket)
            .field("prefix", &self.prefix)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

// The client's own form would print the access key, and fills pages.
impl fmt::Debug for S3Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Store")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// One attempt may take `attempt`; all of them together hardly more than they need.
fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT.min(attempt))
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt.saturating_mul(ATTEMPTS))
        .build()
}

fn status<E>(error: &SdkError<E, HttpResponse>) -> Option<u16> {
    error.raw_response().map(|answer| answer.status().as_u16())
}

fn absent_or_unavailable<E>(key: &Key, error: &SdkError<E, HttpResponse>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    // A bucket that is gone is no absent object: a node must not take it for an empty ledger.
    if status(error) == Some(404) && error.code() != Some("NoSuchBucket") {
        return StoreError::NotFound {
            key: key.clone(),
            said_at: said_at(error),
        };
    }
    unavailable(key, error)
}

/// What time the answer says it was: the second that had begun when it was made.
fn said_at<E>(error: &SdkError<E, HttpResponse>) -> Option<Timestamp> {
    let date = error.raw_response()?.headers().get("date")?;
    let date = DateTime::from_str(date, DateTimeFormat::HttpDate).ok()?;
    let ms = u64::try_from(date.to_millis().ok()?).ok()?;
    Some(Timestamp::from_unix_ms(ms))
}

fn unavailable<E>(place: impl Into<Place>, error: &SdkError<E, HttpResponse>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let failure = match status(error) {
        Some(status) => Failure::Answered {
            status,
            code: error.code().unwrap_or("unnamed").into(),
            message: error.message().unwrap_or("no message").into(),
        },
        None => Failure::Silent {
            detail: DisplayErrorContext(error).to_string(),
        },
    };
    StoreError::unavailable(place, failure)
}

/// The digest and the size of a file.
async fn hash_file(path: &Path) -> io::Result<(Digest, u64)> {
    let path = path.to_path_buf();
    let hashing = tokio::task::spawn_blocking(move || {
        let mut hasher = Sha256::new();
        let mut file = io::BufReader::with_capacity(256 * 1024, std::fs::File::open(path)?);
        let size = io::copy(&mut file, &mut Hashing(&mut hasher))?;
        Ok((Digest::from_hasher(hasher), size))
    });
    hashing.await.map_err(io::Error::other)?
}

/// Writing into it hashes.
struct Hashing<'a>(&'a mut Sha256);

impl io::Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
