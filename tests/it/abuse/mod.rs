//! What HTTP lets somebody try against a real server, while others poll: messages with two meanings, connections
//! that dribble, floods of frames. Every attack is bounded in count and time and stays on loopback.
//!
//! Each look is held against a server that makes the mistake, written here for that: see `naive`.

mod dribbles;
mod floods;
mod naive;
mod smuggling;

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::{
    support::wire::Wire,
    world::{HOST, World},
};

/// Within this 99 of 100 polls are answered, whatever others do: far above the noise of a busy machine, far
/// below what a person notices.
const BUDGET: Duration = Duration::from_millis(250);

/// The target of an honest phone's poll: an app that has a rollout.
fn poll_of(world: &World) -> String {
    let app = world.app(&["1.0.0"]);
    world.rollout(&app, "stable = \"1.0.0\"\n");
    format!("/v1/manifest/{HOST}/{app}?u=phone-0001")
}

/// What 99 of 100 polls take on one connection.
fn polls(to: SocketAddr, target: &str) -> io::Result<Duration> {
    let mut wire = Wire::connect(to)?;
    let mut times = Vec::with_capacity(400);
    for _ in 0..400 {
        let since = Instant::now();
        let reply = wire.get(target, &[])?;
        if reply.status != 200 {
            return Err(io::Error::other(format!(
                "{}: {}",
                reply.status,
                reply.text()
            )));
        }
        times.push(since.elapsed());
    }
    times.sort_unstable();
    Ok(times[times.len() * 99 / 100])
}

/// Says how much slower polls were beside an attack, and fails when they were too slow.
fn within_budget(attack: &str, idle: Duration, beside: Duration) {
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    println!(
        "99 of 100 polls within {:.1} ms beside {attack}, {:.1} ms alone",
        ms(beside),
        ms(idle)
    );
    assert!(beside < BUDGET, "{attack}: {beside:?}");
}
