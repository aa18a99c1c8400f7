//! What breaks: a list of scenes, from Redis and the store over the network to the nodes themselves.

use std::time::{Duration, Instant};

use crate::{
    clock,
    fleet::{Fleet, LEASE},
    load::Load,
    scenes::{ALL, Campaign, Scene},
    support::{proxy::Weather, server::until},
    table::Bar,
};

/// A look by the tick, and a little: where nobody tells a node, this is how late it is.
const TICK: [Bar; 2] = [Bar::Told, Bar::Within(1_200.0)];
/// Where nodes tell each other, neither store nor Redis is waited for.
const AT_ONCE: [Bar; 2] = [Bar::Told, Bar::Within(50.0)];
/// Long enough that those who wait for an answer give up, short enough for a row.
const TOO_SLOW: Duration = Duration::from_secs(2);

/// Every scene of a campaign.
pub(crate) fn all(campaign: &mut Campaign, load: &Load) {
    let scene = Scene {
        kills: campaign.plan.healthy,
        bars: [Bar::Within(10.0), Bar::Within(50.0)],
        ..campaign.scene("all well")
    };
    campaign.play(load, scene, |_| {}, |_| {});
    redis(campaign, load);
    store(campaign, load);
    network(campaign, load);
    nodes(campaign, load);
}

fn redis(campaign: &mut Campaign, load: &Load) {
    let broken = campaign.plan.broken;
    let scene = Scene {
        kills: broken,
        bars: TICK,
        ..campaign.scene("Redis dead")
    };
    campaign.play(load, scene, kill_redis, start_redis);
    let scene = Scene {
        kills: broken * 2,
        bars: TICK,
        ..campaign.scene("one hint in three lost")
    };
    let mut lost = 0;
    campaign.play(
        load,
        scene,
        |fleet| each_bus(fleet, Weather::LosesHints(3)),
        |fleet| {
            each_bus(fleet, Weather::Clear);
            lost = fleet.links.iter().map(|links| links.bus.struck()).sum();
        },
    );
    campaign.say("hints lost on purpose", lost as f64, Bar::AtLeast(1.0));
    let scene = campaign.scene("Redis hangs");
    campaign.play(
        load,
        scene,
        |fleet| fleet.cluster.redis.as_ref().unwrap().pause(),
        |fleet| fleet.cluster.redis.as_ref().unwrap().resume(),
    );
    // The replica leads with whatever had reached it, and the address leads to it.
    let scene = campaign.scene("Redis fails over to its replica");
    campaign.play(
        load,
        scene,
        |fleet| {
            kill_redis(fleet);
            fleet.second.lead();
            let to = fleet.second.address();
            fleet.links.iter().for_each(|links| links.bus.lead_to(to));
        },
        |fleet| {
            start_redis(fleet);
            let to = fleet.cluster.redis.as_ref().unwrap().address();
            fleet.links.iter().for_each(|links| links.bus.lead_to(to));
        },
    );
    let scene = Scene {
        bars: TICK,
        ..campaign.scene("two regions: two Redis, one bucket")
    };
    campaign.play(
        load,
        scene,
        |fleet| {
            fleet.second.lead();
            fleet.links[2].bus.lead_to(fleet.second.address());
        },
        |fleet| {
            let to = fleet.cluster.redis.as_ref().unwrap().address();
            fleet.links[2].bus.lead_to(to);
        },
    );
}

fn store(campaign: &mut Campaign, load: &Load) {
    let plan = campaign.plan;
    for (name, weather) in [
        ("store 2 s slow", Weather::Late(TOO_SLOW)),
        ("store down", Weather::Refused),
        ("store answers 500", Weather::Errors),
        ("store hangs", Weather::Dark),
    ] {
        let is_told = matches!(weather, Weather::Errors | Weather::Dark);
        let scene = Scene {
            // An app can be killed once: what lets it run again is a change, which waits for the store.
            kills: if is_told {
                plan.few.min(2)
            } else {
                plan.broken.min(plan.apps)
            },
            bars: if is_told { [Bar::Told; 2] } else { AT_ONCE },
            ..campaign.scene(name)
        };
        campaign.play(
            load,
            scene,
            |fleet| each_store(fleet, weather),
            |fleet| each_store(fleet, Weather::Clear),
        );
    }
    if plan.is_long {
        let scene = Scene {
            kills: 0,
            ..campaign.scene("SeaweedFS killed and started again")
        };
        campaign.play(
            load,
            scene,
            |fleet| {
                let weed = fleet.cluster.weed.as_mut().unwrap();
                weed.kill();
                weed.start_again();
            },
            |_| {},
        );
    }
}

