//! Fetching a bundle: exactly its length, hashed while it comes, resumed where it broke off.
//!
//! The bytes gather in a `.part` file, which survives a crash; what is already there is hashed again and
//! the rest is asked for by `Range` with `If-Range`, so that a server with other bytes starts over. Only a
//! file whose length and digest are right gets its final name. Nothing here believes a header, and nobody who
//! dribbles is waited for: the rate is measured over all tries, however many connections they take.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use huidu_core::digest::Digest;
use sha2::{Digest as _, Sha256};
use ureq::Agent;

use super::http::{Patience, header};

/// Tries in a row that bring not one byte.
const TRIES: u32 = 5;
/// Pause after the first such try; doubled after each.
const PAUSE: Duration = Duration::from_millis(100);
/// Bytes read and hashed at a time.
const WINDOW: usize = 64 * 1024;

/// What to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Where it is.
    pub url: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
}

/// Why a bundle was not fetched.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// The connection broke again and again.
    #[error(
        "`{url}` broke off at byte {at} and brought nothing in {TRIES} tries ({why}); try again, what came is kept"
    )]
    Broken {
        /// What was asked for.
        url: String,
        /// How far it came.
        at: u64,
        /// What happened last.
        why: String,
    },
    /// The server says no.
    #[error("`{url}` was answered with status {status}")]
    Status {
        /// What was asked for.
        url: String,
        /// The answer.
        status: u16,
        /// Seconds to wait, where the server names them.
        retry_after: Option<u64>,
    },
    /// It dribbles.
    #[error(
        "`{url}` brings less than {least} bytes in {over:?}; given up at byte {at}, what came is kept"
    )]
    Slow {
        /// What was asked for.
        url: String,
        /// How far it came.
        at: u64,
        /// How many bytes a period must bring.
        least: u64,
        /// How long a period is.
        over: Duration,
    },
    /// More bytes than there should be.
    #[error("`{url}` sends more than the {bytes} bytes it should have; nothing of it is kept")]
    Length {
        /// What was asked for.
        url: String,
        /// How many there should be.
        bytes: u64,
    },
    /// Other bytes.
    #[error("`{url}` is not what was signed: its SHA-256 is {seen}; nothing of it is kept")]
    Hash {
        /// What was asked for.
        url: String,
        /// Digest of what came.
        seen: Digest,
    },
    /// The disk.
    #[error("`{}`: {error}; make room and try again", path.display())]
    Disk {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// A file that is being fetched.
struct Part<'a> {
    file: File,
    path: &'a Path,
    hasher: Sha256,
    at: u64,
}

/// How fast it comes: at each period's end enough of it must be there.
struct Pace {
    patience: Patience,
    since: Instant,
    bytes: u64,
}

impl Pace {
    fn new(patience: Patience) -> Self {
        Self {
            patience,
            since: Instant::now(),
            bytes: 0,
        }
    }

    /// Counts what came. False when a period brought too little.
    fn keeps(&mut self, bytes: u64) -> bool {
        self.bytes += bytes;
        if self.since.elapsed() < self.patience.rate_over {
            return true;
        }
        let kept = self.bytes >= self.patience.least_bytes();
        (self.since, self.bytes) = (Instant::now(), 0);
        kept
    }
}

/// Fetches `wanted` to `to`; `progress` hears how many bytes there are. A file that is already there and
/// right is not fetched again.
pub fn download(
    agent: &Agent,
    patience: Patience,
    wanted: &Wanted,
    to: &Path,
    progress: &mut dyn FnMut(u64),
) -> Result<(), DownloadError> {
    let aside = to.with_extension("part");
    let disk = |error| DownloadError::Disk {
        path: aside.clone(),
        error,
    };
    if to.exists() {
        fs::rename(to, &aside).map_err(disk)?;
    }
    let mut part = Part::open(&aside, wanted.bytes).map_err(disk)?;
    let (mut tries, mut why) = (0, String::new());
    let mut pace = Pace::new(patience);
    while part.at < wanted.bytes {
        if tries == TRIES {
            return Err(DownloadError::Broken {
                url: wanted.url.clone(),
                at: part.at,
                why,
            });
        }
        if tries > 0 {
            thread::sleep(PAUSE * 2_u32.pow(tries - 1));
        }
        let before = part.at;
        match part.fetch_rest(agent, &mut pace, wanted, progress) {
            Ok(()) => {}
            Err(Stop::Broken(broken)) => {
                part.must_keep(&mut pace, 0, wanted)?;
                why = broken;
            }
            Err(Stop::Final(error)) => return Err(error),
        }
        tries = if part.at > before { 0 } else { tries + 1 };
    }
    part.finish(wanted, to)
}

enum Stop {
    /// Try again.
    Broken(String),
    /// Do not.
    Final(DownloadError),
}

