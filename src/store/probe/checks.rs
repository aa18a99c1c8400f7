//! The promises, one function each.
//!
//! A function answers `Ok` with what it saw when the promise was kept, and `Err` with what it saw
//! when it was not, or when nobody answered. None assumes that another one passed.

use super::*;

/// The one promise whose breach still leaves a store for one writer.
pub(super) const RACE: &str = "racing creates";

/// What was seen of a kept promise, or why it is not known to be kept.
type Seen = Result<String, Unkept>;

/// Why a promise is not known to be kept.
enum Unkept {
    /// It was broken: this was seen.
    Broken(String),
    /// A request had no answer that says anything, so nothing is known of it.
    Unheard(String),
}

impl From<String> for Unkept {
    fn from(seen: String) -> Self {
        Self::Broken(seen)
    }
}

impl From<&str> for Unkept {
    fn from(seen: &str) -> Self {
        Self::Broken(seen.into())
    }
}

/// What one writer of a race wrote, and what it was told.
type Answer = (Bytes, Result<(), StoreError>);

/// What every promise needs: the endpoints, and names nobody used before.
struct Run<'a> {
    endpoints: &'a [Arc<dyn Store>],
    depth: Depth,
    id: String,
}

/// Asks for every promise; what is known when time runs out is in `checks`.
pub(super) async fn all(endpoints: &[Arc<dyn Store>], depth: Depth, checks: &mut Vec<Check>) {
    let mut random = [0; 8];
    if let Err(error) = getrandom::fill(&mut random) {
        let expected = "randomness from the system";
        record(checks, "names", expected, Err(error.to_string().into()));
        return;
    }
    let run = Run {
        endpoints,
        depth,
        id: data_encoding::HEXLOWER.encode(&random),
    };
    if let Err(seen) = run.answer().await {
        record(
            checks,
            "answer",
            "an answer through every endpoint",
            Err(seen),
        );
        return;
    }
    let expected = "the same bytes through every endpoint, also where it was absent a moment ago";
    record(checks, "get after put", expected, run.get_after_put().await);
    let expected = "the new bytes through every endpoint";
    record(
        checks,
        "get after replace",
        expected,
        run.get_after_replace().await,
    );
    let expected = "every new object at once, in order";
    record(
        checks,
        "list after put",
        expected,
        run.list_after_put().await,
    );
    let expected = "a definite refusal through every endpoint, and the first bytes kept";
    record(
        checks,
        "repeated create",
        expected,
        run.repeated_create().await,
    );
    let expected = "exactly one winner per round, and the winner's bytes";
    record(checks, RACE, expected, run.racing_creates().await);
}

fn record(checks: &mut Vec<Check>, name: &'static str, expected: &'static str, seen: Seen) {
    let (passed, answered) = (seen.is_ok(), !matches!(seen, Err(Unkept::Unheard(_))));
    let (Ok(seen) | Err(Unkept::Broken(seen) | Unkept::Unheard(seen))) = seen;
    checks.push(Check {
        name,
        passed,
        answered,
        expected,
        seen,
    });
}

