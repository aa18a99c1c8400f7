//! Which addresses of the network a webhook may go to: a name is looked up once, and what it leads to is looked at before
//! anything is connected.
//!
//! A setting names the receiver, a name service says where that is, and whoever answers for that name must not lead a node
//! to its own network: to itself, to what is beside it, or to what tells a machine of the cloud its secrets. What cannot be
//! told to be public is not.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ureq::{
    Error,
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::NextTimeout,
    },
};

/// How far a webhook may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// This machine alone: what is not encrypted.
    Loopback,
    /// What everybody reaches.
    Public,
    /// Networks of the bank, too. What is on the link alone is refused still: machines of a cloud are told their secrets
    /// there.
    Private,
}

impl Reach {
    /// True when `ip` may be connected to.
    pub fn allows(self, ip: IpAddr) -> bool {
        let ip = plain(ip);
        match self {
            Self::Loopback => ip.is_loopback(),
            Self::Public => is_public(ip),
            Self::Private => !(ip.is_unspecified() || ip.is_multicast() || is_on_link(ip)),
        }
    }
}

/// An address of version 4 that is written as one of version 6.
fn plain(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

fn is_on_link(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(four) => four.is_link_local() || four.is_broadcast(),
        // The second is where a cloud tells its machines their secrets.
        IpAddr::V6(six) => {
            six.is_unicast_link_local() || six.segments()[..3] == [0xfd00, 0x0ec2, 0]
        }
    }
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(four) => is_public_four(four),
        IpAddr::V6(six) => is_public_six(six),
    }
}

/// By IANA's registry of special purposes.
const fn is_public_four(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let special = match a {
        0 | 10 | 127 | 224..=255 => true,
        100 => b & 0xc0 == 64,
        169 => b == 254,
        172 => b & 0xf0 == 16,
        192 => b == 168 || b == 0 && (c == 0 || c == 2) || b == 88 && c == 99,
        198 => b & 0xfe == 18 || b == 51 && c == 100,
        203 => b == 0 && c == 113,
        _ => false,
    };
    !special
}

/// The part that is given out for all the world, without what leads elsewhere in a tunnel.
fn is_public_six(ip: Ipv6Addr) -> bool {
    let [first, second, ..] = ip.segments();
    let is_global = first & 0xe000 == 0x2000;
    // 2001::/23 holds tunnels and tests, 2001:db8:: and 3fff:: examples, 2002:: a tunnel.
    let special = first == 0x2001 && (second < 0x200 || second == 0x0db8)
        || first == 0x2002
        || first == 0x3fff && second < 0x1000;
    is_global && !special
}

/// Looks names up, and leaves out what may not be connected to.
#[derive(Debug)]
pub(super) struct Bounded(pub(super) Reach);

impl Resolver for Bounded {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let found = DefaultResolver::default().resolve(uri, config, timeout)?;
        let mut allowed = self.empty();
        for address in &*found {
            if self.0.allows(address.ip()) {
                allowed.push(*address);
            }
        }
        if allowed.is_empty() {
            return Err(Error::Other(Box::new(Forbidden)));
        }
        Ok(allowed)
    }
}

/// All that a name leads to may not be connected to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("its name leads to a network that webhooks may not go to; `private = true` lets them")]
pub(super) struct Forbidden;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_everybody_reaches_is_public() {
        // Address, public, and with leave for private networks.
        for (ip, public, private) in [
            ("93.184.216.34", true, true),
            ("1.1.1.1", true, true),
            ("172.15.255.255", true, true),
            ("100.128.0.1", true, true),
            ("192.1.0.1", true, true),
            ("2606:4700::1111", true, true),
            ("2a00:1450::1", true, true),
            ("::ffff:1.1.1.1", true, true),
            ("10.0.0.1", false, true),
            ("172.16.0.1", false, true),
            ("172.31.255.255", false, true),
            ("192.168.1.1", false, true),
            ("100.64.0.1", false, true),
            ("100.127.255.255", false, true),
            ("127.0.0.1", false, true),
            ("127.8.8.8", false, true),
            ("::1", false, true),
            ("::ffff:10.0.0.1", false, true),
            ("::ffff:127.0.0.1", false, true),
            ("fc00::1", false, true),
            ("fd12:3456::1", false, true),
            ("64:ff9b::a00:1", false, true),
            ("2002:a00:1::", false, true),
            ("2001::1", false, true),
            ("2001:db8::1", false, true),
            ("::7f00:1", false, true),
            ("192.0.2.1", false, true),
            ("198.18.0.1", false, true),
            ("198.19.255.255", false, true),
            ("203.0.113.9", false, true),
            ("240.0.0.1", false, true),
            ("169.254.169.254", false, false),
            ("::ffff:169.254.169.254", false, false),
            ("fe80::1", false, false),
            ("fd00:ec2::254", false, false),
            ("0.0.0.0", false, false),
            ("::", false, false),
            ("224.0.0.1", false, false),
            ("ff02::1", false, false),
            ("255.255.255.255", false, false),
        ] {
            let read = ip.parse().unwrap();
            assert_eq!(Reach::Public.allows(read), public, "{ip}");
            assert_eq!(Reach::Private.allows(read), private, "{ip}");
            let is_loopback = matches!(ip, "127.0.0.1" | "127.8.8.8" | "::1" | "::ffff:127.0.0.1");
            assert_eq!(Reach::Loopback.allows(read), is_loopback, "{ip}");
        }
    }
}
