//! Origins that no page can have: a mistake in `allowed_origins` would show only as pages that are refused.

use super::{Settings, wording::Place};

/// Names each that would never match, with what was probably meant.
pub(super) fn check(settings: &Settings, place: &Place<'_>, mistakes: &mut Vec<String>) {
    for origin in settings.allowed_origins.iter().flatten().filter(|origin| !origin.is_empty()) {
        if let Some(what) = mistake_in(origin) {
            mistakes.push(
                place.mistake("allowed_origins", &format!("has `{origin}`, which matches no page: {what}")),
            );
        }
    }
}

fn mistake_in(origin: &str) -> Option<String> {
    if origin == "*" {
        return None;
    }
    if origin == "null" {
        return Some(
            "pages without an origin, of which everybody has some, cannot be told apart; `*` lets all in"
                .into(),
        );
    }
    if origin.chars().any(char::is_uppercase) {
        return Some(format!("browsers write origins in lower case: `{}`", origin.to_lowercase()));
    }
    if !origin.is_ascii() {
        return Some("browsers write international names in ASCII, beginning with `xn--`".into());
    }
    let Some((scheme, rest)) = origin.split_once("://") else {
        return Some(format!("an origin begins with a scheme: `https://{origin}`"));
    };
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.len() < rest.len() {
        return Some(format!("an origin ends with its host and port: `{scheme}://{host}`"));
    }
    if host.contains('*') {
        return Some("each origin is listed whole, or `*` alone lets all in".into());
    }
    if let Some(page) = [("wss", "https"), ("ws", "http")]
        .iter()
        .find_map(|(socket, page)| (scheme == *socket).then_some(page))
    {
        return Some(format!("the origin is the page's, not the socket's: `{page}://{host}`"));
    }
    let default = [("https", ":443"), ("http", ":80")].iter().find(|(of, _)| *of == scheme);
    if let Some(bare) = default.and_then(|(_, port)| host.strip_suffix(port)) {
        return Some(format!("browsers leave the default port out: `{scheme}://{bare}`"));
    }
    let is_port = |text: &str| text.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
    match host.parse::<axum::http::uri::Authority>() {
        Ok(read) if host == read.host() || host.strip_prefix(read.host()).is_some_and(is_port) => None,
        _ => Some("it is not a scheme, a host and maybe a port".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_browser_sends_is_found() {
        let fine = [
            "*",
            "https://app.example",
            "http://localhost:3000",
            "https://[2001:db8::1]:8443",
            "capacitor://localhost",
        ];
        for origin in fine {
            assert_eq!(mistake_in(origin), None, "{origin}");
        }
        for (origin, meant) in [
            ("app.example", "`https://app.example`"),
            ("localhost:3000", "`https://localhost:3000`"),
            ("https://app.example/", "`https://app.example`"),
            ("https://app.example/chat?x", "`https://app.example`"),
            ("https://App.Example", "`https://app.example`"),
            ("https://app.example:443", "`https://app.example`"),
            ("http://[::1]:80", "`http://[::1]`"),
            ("wss://app.example", "`https://app.example`"),
            ("https://*.example", "listed whole"),
            ("https://bücher.example", "xn--"),
            ("https://user@app.example", "not a scheme, a host"),
            ("https://app.example:x", "not a scheme, a host"),
            ("https://", "not a scheme, a host"),
            ("null", "without an origin"),
        ] {
            let told = mistake_in(origin).unwrap_or_else(|| panic!("{origin} passes"));
            assert!(told.contains(meant), "{origin}: {told}");
        }
    }
}
