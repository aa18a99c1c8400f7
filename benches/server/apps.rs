//! The apps that servers are measured with, and their stamps, renewed behind the polls as a node does it.

use std::{sync::Arc, thread, time::Duration};

use huidu::{
    clock::{Clock as _, System},
    node::live::{self, Live, Served, Stamper},
};

use crate::origin::{self, Fixed};

/// How often a node proves that it knows everything.
const PROVES_EVERY: Duration = Duration::from_secs(1);

impl Served for Fixed {
    fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }
    fn stamper(&self) -> Arc<Stamper> {
        Arc::clone(&self.stamper)
    }
}

/// Serves `apps` apps with `rules` rules each; its stamps are renewed from a thread of its own.
pub(crate) fn start(apps: usize, rules: usize) -> Arc<Fixed> {
    let rules: String = (0..rules).map(rule).collect();
    let made = (0..apps).map(|n| origin::app(&format!("t{}/app-{n}", n % 50), &rules));
    let origin = Fixed::new(made, origin::stamper(60_000, System.now()));
    let behind = Arc::clone(&origin);
    thread::spawn(move || stay_fresh(&behind));
    origin
}

/// A rule that asks for a platform and a version, and takes one device in a thousand.
fn rule(n: usize) -> String {
    format!(
        "[[rule]]\nname = \"rule-{n}\"\nshare = \"0.1%\"\nserve = \"2.4.0\"\n\
         when = {{ platform = [\"android\", \"harmony\"], host_version = \">=8.{} \" }}\n",
        n % 20
    )
}

fn stay_fresh(origin: &Arc<Fixed>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let served: Arc<dyn Served> = Arc::<Fixed>::clone(origin);
    runtime.block_on(async {
        tokio::spawn(live::refresh_stamps(Arc::downgrade(&served)));
        loop {
            tokio::time::sleep(PROVES_EVERY).await;
            origin.stamper.prove(System.now());
        }
    });
}
