//! Whose request it is: the address that a trusted proxy names, else the other end of the connection.

use std::net::{IpAddr, SocketAddr};

use axum::http::HeaderMap;
use ipnet::IpNet;

/// Proxies that a request may have come through one after the other.
const PROXIES_MAX: usize = 16;

/// Whether an address is one of the proxies that are believed (setting `trusted_proxies`).
pub(super) fn is_trusted(address: IpAddr, trusted: &[IpNet]) -> bool {
    let address = address.to_canonical();
    trusted.iter().any(|network| network.contains(&address))
}

/// The client's address: each proxy has appended whom it heard, so from the end back, the first that is no trusted proxy.
/// What cannot be read ends the search, and what stands before the client's is anybody's claim.
pub(super) fn address(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let mut client = peer.to_canonical();
    // Without proxies that are believed, the header is anybody's claim, and is not even read.
    if trusted.is_empty() {
        return client;
    }
    let lists: Vec<&str> =
        headers.get_all("x-forwarded-for").iter().map(|value| value.to_str().unwrap_or_default()).collect();
    // From the last line and its end on: each proxy appends, so what is furthest back was written by the one nearest to
    // us. RFC 9110 §5.3 makes several lines one list.
    let mut heard = lists.iter().rev().flat_map(|list| list.rsplit(',')).take(PROXIES_MAX);
    while is_trusted(client, trusted) {
        match heard.next().and_then(read) {
            Some(before) => client = before,
            None => break,
        }
    }
    client
}

/// An address, maybe with a port.
fn read(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let read = bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|with_port| with_port.ip()));
    read.map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_believed_as_far_as_they_are_trusted() {
        let trusted: Vec<IpNet> = vec!["10.0.0.0/8".parse().unwrap(), "fd00::/8".parse().unwrap()];
        let of = |peer: &str, heard: &[&str]| {
            let mut headers = HeaderMap::new();
            for list in heard {
                headers.append("x-forwarded-for", list.parse().unwrap());
            }
            address(peer.parse().unwrap(), &headers, &trusted).to_string()
        };
        assert_eq!(of("9.9.9.9", &["1.2.3.4"]), "9.9.9.9", "no proxy");
        assert_eq!(of("10.0.0.1", &[]), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &["1.2.3.4"]), "1.2.3.4");
        assert_eq!(of("::ffff:10.0.0.1", &["1.2.3.4:5678"]), "1.2.3.4");
        assert_eq!(of("fd00::1", &["[2001:db8::1]:5678"]), "2001:db8::1");
        assert_eq!(of("fd00::1", &["[2001:db8::1]"]), "2001:db8::1");
        assert_eq!(of("10.0.0.1", &["6.6.6.6, 1.2.3.4, 10.0.0.2"]), "1.2.3.4", "6.6.6.6 is a claim");
        assert_eq!(of("10.0.0.1", &["6.6.6.6", "1.2.3.4", "10.0.0.2"]), "1.2.3.4");
        assert_eq!(of("10.0.0.1", &["1.2.3.4, unknown"]), "10.0.0.1");
        assert_eq!(of("10.0.0.1", &["10.0.0.3"]), "10.0.0.3", "proxies all the way");
    }
}
