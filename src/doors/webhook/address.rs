//! The public address of a request: what the provider was told, or what trusted proxies say.

use std::net::IpAddr;

use axum::http::{HeaderMap, Uri, header};
use ipnet::IpNet;

use crate::provider::Source;

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    /// Its address.
    pub address: IpAddr,
    /// Whether it speaks TLS with us.
    pub tls: bool,
}

/// The address as the sender knows it. What proxies say is believed only of those that are trusted.
pub(super) fn public(
    source: &Source,
    uri: &Uri,
    headers: &HeaderMap,
    peer: Peer,
    trusted: &[IpNet],
) -> String {
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    // Some providers sign the address, and what stands in front of us may have changed it; only the configuration knows
    // then.
    if let Some(url) = &source.public_url {
        // The secret in the address stands in no configuration, but the provider knows it.
        let secret = uri.path().rsplit_once('/').map_or("", |(_, last)| last);
        let secret = if source.has_path_tokens() { format!("/{secret}") } else { String::new() };
        return format!("{url}{secret}{query}");
    }
    let is_trusted = trusted.iter().any(|network| network.contains(&peer.address.to_canonical()));
    let forwarded = |name: &str| {
        let value = headers.get(name).filter(|_| is_trusted)?.to_str().ok()?;
        // The proxy nearest to us has appended its word.
        value.rsplit(',').next().map(|word| word.trim().to_owned()).filter(|word| !word.is_empty())
    };
    let own_scheme = if peer.tls { "https" } else { "http" };
    let scheme = forwarded("x-forwarded-proto").unwrap_or_else(|| own_scheme.into());
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let host = forwarded("x-forwarded-host").unwrap_or_else(|| host.into());
    format!("{scheme}://{host}{}{query}", uri.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_trusted_proxies_are_believed() {
        let source = crate::provider::vectors::source("hmac", &["k"]);
        let mut headers = HeaderMap::new();
        headers.insert("host", "inside:7400".parse().unwrap());
        headers.insert("x-forwarded-proto", "https".parse().unwrap());
        headers.insert("x-forwarded-host", "evil.example, hooks.example".parse().unwrap());
        let uri: Uri = "/in/it?a=b".parse().unwrap();
        let of = |address: &str, trusted: &[IpNet]| {
            let peer = Peer { address: address.parse().unwrap(), tls: false };
            public(&source, &uri, &headers, peer, trusted)
        };
        let trusted = ["10.0.0.0/8".parse().unwrap()];
        assert_eq!(of("10.1.2.3", &trusted), "https://hooks.example/in/it?a=b");
        assert_eq!(of("::ffff:10.1.2.3", &trusted), "https://hooks.example/in/it?a=b");
        assert_eq!(of("11.1.2.3", &trusted), "http://inside:7400/in/it?a=b");
        assert_eq!(of("10.1.2.3", &[]), "http://inside:7400/in/it?a=b");
        let mut known = source.clone();
        known.public_url = Some("https://h.example/x".into());
        let peer = Peer { address: "10.1.2.3".parse().unwrap(), tls: true };
        assert_eq!(public(&known, &uri, &headers, peer, &trusted), "https://h.example/x?a=b");
    }
}
