//! Open connections by the address they come from, where one address may have only a part of them all.
//!
//! Locked once when a connection begins and once when it ends, never for a request; and not at all where nothing
//! is bounded, as behind a balancer, from whose own address all connections come. Nobody is remembered who has no
//! connection open.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
};

/// How many each address has open.
pub(super) struct Addresses {
    /// The most of one; 0: not bounded.
    most: usize,
    open: Mutex<HashMap<IpAddr, usize>>,
}

impl Addresses {
    /// Nobody yet, and at most `most` of each; 0: not bounded.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            open: Mutex::default(),
        }
    }

    /// One more from `peer`; false when it is one too many. It is counted until it leaves, either way.
    pub(super) fn enter(&self, peer: IpAddr) -> bool {
        self.most == 0 || {
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            let count = open.entry(network(peer)).or_default();
            *count += 1;
            *count <= self.most
        }
    }

    /// One that entered ended.
    pub(super) fn leave(&self, peer: IpAddr) {
        if self.most == 0 {
            return;
        }
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let address = network(peer);
        if let Some(count) = open.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                open.remove(&address);
            }
        }
    }

    /// True while nobody is counted.
    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.is_empty()
    }
}

/// Who counts as one: an address, and of IPv6 the network that one customer is given.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) >> 64 << 64;
            IpAddr::V6(Ipv6Addr::from(network))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_with_many_addresses_is_one() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
    }

    #[test]
    fn whoever_leaves_makes_room_and_is_forgotten() {
        let (addresses, peer) = (Addresses::new(2), IpAddr::from([10, 0, 0, 1]));
        assert!(addresses.enter(peer) && addresses.enter(peer) && !addresses.enter(peer));
        (0..2).for_each(|_| addresses.leave(peer));
        assert!(addresses.enter(peer) && !addresses.is_empty());
        (0..2).for_each(|_| addresses.leave(peer));
        assert!(addresses.is_empty());
    }
}
