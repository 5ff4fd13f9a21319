//! Which web pages may connect (RFC 6454): browsers send the page's origin, and a WebSocket is not bound by the
//! same-origin policy, so the server has to look.

use axum::http::{HeaderMap, Uri, Version, header};

/// Decides by the `Origin` header. Clients that are no browsers send none and may come in.
pub(super) fn is_allowed(headers: &HeaderMap, allowed: &[String], on_loopback: bool) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let Ok(origin) = origin.to_str() else { return false };
    if allowed.iter().any(|entry| entry == "*" || entry.eq_ignore_ascii_case(origin)) {
        return true;
    }
    // A page opened from a file has the origin `null`.
    if origin == "null" {
        return on_loopback;
    }
    let Some(page) = origin.parse::<Uri>().ok().and_then(|uri| uri.authority().cloned()) else {
        return false;
    };
    if on_loopback {
        // Any name can be made to point here (DNS rebinding), so only what cannot mean another machine counts.
        return matches!(page.host(), "localhost" | "127.0.0.1" | "[::1]");
    }
    let own = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    own.is_some_and(|own| own.eq_ignore_ascii_case(page.as_str()))
}

/// Whether a request says once for whom it is, as it must (RFC 9112 §3.2): of two names, we and a proxy could take
/// different ones. HTTP/1.0 knows no `Host`.
pub(super) fn names_one_host(version: Version, headers: &HeaderMap) -> bool {
    match headers.get_all(header::HOST).iter().count() {
        0 => version < Version::HTTP_11,
        named => named == 1,
    }
}

/// Whether a request was meant for this machine. On loopback without authentication a foreign page could otherwise read
/// everything through a name of its own that it points here (DNS rebinding). Only browsers are fooled that way, and they
/// say that they are one (W3C Fetch Metadata); others may call us what they like.
pub(super) fn is_for_us(headers: &HeaderMap, allowed: &[String]) -> bool {
    if !headers.contains_key("sec-fetch-site") {
        return true;
    }
    let Some(host) = headers.get(header::HOST) else { return true };
    let Some(host) = host.to_str().ok().and_then(|host| host.parse::<axum::http::uri::Authority>().ok())
    else {
        return false;
    };
    let is_allowed = |origin: &String| origin.parse::<Uri>().is_ok_and(|uri| uri.host() == Some(host.host()));
    matches!(host.host(), "localhost" | "127.0.0.1" | "[::1]") || allowed.iter().any(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_our_own_names_are_for_us() {
        let check = |host: &str, expect: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            assert!(is_for_us(&headers, &[]), "no browser");
            headers.insert("sec-fetch-site", "same-origin".parse().unwrap());
            assert_eq!(is_for_us(&headers, &["https://app.example".into()]), expect, "{host}");
        };
        check("127.0.0.1:7400", true);
        check("localhost:7400", true);
        check("[::1]:7400", true);
        check("app.example", true);
        check("evil.example:7400", false);
        check("localhost.evil.example", false);
        check("", false);
        assert!(is_for_us(&HeaderMap::new(), &[]));
    }

    #[test]
    fn pages_of_others_stay_out() {
        let check = |origin: &str, allowed: &[&str], on_loopback: bool, expect: bool| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, "broker.example:7400".parse().unwrap());
            if !origin.is_empty() {
                headers.insert(header::ORIGIN, origin.parse().unwrap());
            }
            let allowed: Vec<String> = allowed.iter().map(|&entry| entry.to_owned()).collect();
            assert_eq!(is_allowed(&headers, &allowed, on_loopback), expect, "{origin}");
        };
        check("", &[], false, true);
        check("https://evil.example", &[], false, false);
        check("https://evil.example", &[], true, false);
        check("https://app.example", &["https://app.example"], false, true);
        check("https://app.example.evil.example", &["https://app.example"], false, false);
        check("https://any.example", &["*"], false, true);
        check("http://broker.example:7400", &[], false, true);
        check("http://broker.example:7400", &[], true, false);
        check("http://localhost:3000", &[], true, true);
        check("http://localhost:3000", &[], false, false);
        check("http://localhost.evil.example", &[], true, false);
        check("null", &[], true, true);
        check("null", &[], false, false);
        check("\u{ff}", &["*"], false, false);
    }
}
