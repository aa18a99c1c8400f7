//! Messages between nodes: lost, late, twice, out of order.
//!
//! A message is one of [`Message`]'s kinds: a hint, or a signed kill over the bus. What nodes post to each other is
//! in `kills.rs`.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::broadcast, time::sleep};

use super::{
    process::Gate,
    world::{World, locked},
};
use crate::bus::{Bus, Counts, Hint, Notices, Wake, Wakes};

/// What one node tells another.
#[derive(Debug, Clone)]
pub(super) enum Message {
    /// On the bus: look at the ledger.
    Hint(Hint),
    /// On the bus: a kill that the ledger may not have yet, signed.
    Notice(Bytes),
}

/// Where one life of a node hears the bus.
#[derive(Debug, Clone)]
pub(super) struct Ear {
    pub(super) gate: Gate,
    pub(super) wakes: broadcast::Sender<Wake>,
    pub(super) notices: broadcast::Sender<Bytes>,
}

/// One life of a node at the bus.
pub(super) struct Wire {
    pub(super) world: Arc<World>,
    pub(super) node: usize,
    pub(super) ear: Ear,
}

impl World {
    /// Carries a message over the bus to every node, its sender included.
    fn cast(self: &Arc<Self>, from: usize, message: &Message) {
        for to in 0..self.places.len() {
            let weather = locked(&self.weather);
            let ends = [from, to];
            let is_down = weather.bus_down || ends.iter().any(|end| weather.cut_off.contains(end));
            drop(weather);
            if is_down {
                self.fault("message to nobody");
                continue;
            }
            self.carry(from, to, message);
        }
    }

    /// Carries a message to one node, as the network likes.
    fn carry(self: &Arc<Self>, from: usize, to: usize, message: &Message) {
        let of_1000 = self.plan.message_faults;
        if self.strikes(of_1000) {
            self.fault("message lost");
            return;
        }
        let mut delays = vec![self.up_to(8)];
        if self.strikes(of_1000) {
            self.fault("message late");
            delays[0] += self.up_to(3_000);
        }
        if self.strikes(of_1000) {
            self.fault("message twice");
            delays.push(self.up_to(1_000));
        }
        for delay in delays {
            let (world, message) = (Arc::clone(self), message.clone());
            tokio::spawn(async move {
                sleep(delay).await;
                world.arrives(from, to, message).await;
            });
        }
    }

    async fn arrives(&self, from: usize, to: usize, message: Message) {
        let Some(Ear {
            gate,
            wakes,
            notices,
        }) = self.places[to].ear()
        else {
            return;
        };
        gate.pass().await;
        match message {
            Message::Hint(hint) => {
                self.say(format_args!("node {to}: hears {hint} of node {from}"));
                let _nobody_listens = wakes.send(Wake::Hint(hint));
            }
            Message::Notice(notice) => {
                self.say(format_args!("node {to}: hears of a kill by node {from}"));
                let _nobody_listens = notices.send(notice);
            }
        }
    }

    /// The bus is there again: whoever is on it may have missed something.
    pub(super) fn reconnect(&self) {
        for place in &self.places {
            if let Some(Ear { gate, wakes, .. }) = place.ear()
                && !gate.is_dead()
            {
                let _nobody_listens = wakes.send(Wake::Reconnected);
            }
        }
    }

    /// Somebody else's client on the bus says what it likes.
    pub(super) fn lie_on_the_bus(self: &Arc<Self>, hint: Hint) {
        for to in 0..self.places.len() {
            self.carry(to, to, &Message::Hint(hint));
        }
    }
}

impl Bus for Wire {
    fn publish(&self, hint: Hint) {
        if !self.ear.gate.is_dead() {
            self.world.cast(self.node, &Message::Hint(hint));
        }
    }

    fn spread(&self, notice: Bytes) {
        if !self.ear.gate.is_dead() {
            self.world.cast(self.node, &Message::Notice(notice));
        }
    }

    fn notices(&self) -> Notices {
        Notices::new(self.ear.notices.subscribe())
    }

    fn subscribe(&self) -> Wakes {
        Wakes::new(self.ear.wakes.subscribe())
    }

    fn healthy(&self) -> bool {
        !locked(&self.world.weather).bus_down
    }

    fn counts(&self) -> Counts {
        Counts::default()
    }
}

/// How long a request between a person or a device and a node is under way.
pub(super) fn distance(world: &World) -> Duration {
    world.up_to(15)
}
