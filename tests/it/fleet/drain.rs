//! A node that is told to stop loses nobody: balancers see it first, then its ports close.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use crate::{
    support::{
        server::{Backing, until},
        wire::Wire,
    },
    world::{HOST, World},
};

/// Phones behind a balancer that follows `/readyz`.
struct Behind<'a> {
    nodes: &'a [SocketAddr],
    ready: Vec<AtomicBool>,
    path: String,
    polls: AtomicUsize,
    failed: AtomicUsize,
    told_to_leave: AtomicUsize,
    seen_draining: AtomicUsize,
    is_over: AtomicBool,
}

impl Behind<'_> {
    fn is_ready(&self, n: usize) -> bool {
        self.ready[n].load(Ordering::SeqCst)
    }

    /// Looks at every node, again and again.
    fn look(&self) {
        while !self.is_over.load(Ordering::SeqCst) {
            for (n, node) in self.nodes.iter().enumerate() {
                let reply = Wire::connect(*node).and_then(|mut wire| wire.get("/readyz", &[]));
                let is_ready = reply.as_ref().is_ok_and(|reply| reply.status == 200);
                if let Ok(reply) = &reply
                    && reply.json()["why"][0] == "draining"
                {
                    assert_eq!(reply.status, 503);
                    self.seen_draining.fetch_add(1, Ordering::SeqCst);
                }
                self.ready[n].store(is_ready, Ordering::SeqCst);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Polls whichever node is ready, the `nth` for preference, over a connection that is kept.
    fn poll(&self, nth: usize) {
        let mut kept: Option<(usize, Wire)> = None;
        while !self.is_over.load(Ordering::SeqCst) {
            let count = self.nodes.len();
            let Some(n) = (0..count)
                .map(|n| (nth + n) % count)
                .find(|n| self.is_ready(*n))
            else {
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            let wire = kept
                .take()
                .filter(|(at, _)| *at == n)
                .map(|(_, wire)| Ok(wire));
            let polled = wire
                .unwrap_or_else(|| Wire::connect(self.nodes[n]))
                .and_then(|mut wire| Ok((wire.get(&self.path, &[])?, wire)));
            self.polls.fetch_add(1, Ordering::SeqCst);
            match polled {
                Ok((reply, wire)) if reply.status == 200 => {
                    if reply.header("connection") == "close" {
                        self.told_to_leave.fetch_add(1, Ordering::SeqCst);
                    } else {
                        kept = Some((n, wire));
                    }
                }
                _ => {
                    self.failed.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    }
}

#[test]
fn no_poll_fails_while_nodes_are_started_again_one_after_the_other() {
    let mut world = World::new(Backing::S3Redis);
    let app = world.app(&["1.0.0"]);
    world.rollout(&app, "stable = \"1.0.0\"\n");
    for node in &mut world.cluster.nodes {
        node.reroute("drain = \"0s\"", "drain = \"1s\"");
        node.start_again();
    }
    let nodes: Vec<SocketAddr> = world.cluster.nodes.iter().map(|node| node.device).collect();
    let behind = Behind {
        ready: nodes.iter().map(|_| AtomicBool::new(true)).collect(),
        nodes: &nodes,
        path: format!("/v1/manifest/{HOST}/{app}?u=phone-1"),
        polls: AtomicUsize::new(0),
        failed: AtomicUsize::new(0),
        told_to_leave: AtomicUsize::new(0),
        seen_draining: AtomicUsize::new(0),
        is_over: AtomicBool::new(false),
    };
    std::thread::scope(|scope| {
        scope.spawn(|| behind.look());
        let behind = &behind;
        for nth in 0..3 {
            scope.spawn(move || behind.poll(nth));
        }
        let polls = || behind.polls.load(Ordering::SeqCst);
        for (n, node) in world.cluster.nodes.iter_mut().enumerate() {
            let before = polls();
            until("phones poll", || polls() > before + 50);
            node.terminate();
            node.start_again();
            until("the balancer sees it again", || behind.is_ready(n));
        }
        let failed = behind.failed.load(Ordering::SeqCst);
        println!(
            "figure: polls failed in a rolling restart {failed} of {}",
            polls()
        );
        assert_eq!(failed, 0, "of {}", polls());
        // One that dies without a word is noticed: the harness counts.
        until("a node dies under a phone", || {
            world.cluster.nodes[1].kill();
            let failed = behind.failed.load(Ordering::SeqCst);
            if failed == 0 {
                world.cluster.nodes[1].start_again();
                until("phones poll it", || behind.is_ready(1));
                let before = polls();
                until("phones poll", || polls() > before + 50);
            }
            failed > 0
        });
        behind.is_over.store(true, Ordering::SeqCst);
    });
    assert!(behind.seen_draining.load(Ordering::SeqCst) >= 3);
    assert!(behind.told_to_leave.load(Ordering::SeqCst) > 0);
}