impl<'a> Part<'a> {
    /// What an earlier try left, hashed; too much of it is no beginning of anything.
    fn open(path: &'a Path, most: u64) -> io::Result<Self> {
        if let Some(dir) = path.parent() {
            fs::create_dir_all(dir)?;
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)?;
        let mut part = Self {
            file,
            path,
            hasher: Sha256::new(),
            at: 0,
        };
        if part.file.metadata()?.len() > most {
            part.start_over()?;
        }
        let mut window = vec![0; WINDOW];
        loop {
            let read = part.file.read(&mut window)?;
            if read == 0 {
                return Ok(part);
            }
            part.hasher.update(&window[..read]);
            part.at += read as u64;
        }
    }

    fn start_over(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        (self.hasher, self.at) = (Sha256::new(), 0);
        Ok(())
    }

    fn disk(&self, error: io::Error) -> Stop {
        Stop::Final(DownloadError::Disk {
            path: self.path.to_owned(),
            error,
        })
    }

    /// Counts bytes that came, and fails when it is too slow.
    fn must_keep(&self, pace: &mut Pace, bytes: u64, wanted: &Wanted) -> Result<(), DownloadError> {
        if pace.keeps(bytes) || self.at == wanted.bytes {
            return Ok(());
        }
        Err(DownloadError::Slow {
            url: wanted.url.clone(),
            at: self.at,
            least: pace.patience.least_bytes(),
            over: pace.patience.rate_over,
        })
    }

    fn fetch_rest(
        &mut self,
        agent: &Agent,
        pace: &mut Pace,
        wanted: &Wanted,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Stop> {
        let mut request = agent.get(&wanted.url);
        if self.at > 0 {
            request = request
                .header("range", format!("bytes={}-", self.at))
                .header("if-range", format!("\"{}\"", wanted.sha256));
        }
        let mut reply = request
            .call()
            .map_err(|error| Stop::Broken(error.to_string()))?;
        match reply.status().as_u16() {
            206 if self.at > 0 && continues(header(&reply, "content-range"), self.at) => {}
            200 => self.start_over().map_err(|error| self.disk(error))?,
            // The server has other bytes, or answers another range: begin anew, in a next try.
            206 | 416 => {
                self.start_over().map_err(|error| self.disk(error))?;
                return Err(Stop::Broken("the server has no such range".into()));
            }
            status @ (500 | 502 | 504) => return Err(Stop::Broken(format!("status {status}"))),
            status => {
                return Err(Stop::Final(DownloadError::Status {
                    url: wanted.url.clone(),
                    status,
                    retry_after: header(&reply, "retry-after").and_then(|text| text.parse().ok()),
                }));
            }
        }
        // One byte more than there should be is asked for, to notice that there is more.
        let most = wanted.bytes - self.at + 1;
        let mut body = reply
            .body_mut()
            .with_config()
            .limit(u64::MAX)
            .reader()
            .take(most);
        let mut window = vec![0; WINDOW];
        loop {
            let read = match body.read(&mut window) {
                Ok(0) if self.at < wanted.bytes => {
                    return Err(Stop::Broken("the connection ended early".into()));
                }
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) => return Err(Stop::Broken(error.to_string())),
            };
            if self.at + read as u64 > wanted.bytes {
                self.start_over().map_err(|error| self.disk(error))?;
                return Err(Stop::Final(DownloadError::Length {
                    url: wanted.url.clone(),
                    bytes: wanted.bytes,
                }));
            }
            self.file
                .write_all(&window[..read])
                .map_err(|error| self.disk(error))?;
            self.hasher.update(&window[..read]);
            self.at += read as u64;
            progress(self.at);
            self.must_keep(pace, read as u64, wanted)
                .map_err(Stop::Final)?;
        }
    }

    /// Gives the file its final name when it is what was wanted; forgets it when not.
    fn finish(mut self, wanted: &Wanted, to: &Path) -> Result<(), DownloadError> {
        let seen = Digest::from_hasher(std::mem::take(&mut self.hasher));
        let path = self.path;
        let disk = |error| DownloadError::Disk {
            path: path.to_owned(),
            error,
        };
        if seen != wanted.sha256 {
            fs::remove_file(path).map_err(disk)?;
            return Err(DownloadError::Hash {
                url: wanted.url.clone(),
                seen,
            });
        }
        self.file.sync_all().map_err(disk)?;
        fs::rename(path, to).map_err(disk)
    }
}

/// True when a `Content-Range` begins at `at`.
fn continues(content_range: Option<&str>, at: u64) -> bool {
    content_range
        .and_then(|text| text.strip_prefix("bytes "))
        .and_then(|text| text.split_once('-'))
        .is_some_and(|(first, _)| first.parse() == Ok(at))
}
