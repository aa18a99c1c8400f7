//! The campaign: a bank's nodes as real processes on a real SeaweedFS and a real Redis, phones that poll, and
//! everything that breaks, one thing after the other.
//!
//! `make test` runs a cut of three minutes, `make campaign` the whole. Every link between two processes is a
//! proxy of ours on loopback, so that a fault hits one link and nothing else of the machine; whatever is
//! started ends with this process. Figures are told by one table in the end ([`table`]), which also judges
//! them. Each checker is shown to find what it is for: [`planted`], and the tests beside `ages`.
#![allow(clippy::unwrap_used, reason = "the steps of a test are tests too")]
#![allow(clippy::print_stdout, reason = "a campaign is for its figures")]

#[path = "../support/mod.rs"]
mod support;

mod ages;
mod clock;
mod cold;
mod disk;
mod ending;
mod faults;
mod fleet;
mod journal;
mod load;
mod plan;
#[cfg(test)]
mod planted;
mod scenes;
mod table;
mod watch;

use std::time::{Duration, Instant};

use self::{load::Load, plan::Plan, scenes::Campaign, table::Bar};

/// Of what the machine bears, so much is asked for.
const SHARE: f64 = 0.7;

#[test]
fn the_campaign() {
    let (plan, since) = (Plan::of_the_environment(), Instant::now());
    println!("HUIDU_SEED={} {plan:?}", plan.seed);
    fastrand::seed(plan.seed);
    let mut campaign = Campaign::start(plan);
    let nodes: Vec<_> = (campaign.fleet.cluster.nodes.iter())
        .map(|node| node.device)
        .collect();
    let targets = campaign.fleet.targets.clone();
    let short = Duration::from_secs(2);
    let most = Load::most(&nodes, &targets, short);
    // In the cut others use the machine too, and what is asked for is far below.
    let borne = if plan.is_long {
        Load::borne(&nodes, &targets, most, short)
    } else {
        most
    };
    let rate = (borne * SHARE).min(plan.polls);
    println!("{most:.0} polls a second at most, {borne:.0} are borne; {rate:.0} are asked for");
    campaign.say(
        "polls a second that all nodes answered together at most",
        most,
        Bar::Told,
    );
    campaign.say("polls a second that they bore", borne, Bar::Told);
    campaign.say("polls a second asked for", rate, Bar::AtLeast(1.0));
    let load = Load::start(&nodes, &targets, Some(rate));
    faults::all(&mut campaign, &load);
    drop(load);
    cold::all(&mut campaign);
    disk::all(&mut campaign);
    campaign.leases();
    campaign.ledger();
    for (why, count) in &campaign.failures {
        println!("polls failed: {why}: {count}");
    }
    let seconds = since.elapsed().as_secs_f64();
    campaign.say("seconds the campaign took", seconds, Bar::AtMost(1_200.0));
    let broken = table::tell(&campaign.figures, &plan);
    assert!(broken.is_empty(), "HUIDU_SEED={}: {broken:#?}", plan.seed);
}
