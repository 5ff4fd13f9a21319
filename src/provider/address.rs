//! The ways one address may have been written when it was signed.

/// An address as given, with its standard port spelled out or left out, and with the characters that HubSpot leaves
/// plain in its query decoded.
pub(super) fn variants(address: &str) -> Vec<String> {
    let mut all = vec![address.to_owned(), toggled_slash(address)];
    let with_ports: Vec<String> = all.iter().filter_map(|address| toggled_port(address)).collect();
    all.extend(with_ports);
    if let Some((path, query)) = address.split_once('?')
        && query.contains('%')
    {
        all.push(format!("{path}?{}", plain(query)));
    }
    all
}

/// With or without a slash at the end of the path: both lead to the source.
fn toggled_slash(address: &str) -> String {
    let (path, query) = address.split_at(address.find(['?', '#']).unwrap_or(address.len()));
    match path.strip_suffix('/') {
        Some(without) => format!("{without}{query}"),
        None => format!("{path}/{query}"),
    }
}

fn toggled_port(address: &str) -> Option<String> {
    let (scheme, rest) = address.split_once("://")?;
    let standard = match scheme {
        "https" => ":443",
        "http" => ":80",
        _ => return None,
    };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (authority, tail) = rest.split_at(end);
    let host = authority.rsplit('@').next().unwrap_or_default();
    match authority.strip_suffix(standard) {
        Some(without) => Some(format!("{scheme}://{without}{tail}")),
        // What follows the bracket of an IPv6 address, whose own colons are no port.
        None if host.rsplit(']').next().is_some_and(|after| after.contains(':')) => None,
        None => Some(format!("{scheme}://{authority}{standard}{tail}")),
    }
}

/// HubSpot: "Validating requests using the v3 request signature", the list of characters to decode.
const PLAIN: &[(&str, &str)] = &[
    ("%3A", ":"),
    ("%2F", "/"),
    ("%3F", "?"),
    ("%40", "@"),
    ("%21", "!"),
    ("%24", "$"),
    ("%27", "'"),
    ("%28", "("),
    ("%29", ")"),
    ("%2A", "*"),
    ("%2C", ","),
    ("%3B", ";"),
];

fn plain(query: &str) -> String {
    let lower = |code: &str| code.to_ascii_lowercase();
    PLAIN.iter().fold(query.to_owned(), |text, (code, character)| {
        // Some write escapes in lower case; both are the same character (RFC 3986 §2.1), but not the same signed text.
        text.replace(code, character).replace(&lower(code), character)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_and_codes_vary() {
        let variants = |address: &str| variants(address).join(" ");
        assert_eq!(variants("https://h/p"), "https://h/p https://h/p/ https://h:443/p https://h:443/p/");
        assert_eq!(
            variants("http://h:80/?a=%3a"),
            "http://h:80/?a=%3a http://h:80?a=%3a http://h/?a=%3a http://h?a=%3a http://h:80/?a=:"
        );
        assert_eq!(variants("https://h:8443/p"), "https://h:8443/p https://h:8443/p/");
        assert!(variants("https://u:p@h/p").contains("https://u:p@h:443/p"));
        assert!(variants("https://[::1]/").contains("https://[::1]:443/"));
        assert_eq!(variants("/p"), "/p /p/");
    }
}
