//! Who has how many connections ([`Crowd`]), and whose a stranger's address is: strangers are counted by network, because whoever has one IPv6 address has 2^64 of them. An IPv4 address
//! counts for itself, however it is written; an IPv6 address counts as its first 64 bits, the least that a network is given. Whoever has
//! many networks counts as many: what all together may have open is bounded beside this.
//!
//! Costs a key and a word for each that has a connection open: of a stranger its network, of a member its certificate.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};

/// The bits of an IPv6 address that name its network.
const NETWORK: u128 = !(u64::MAX as u128);

/// What an address is counted as.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & NETWORK)),
        four => four,
    }
}

/// Who has how many connections.
pub struct Crowd<K: Ord> {
    most: usize,
    open: Mutex<BTreeMap<K, usize>>,
}

/// A connection that is counted until this is dropped.
pub struct Seat<K: Ord> {
    crowd: Arc<Crowd<K>>,
    whose: K,
}

impl<K: Ord + Clone> Crowd<K> {
    /// At most so many of one.
    pub fn of(most: usize) -> Arc<Self> {
        let open = Mutex::default();
        Arc::new(Self { most, open })
    }

    /// One connection more, if whose it is has not as many as it may.
    pub fn seat(self: &Arc<Self>, whose: K) -> Option<Seat<K>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = open.entry(whose.clone()).or_default();
        if *count >= self.most {
            return None;
        }
        *count += 1;
        let crowd = self.clone();
        Some(Seat { crowd, whose })
    }
}

impl<K: Ord> Drop for Seat<K> {
    fn drop(&mut self) {
        let mut open = self.crowd.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.whose) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.whose);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(address: &str) -> IpAddr {
        network(address.parse().unwrap())
    }

    #[test]
    fn all_addresses_of_a_network_are_one_caller_and_those_of_the_next_another() {
        let home = of("2001:db8:1:2::1");
        assert_eq!(home, of("2001:db8:1:2:ffff:ffff:ffff:ffff"));
        assert_eq!(home, of("2001:db8:1:2:a:b:c:d"));
        for other in ["2001:db8:1:3::1", "2001:db8:2:2::1", "fe80::1", "::1"] {
            assert_ne!(home, of(other), "{other}");
        }
    }

    #[test]
    fn an_ipv4_address_is_one_caller_however_it_is_written() {
        assert_eq!(of("192.0.2.1"), of("::ffff:192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        assert_ne!(
            of("::ffff:192.0.2.1"),
            of("::ffff:192.0.2.2"),
            "no /64 holds all of IPv4"
        );
    }

    #[test]
    fn a_network_has_so_many_seats_and_gets_them_back_and_another_has_its_own() {
        let crowd = Crowd::of(2);
        let seat = |address: &str| crowd.seat(of(address));
        let (first, second) = (seat("2001:db8::1"), seat("2001:db8::2"));
        assert!(first.is_some() && second.is_some() && seat("2001:db8::3").is_none());
        assert!(seat("2001:db8:0:1::1").is_some() && seat("192.0.2.1").is_some());
        drop(first);
        assert!(seat("2001:db8::3").is_some());
        drop(second);
        assert!(crowd.open.lock().unwrap().is_empty(), "whoever left is forgotten");
    }
}
