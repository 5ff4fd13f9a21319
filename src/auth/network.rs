//! Whose an address is, as far as limits by address are concerned.

use std::net::{IpAddr, Ipv6Addr};

/// An address, or the 64 bits of it that somebody with IPv6 is given at least (RFC 6177): a new address for each try costs
/// them nothing.
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}
