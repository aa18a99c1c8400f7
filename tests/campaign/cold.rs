//! Static stability: a node that starts while store and Redis are both away.

use std::time::Instant;

use crate::{
    scenes::Campaign,
    support::{proxy::Weather, server::until, wire::Wire},
    table::Bar,
};

/// How long a node takes from its start to its first right answer: with nobody there, and with everybody
/// silent, which is worse, because silence must be waited for.
pub(crate) fn all(campaign: &mut Campaign) {
    start(campaign, Weather::Refused, "store and Redis down");
    start(campaign, Weather::Dark, "store and Redis silent");
}

fn start(campaign: &mut Campaign, weather: Weather, name: &str) {
    let fleet = &mut campaign.fleet;
    let path = format!("{}?u=phone-cold", fleet.targets[0]);
    let right = fleet.cluster.nodes[0].wire().get(&path, &[]).unwrap().body;
    fleet.around(2, weather);
    fleet.cluster.nodes[2].kill();
    let since = Instant::now();
    fleet.cluster.nodes[2].launch();
    let device = fleet.cluster.nodes[2].device;
    until("a node answers that starts without store and Redis", || {
        let asked = Wire::connect(device).and_then(|mut wire| wire.get(&path, &[]));
        asked.is_ok_and(|reply| reply.status == 200 && reply.body == right)
    });
    let ms = since.elapsed().as_secs_f64() * 1e3;
    fleet.around(2, Weather::Clear);
    fleet.is_well();
    campaign.say(
        format!("exec to the first right answer, {name}, ms"),
        ms,
        Bar::AtMost(15_000.0),
    );
}
