//! Peers, told apart by their addresses.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};

/// What one peer has to itself: an IPv4 address, or the half of an IPv6 address that names its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peer(IpAddr);

impl Peer {
    pub(super) fn at(address: IpAddr) -> Self {
        Self(match address.to_canonical() {
            IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
            address => address,
        })
    }
}

/// How many of something each peer has.
#[derive(Debug, Default)]
pub(super) struct Tally(HashMap<Peer, usize>);

impl Tally {
    pub(super) fn of(&self, peer: Peer) -> usize {
        self.0.get(&peer).copied().unwrap_or_default()
    }

    /// How many all have together.
    pub(super) fn total(&self) -> usize {
        self.0.values().sum()
    }

    pub(super) fn add(&mut self, peer: Peer) {
        *self.0.entry(peer).or_default() += 1;
    }

    /// Takes back one that was [added](Self::add).
    pub(super) fn remove(&mut self, peer: Peer) {
        if let Some(of) = self.0.get_mut(&peer) {
            *of -= 1;
            if *of == 0 {
                self.0.remove(&peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::at(address.parse().unwrap())
    }

    #[test]
    fn an_address_is_the_same_however_it_is_spelt() {
        assert_eq!(peer("192.0.2.1"), peer("::ffff:192.0.2.1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
        assert_eq!(peer("2001:db8::1"), peer("2001:db8::2:0:0:1"));
        assert_ne!(peer("2001:db8::1"), peer("2001:db8:0:1::1"));
    }

    #[test]
    fn what_nobody_has_is_not_kept() {
        let (mut tally, [one, other]) = (Tally::default(), ["192.0.2.1", "192.0.2.2"].map(peer));
        tally.add(one);
        tally.add(one);
        tally.add(other);
        tally.remove(other);
        assert_eq!((tally.of(one), tally.of(other), tally.total(), tally.0.len()), (2, 0, 2, 1));
    }
}
