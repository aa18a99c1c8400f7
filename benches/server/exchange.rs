//! Counts over a real Redis, as the command line builds it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use huidu::{
    bus::counts::{Before, RedisCounts},
    clock::System,
    node::feedback::{Exchange, Exchanged, Feedback, Keeper, Remembered},
    store::memory::MemoryStore,
};
use huidu_core::feedback::Life;

struct Over(RedisCounts);

/// The exchange over the Redis at `url`.
fn over(url: &str) -> Arc<dyn Exchange> {
    let counts = RedisCounts::new(url, "bank/bench", Duration::from_millis(400)).unwrap();
    Arc::new(Over(counts))
}

impl Exchange for Over {
    fn claim<'a>(&'a self, life: &'a Life, ids: &'a [u64]) -> Exchanged<'a, Vec<bool>> {
        Box::pin(async move { Ok(self.0.claim(life, ids).await?) })
    }

    fn tell<'a>(&'a self, life: &'a Life, sheet: Vec<u8>) -> Exchanged<'a, Remembered> {
        Box::pin(async move {
            Ok(match self.0.tell(life, &sheet).await? {
                Before::Numbers => Remembered::All,
                Before::Nothing => Remembered::Nothing,
            })
        })
    }

    fn hear<'a>(&'a self, life: &'a Life) -> Exchanged<'a, Vec<Bytes>> {
        Box::pin(async move {
            let sheets = self.0.hear(life).await?;
            Ok(sheets.into_iter().map(Bytes::from).collect())
        })
    }
}

/// Keeps what devices report, on a thread of its own, as a node does.
pub(crate) fn keep(feedback: Arc<Feedback>, redis: Option<&str>) {
    let (exchange, store) = (redis.map(over), Arc::new(MemoryStore::new()));
    let keeper = Keeper::new(feedback, exchange, store, Arc::new(System));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(keeper.run(std::future::pending()));
    });
}