impl Run<'_> {
    /// An object of this run.
    fn key(&self, what: &str, number: usize) -> Result<Key, String> {
        let name: ProbeName = format!("{}-{what}-{number:04}", self.id)
            .parse()
            .map_err(|error| format!("{error}"))?;
        Ok(Key::Probe(name))
    }

    /// One question to each endpoint, whose answer does not matter, but that there is one soon.
    async fn answer(&self) -> Result<(), Unkept> {
        let (key, soon) = (self.key("answer", 0)?, self.depth.first_word());
        for endpoint in self.endpoints {
            match tokio::time::timeout(soon, endpoint.get(&key)).await {
                // No such bucket, no right to it: whatever it says, this is not what it shall be judged by.
                Ok(Err(error @ StoreError::Unavailable { .. })) => {
                    let seen = told("asking for an absent object", &error);
                    return Err(Unkept::Unheard(seen));
                }
                Ok(_) => {}
                Err(_) => {
                    let seen = format!("none within {} s", soon.as_secs());
                    return Err(Unkept::Unheard(seen));
                }
            }
        }
        Ok(())
    }

    /// Every endpoint as writer, every endpoint as reader.
    async fn get_after_put(&self) -> Seen {
        let mut reads = 0;
        for (number, writer) in self.endpoints.iter().enumerate() {
            let key = self.key("get", number)?;
            let bytes = Bytes::from(format!("written through endpoint {number}"));
            for reader in self.endpoints {
                match reader.get(&key).await {
                    Err(StoreError::NotFound { .. }) => {}
                    Err(error) => return Err(failed("asking for an absent object", &error)),
                    Ok(_) => return Err("an object that nobody wrote".into()),
                }
            }
            let put = writer.put_new(&key, bytes.clone()).await;
            put.map_err(|error| failed("create", &error))?;
            reads += self.read_everywhere(&key, &bytes).await?;
        }
        Ok(format!("the same bytes in {reads} reads"))
    }

    async fn get_after_replace(&self) -> Seen {
        let mut reads = 0;
        let key = self.key("put", 0)?;
        for (number, writer) in self
            .endpoints
            .iter()
            .cycle()
            .take(self.depth.rounds().max(2))
            .enumerate()
        {
            let bytes = Bytes::from(format!("replaced {number} times"));
            let put = writer.put(&key, bytes.clone()).await;
            put.map_err(|error| failed("put", &error))?;
            reads += self.read_everywhere(&key, &bytes).await?;
        }
        Ok(format!("the new bytes in {reads} reads"))
    }

    async fn read_everywhere(&self, key: &Key, bytes: &Bytes) -> Result<usize, Unkept> {
        for reader in self.endpoints {
            match reader.get(key).await {
                Ok(found) if found == bytes => {}
                Ok(found) => {
                    return Err(format!("other bytes ({}) of `{key}`", excerpt(&found)).into());
                }
                Err(error) => return Err(failed("reading what was just written", &error)),
            }
        }
        Ok(self.endpoints.len())
    }

    async fn list_after_put(&self) -> Seen {
        let mut expected = Vec::new();
        for number in 0..self.depth.rounds() {
            let (key, writer) = (self.key("list", number)?, self.endpoint(number));
            let put = writer.put_new(&key, Bytes::from_static(b"listed")).await;
            put.map_err(|error| failed("create", &error))?;
            expected.push(key);
            for reader in self.endpoints {
                let listed = reader.list(Folder::Probe, None).await;
                let mut listed = listed.map_err(|error| failed("list", &error))?;
                listed.retain(|key| expected[0] <= *key && *key <= expected[number]);
                if listed != expected {
                    return Err(format!("{} of {} objects", listed.len(), expected.len()).into());
                }
            }
        }
        Ok(format!("all of {} objects", expected.len()))
    }

    async fn repeated_create(&self) -> Seen {
        let mut refused = 0;
        let first = Bytes::from_static(b"first");
        for round in 0..self.depth.rounds() {
            let key = self.key("repeat", round)?;
            let created = self.endpoint(round).put_new(&key, first.clone()).await;
            created.map_err(|error| failed("create", &error))?;
            // Other bytes and the very same ones: a store must not answer by comparing them.
            for (writer, bytes) in self
                .endpoints
                .iter()
                .flat_map(|e| [(e, "other"), (e, "first")])
            {
                match writer.put_new(&key, Bytes::from(bytes)).await {
                    Err(StoreError::AlreadyExists { .. }) => refused += 1,
                    Ok(()) => return Err("an existing object was created again".into()),
                    Err(error) => return Err(failed("creating it again", &error)),
                }
            }
            self.read_everywhere(&key, &first).await?;
        }
        Ok(format!("{refused} refusals of {refused} repeats"))
    }

    async fn racing_creates(&self) -> Seen {
        let (rounds, writers) = (self.depth.rounds(), self.depth.writers());
        let keys: Vec<_> = (0..rounds)
            .map(|round| self.key("race", round))
            .collect::<Result<_, _>>()?;
        let mut doubts = 0;
        for keys in keys.chunks(self.depth.races_at_once()) {
            doubts += self.race(keys).await?;
        }
        Ok(format!(
            "{rounds} winners in {rounds} rounds of {writers} writers, {doubts} unsettled"
        ))
    }

    /// One race for each key, all begun in one moment; says how many writers were left in doubt, which
    /// is allowed.
    async fn race(&self, keys: &[Key]) -> Result<usize, Unkept> {
        let each = self.depth.writers();
        let barrier = Arc::new(Barrier::new(keys.len() * each));
        let mut writers = JoinSet::new();
        for number in 0..each {
            for (lane, key) in keys.iter().enumerate() {
                let (store, barrier) = (Arc::clone(self.endpoint(number)), Arc::clone(&barrier));
                let (key, bytes) = (key.clone(), Bytes::from(format!("writer {number}")));
                writers.spawn(async move {
                    barrier.wait().await;
                    (lane, bytes.clone(), store.put_new(&key, bytes).await)
                });
            }
        }
        let mut answers: Vec<Vec<Answer>> = keys.iter().map(|_| Vec::new()).collect();
        for (lane, bytes, answer) in writers.join_all().await {
            answers[lane].push((bytes, answer));
        }
        let mut doubts = 0;
        for (key, answers) in keys.iter().zip(answers) {
            doubts += self.judge(key, answers).await?;
        }
        Ok(doubts)
    }

    /// What the writers of one race were told, against what is there now.
    async fn judge(&self, key: &Key, answers: Vec<Answer>) -> Result<usize, Unkept> {
        let (mut winners, mut doubts, mut last) = (Vec::new(), Vec::new(), None);
        for (bytes, answer) in answers {
            match answer {
                Ok(()) => winners.push(bytes),
                Err(StoreError::AlreadyExists { .. }) => {}
                Err(error) => {
                    doubts.push(bytes);
                    last = Some(error);
                }
            }
        }
        match winners.as_slice() {
            [winner] => {
                self.read_everywhere(key, winner).await?;
            }
            // The winner's reply may have been lost; then the object is one of the doubtful ones.
            [] => match self.endpoints[0].get(key).await {
                Ok(found) if doubts.contains(&found) => {}
                Ok(_) => return Err("no winner, and the bytes of a loser".into()),
                Err(error) => return Err(failed("no winner", last.as_ref().unwrap_or(&error))),
            },
            more => return Err(format!("{} winners of `{key}`", more.len()).into()),
        }
        Ok(doubts.len())
    }

    fn endpoint(&self, number: usize) -> &Arc<dyn Store> {
        &self.endpoints[number % self.endpoints.len()]
    }
}

/// What the store could not do this time says nothing of its promises; what it does not do does.
fn failed(doing: &str, error: &StoreError) -> Unkept {
    let text = told(doing, error);
    if error.is_unavailable() && !error.is_refusal() {
        Unkept::Unheard(text)
    } else {
        Unkept::Broken(text)
    }
}

/// An error in one line, with its causes.
fn told(doing: &str, error: &StoreError) -> String {
    let mut text = format!("{doing} failed: {error}");
    let mut cause = std::error::Error::source(error);
    while let Some(source) = cause {
        text.push_str(&format!(": {source}"));
        cause = source.source();
    }
    text
}

/// The beginning of some bytes, printable.
fn excerpt(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(40)].escape_ascii().to_string()
}
