//! What must hold when everything is well again: the ledger, the nodes and what people were told agree.

use bytes::Bytes;
use huidu::store::Folder;

use crate::{
    fleet::Fleet,
    journal::{self, Told},
    scenes::Campaign,
    table::Bar,
};

impl Campaign {
    /// What people were told is what the ledger says, and what every node does.
    pub(crate) fn ledger(&mut self) {
        let slots = read(&self.fleet);
        let entries = self.fleet.journal.lock().unwrap().clone();
        self.fleet.at(slots.len() as u64);
        let ends = self.fleet.states();
        let found = journal::faults(&slots, &entries, &ends);
        for fault in found.iter().take(5) {
            println!("the ledger and what was told differ: {fault:?}");
        }
        let told = |told: fn(&Told) -> bool| {
            entries.iter().filter(|entry| told(&entry.told)).count() as f64
        };
        let made = told(|told| matches!(told, Told::Made(_)));
        self.say("changes acknowledged", made, Bar::AtLeast(20.0));
        let refused = told(|told| *told == Told::Refused);
        self.say("changes refused", refused, Bar::Told);
        let unknown = told(|told| *told == Told::Unknown);
        self.say("changes of which nobody knew at first", unknown, Bar::Told);
        let name = "changes lost, kills resurrected, false failures and successes";
        self.say(name, found.len() as f64, Bar::AtMost(0.0));
        // And had the store forgotten any one of them, it would be seen.
        let planted = (1..slots.len()).rev().take(60).step_by(7);
        let unseen = planted.filter(|gone| {
            let slots = journal::without(&slots, *gone);
            journal::faults(&slots, &entries, &ends).is_empty()
        });
        let unseen = unseen.count() as f64;
        self.say("planted losses that nobody saw", unseen, Bar::AtMost(0.0));
    }
}

/// Every slot of the ledger, as the store holds it.
pub(crate) fn read(fleet: &Fleet) -> Vec<Bytes> {
    let store = fleet.cluster.store();
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().build().unwrap();
    runtime.block_on(async {
        let mut slots = Vec::new();
        for key in store.list(Folder::Log, None).await.unwrap() {
            slots.push(store.get(&key).await.unwrap());
        }
        slots
    })
}