fn network(campaign: &mut Campaign, load: &Load) {
    // Long enough that what it goes on answering is believed by nobody any more.
    let scene = Scene {
        watched: &[0, 1],
        lasts: LEASE + Duration::from_secs(2),
        ..campaign.scene("one node cut off from everything")
    };
    let mut healed = Instant::now();
    campaign.play(
        load,
        scene,
        |fleet| fleet.around(2, Weather::Dark),
        |fleet| {
            fleet.around(2, Weather::Clear);
            healed = Instant::now();
            agree(fleet);
        },
    );
    let late = healed.elapsed().as_secs_f64() * 1e3;
    campaign.say(
        "a node that was cut off knows everything again, ms",
        late,
        Bar::Told,
    );
    let scene = Scene {
        watched: &[0, 1],
        ..campaign.scene("one node sends and hears nothing")
    };
    campaign.play(
        load,
        scene,
        |fleet| fleet.around(2, Weather::Mute),
        |fleet| fleet.around(2, Weather::Clear),
    );
    let scene = campaign.scene("every connection between the machines breaks");
    campaign.play(
        load,
        scene,
        |fleet| {
            for links in &fleet.links {
                let all = [&links.store, &links.bus].into_iter().chain(&links.peers);
                all.for_each(|link| link.reset());
            }
        },
        |_| {},
    );
}

fn nodes(campaign: &mut Campaign, load: &Load) {
    let crashes = campaign.plan.crashes;
    let scene = Scene {
        stopped: &[2],
        watched: &[0, 1],
        lasts: Duration::ZERO,
        ..campaign.scene("one node killed by -9 and started again")
    };
    campaign.play(
        load,
        scene,
        |fleet| fleet.cluster.nodes[2].kill(),
        |fleet| {
            for _ in 0..crashes {
                fleet.cluster.nodes[2].start_again();
                fleet.cluster.nodes[2].kill();
            }
            fleet.cluster.nodes[2].start_again();
            agree(fleet);
        },
    );
    let scene = Scene {
        stopped: &[1],
        watched: &[0, 2],
        lasts: Duration::from_secs(5),
        ..campaign.scene("one node stopped for 5 s")
    };
    let mut late = 0.0;
    campaign.play(
        load,
        scene,
        |fleet| fleet.cluster.nodes[1].pause(),
        |fleet| {
            let since = Instant::now();
            fleet.cluster.nodes[1].resume();
            agree(fleet);
            late = since.elapsed().as_secs_f64() * 1e3;
        },
    );
    campaign.say(
        "a node that was stopped knows everything again, ms",
        late,
        Bar::Told,
    );
    clocks(campaign, load);
}

/// One node's clock is wrong from one moment to the next, and nobody is told anything else for it.
fn clocks(campaign: &mut Campaign, load: &Load) {
    let dir = campaign.fleet.cluster.path().to_owned();
    clock::lead(&mut campaign.fleet.cluster.nodes[1], &dir);
    campaign.fleet.is_well();
    for (name, jump) in [
        ("a clock jumps 10 minutes ahead", "+600s"),
        ("a clock jumps 10 minutes back", "-600s"),
    ] {
        let scene = Scene {
            watched: ALL,
            ..campaign.scene(name)
        };
        campaign.play(
            load,
            scene,
            |_| clock::jump(&dir, jump),
            |_| clock::jump(&dir, "+0s"),
        );
    }
    clock::undo(&mut campaign.fleet.cluster.nodes[1]);
    campaign.fleet.is_well();
}

fn kill_redis(fleet: &mut Fleet) {
    fleet.cluster.redis.as_mut().unwrap().kill();
}

fn start_redis(fleet: &mut Fleet) {
    let redis = fleet.cluster.redis.as_mut().unwrap();
    redis.start_again();
    fleet.second.follow(redis);
}

fn each_store(fleet: &Fleet, weather: Weather) {
    for links in &fleet.links {
        links.store.set(weather);
    }
}

fn each_bus(fleet: &Fleet, weather: Weather) {
    fleet.links.iter().for_each(|links| links.bus.set(weather));
}

/// Waits until every node says the same of every app.
fn agree(fleet: &Fleet) {
    until("all nodes say the same", || {
        let states = fleet.states();
        states.iter().all(|state| *state == states[0])
    });
}
