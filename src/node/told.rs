//! The metrics of a node as a whole: what is not counted where it happens, looked up when somebody asks.

use std::collections::BTreeSet;

use super::Node;

impl Node {
    /// All metrics in Prometheus' text form, the node's health among them.
    pub fn render_metrics(&self) -> String {
        let (health, metrics) = (self.health(), self.metrics());
        let age = self.now().ms_since(health.asof) / 1_000;
        metrics
            .ledger_age_seconds
            .set(i64::try_from(age).unwrap_or(i64::MAX));
        metrics.store_up.set(i64::from(health.store));
        metrics.bus_up.set(i64::from(health.bus));
        self.tell_fleet();
        self.live().tell();
        let now = self.now();
        let (mut expiring, mut expired) = (0, 0);
        for token in self.catalogue().tokens.values() {
            expiring += i64::from(token.expires_soon(now));
            expired += i64::from(!token.holds(now));
        }
        metrics.tokens_expiring.set(expiring);
        metrics.tokens_expired.set(expired);
        metrics.render()
    }

    /// Tells the metrics who there is.
    fn tell_fleet(&self) {
        let (metrics, members) = (self.metrics(), self.fleet().members());
        let heard = || members.iter().filter(|member| !member.is_silent);
        let versions: BTreeSet<&str> = heard().map(|one| one.beat.version.as_str()).collect();
        let furthest = heard().map(|member| member.beat.revision).max();
        let behind = furthest.unwrap_or_default().get();
        let behind = behind.saturating_sub(self.live().revision.get());
        let gauge = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        metrics.fleet_nodes.set(gauge(heard().count()));
        metrics
            .fleet_silent
            .set(gauge(members.len() - heard().count()));
        metrics.fleet_versions.set(gauge(versions.len()));
        metrics
            .fleet_behind
            .set(i64::try_from(behind).unwrap_or(i64::MAX));
    }
}
