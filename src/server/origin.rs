//! Which web pages may call (RFC 6454). A browser calls for any page, with what only this machine or network may reach,
//! and a WebSocket is not bound by the same-origin policy; so the broker looks where a request comes from.
//!
//! A browser says so itself, in headers that no page can set: `Origin`, and `Sec-Fetch-…` (W3C Fetch Metadata) on the
//! way to `https:` and to this machine. Programs send neither and may call; they could say anything anyway.

use std::fmt;

use axum::http::{HeaderMap, Method, Uri, Version, header, uri::Authority};

/// Characters of an origin that are repeated to whoever sent it and in the log.
const SHOWN: usize = 100;

/// Names that cannot mean another machine, whatever a name server says.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Whose pages may call.
#[derive(Clone, Debug, Default)]
pub(super) struct Pages {
    /// The setting `allowed_origins`.
    pub(super) allowed: Vec<String>,
    /// The broker listens on loopback, so pages of this machine may call.
    pub(super) on_loopback: bool,
    /// Strangers may do something, so a name that somebody points here (DNS rebinding) gives a page power.
    pub(super) anonymous: bool,
    /// There are no credentials at all, and nobody but this machine is meant.
    pub(super) open: bool,
}

/// Why a page may not call; says which setting would let it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Foreign {
    /// The page is of another origin than any that may.
    Origin { origin: String, own: String },
    /// The page has no origin of its own: a sandboxed frame, or a file.
    Nobody,
    /// Something that a page of elsewhere contains, like an image.
    Part,
    /// The broker was called by a name that anybody may have pointed here.
    Name(String),
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Origin { origin, own } => write!(
                f,
                "pages of `{origin}` may not call this broker, whose own name is `{own}` here: list the origin in \
                 `allowed_origins`"
            ),
            Self::Nobody => f.write_str(
                "a page without an origin (`null`: a sandboxed frame, a file) may not call this broker: serve it from an \
                 origin that `allowed_origins` lists",
            ),
            Self::Part => f.write_str("parts of other sites' pages may not call this broker, see `allowed_origins`"),
            Self::Name(host) => write!(
                f,
                "this broker has no authentication and answers browsers as `localhost` only, not as `{host}`: list its \
                 origin in `allowed_origins`, or configure authentication"
            ),
        }
    }
}

/// What a request says of where it comes from.
pub(super) struct Request<'r> {
    pub(super) headers: &'r HeaderMap,
    pub(super) method: &'r Method,
    pub(super) path: &'r str,
}

impl Request<'_> {
    fn text(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap_or_default())
    }

    /// Somebody follows a link to a page of ours, or opens it: nothing of it is seen by the page with the link.
    fn is_visit(&self) -> bool {
        let is = |name, value| self.text(name) == Some(value);
        self.method.is_safe()
            && is("sec-fetch-mode", "navigate")
            && is("sec-fetch-dest", "document")
            && !self.path.starts_with("/v1/")
    }

    /// Over plain HTTP and by a name, a browser sends no `Sec-Fetch-…`, and no `Origin` when it reads from what it takes
    /// for the page's own. Of what it does send, no page can take these away.
    fn is_of_browser(&self) -> bool {
        ["origin", "sec-fetch-site", "accept-language"].iter().any(|name| self.headers.contains_key(*name))
            || self.text("user-agent").is_some_and(|agent| agent.starts_with("Mozilla/"))
    }

    fn host(&self) -> Option<&str> {
        self.text("host")
    }
}

impl Pages {
    /// Whether any request like this is answered: reading, and on a broker without credentials everything.
    pub(super) fn may_call(&self, request: &Request<'_>) -> Result<(), Foreign> {
        if !self.open {
            // Reading needs no look: the browser keeps the answer from a page that may not have it.
            return if request.method.is_safe() { Ok(()) } else { self.may_act(request) };
        }
        // Against DNS rebinding: a page of `http://evil.example`, whose name was pointed here, is same-origin to its
        // browser.
        if let Some(host) = request.host().filter(|host| !self.is_ours(host))
            && request.is_of_browser()
        {
            return Err(Foreign::Name(shown(host)));
        }
        if request.is_visit() { Ok(()) } else { self.may_act(request) }
    }

    /// Whether a page may do what has an effect: publish, connect, subscribe, control.
    pub(super) fn may_act(&self, request: &Request<'_>) -> Result<(), Foreign> {
        // `Origin` goes first: it names the page, while `Sec-Fetch-Site` only says how far away that is.
        if let Some(origin) = request.text("origin") {
            return self.includes(origin, request.headers);
        }
        match request.text("sec-fetch-site") {
            None | Some("same-origin" | "none") => Ok(()),
            // Pages of this machine are on one site with it.
            Some("same-site") if self.on_loopback && request.host().is_some_and(is_loopback) => Ok(()),
            Some(_) if self.allows_all() => Ok(()),
            Some(_) => Err(Foreign::Part),
        }
    }

    /// Whether pages of an origin may call.
    pub(super) fn includes(&self, origin: &str, headers: &HeaderMap) -> Result<(), Foreign> {
        if self.allows_all() || self.allowed.iter().any(|entry| entry.eq_ignore_ascii_case(origin)) {
            return Ok(());
        }
        // Never matched by name: any page can have its frames sent as `null`.
        if origin == "null" {
            return Err(Foreign::Nobody);
        }
        let page = origin.parse::<Uri>().ok();
        let may = page.is_some_and(|page| {
            page.authority().is_some_and(|authority| {
                (self.on_loopback && LOOPBACK.contains(&authority.host()))
                    || (self.believes_own(page.scheme_str()) && is_own(authority, headers))
            })
        });
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
        if may { Ok(()) } else { Err(Foreign::Origin { origin: shown(origin), own: shown(host) }) }
    }

    /// Whether a page is ours because its origin is how the broker was called. On loopback, a page of `http:` may have had
    /// its name pointed here; one of `https:` was served by whoever has a certificate for its name, so by a proxy of ours.
    fn believes_own(&self, scheme: Option<&str>) -> bool {
        !self.open && (!self.on_loopback || !self.anonymous || scheme == Some("https"))
    }

    fn allows_all(&self) -> bool {
        self.allowed.iter().any(|entry| entry == "*")
    }

    /// Whether a name of the broker cannot have been chosen by a stranger.
    fn is_ours(&self, host: &str) -> bool {
        let named = |origin: &String| {
            let uri = origin.parse::<Uri>().ok();
            uri.and_then(|uri| uri.authority().map(|known| same(known, host))).unwrap_or(false)
        };
        is_loopback(host) || self.allowed.iter().any(named)
    }

    /// Whether a request to a broker without credentials did not come straight from this machine: somebody has put a proxy
    /// in front of it.
    pub(super) fn is_through_proxy(&self, headers: &HeaderMap) -> bool {
        const SIGNS: [&str; 6] =
            ["forwarded", "via", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip"];
        let host = headers.get(header::HOST).map(|host| host.to_str().unwrap_or_default());
        self.open
            && (SIGNS.iter().any(|name| headers.contains_key(*name))
                || host.is_some_and(|host| !is_loopback(host)))
    }
}

/// Whether an origin is how the broker was called, by whatever scheme: TLS may end before us. A proxy may call us by
/// another name and tell the one it was called by. Whoever says so is believed, since it is no more than an `Origin` that
/// fits: who can send these headers can leave out the other, and a page can send neither.
fn is_own(page: &Authority, headers: &HeaderMap) -> bool {
    let named = |name: &str| headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    let forwarded = named("x-forwarded-host").flat_map(|list| list.split(',')).map(str::trim);
    named("host").chain(forwarded).any(|host| same(page, host))
}

/// Whether an origin's authority, in which browsers leave out the default port, is this host.
fn same(page: &Authority, host: &str) -> bool {
    let Ok(host) = host.parse::<Authority>() else { return false };
    let ports = match (page.port_u16(), host.port_u16()) {
        // The scheme the client used is not known behind a proxy, so both default ports are taken for "none".
        (None, None | Some(80 | 443)) => true,
        (page, host) => page == host,
    };
    ports && page.host().eq_ignore_ascii_case(host.host())
}

fn is_loopback(host: &str) -> bool {
    host.parse::<Authority>()
        .is_ok_and(|host| LOOPBACK.iter().any(|name| name.eq_ignore_ascii_case(host.host())))
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

/// Whether a request says once for whom it is, as it must (RFC 9112 §3.2): of two names, we and a proxy could take
/// different ones. HTTP/1.0 knows no `Host`.
pub(super) fn names_one_host(version: Version, headers: &HeaderMap) -> bool {
    match headers.get_all(header::HOST).iter().count() {
        0 => version < Version::HTTP_11,
        named => named == 1,
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        let header = |(name, value): &(&str, &str)| {
            (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        list.iter().map(header).collect()
    }

    fn pages(allowed: &[&str], on_loopback: bool) -> Pages {
        let allowed = allowed.iter().map(|&entry| entry.to_owned()).collect();
        Pages { allowed, on_loopback, anonymous: false, open: false }
    }

    fn open(allowed: &[&str]) -> Pages {
        Pages { open: true, anonymous: true, ..pages(allowed, true) }
    }

    fn call(pages: &Pages, method: Method, path: &str, list: &[(&str, &str)]) -> bool {
        let headers = headers(list);
        pages.may_call(&Request { headers: &headers, method: &method, path }).is_ok()
    }

    #[test]
    fn an_open_broker_answers_browsers_by_its_own_names() {
        let check = |host: &str, expect: bool| {
            let read = |more: &[(&str, &str)]| {
                call(
                    &open(&["https://app.example"]),
                    Method::GET,
                    "/v1/topics",
                    &[&[("host", host)], more].concat(),
                )
            };
            assert!(read(&[]), "no browser");
            // By a name of its own, a page gets its browser to send no more than this.
            for sign in
                [("accept-language", "de"), ("user-agent", "Mozilla/5.0"), ("sec-fetch-site", "same-origin")]
            {
                assert_eq!(read(&[sign]), expect, "{host} {sign:?}");
            }
        };
        check("127.0.0.1:7400", true);
        check("localhost:7400", true);
        check("LOCALHOST:7400", true);
        check("[::1]:7400", true);
        check("app.example", true);
        check("app.example:443", true);
        check("app.example:7400", false);
        check("evil.example:7400", false);
        check("localhost.evil.example", false);
        check("", false);
    }

    #[test]
    fn pages_of_others_stay_out() {
        let check = |origin: &str, allowed: &[&str], on_loopback: bool, expect: bool| {
            let list = [("host", "broker.example:7400"), ("origin", origin)];
            let list = if origin.is_empty() { &list[..1] } else { &list };
            let pages = pages(allowed, on_loopback);
            assert_eq!(call(&pages, Method::POST, "/v1/publish", list), expect, "{origin}");
        };
        check("", &[], false, true);
        check("https://evil.example", &[], false, false);
        check("https://evil.example", &[], true, false);
        check("https://app.example", &["https://app.example"], false, true);
        check("https://app.example.evil.example", &["https://app.example"], false, false);
        check("https://any.example", &["*"], false, true);
        check("http://broker.example:7400", &[], false, true);
        check("https://broker.example:7400", &[], true, true);
        check("https://broker.example", &[], true, false);
        check("http://localhost:3000", &[], true, true);
        check("http://localhost:3000", &[], false, false);
        check("http://localhost.evil.example", &[], true, false);
        check("null", &[], true, false);
        check("null", &[], false, false);
        check("null", &["https://app.example"], true, false);
        check("null", &["*"], true, true);
        check("\u{ff}", &[], true, false);
    }

    #[test]
    fn the_own_origin_is_known_behind_a_proxy_that_ends_tls() {
        let behind = |host: &str, forwarded: &str, origin: &str| {
            let list = [("host", host), ("x-forwarded-host", forwarded), ("origin", origin)];
            call(&pages(&[], true), Method::POST, "/v1/publish", &list)
        };
        assert!(behind("broker.example", "", "https://broker.example"));
        assert!(behind("Broker.Example:443", "", "https://broker.example"));
        assert!(behind("127.0.0.1:7400", "broker.example", "https://broker.example"));
        assert!(behind("127.0.0.1:7400", "edge.example, broker.example", "https://broker.example"));
        assert!(!behind("127.0.0.1:7400", "", "https://broker.example"));
        assert!(!behind("broker.example", "broker.example", "https://evil.example"));
        assert!(!behind("broker.example", "", "https://broker.example:8443"));
    }

    #[test]
    fn a_name_pointed_here_gives_no_power_where_strangers_have_some() {
        let own = |pages: &Pages, origin: &str| {
            call(pages, Method::POST, "/v1/publish", &[("host", "evil.example:7400"), ("origin", origin)])
        };
        let strangers_too = Pages { anonymous: true, ..pages(&[], true) };
        assert!(!own(&strangers_too, "http://evil.example:7400"));
        assert!(
            own(&strangers_too, "https://evil.example:7400"),
            "no name was pointed: its TLS ended at ours"
        );
        assert!(own(&pages(&[], true), "http://evil.example:7400"), "it has no credential");
        assert!(!own(&open(&[]), "https://evil.example:7400"));
    }

    #[test]
    fn what_a_page_of_elsewhere_contains_does_nothing() {
        let site = |pages: &Pages, path: &str, site: &str, mode: &str, dest: &str| {
            let list = [
                ("host", "localhost:7400"),
                ("sec-fetch-site", site),
                ("sec-fetch-mode", mode),
                ("sec-fetch-dest", dest),
            ];
            call(pages, Method::GET, path, &list)
        };
        let open = open(&[]);
        assert!(!site(&open, "/v1/events", "cross-site", "no-cors", "image"));
        assert!(!site(&open, "/v1/events", "cross-site", "navigate", "document"));
        assert!(!site(&open, "/", "cross-site", "navigate", "iframe"));
        assert!(site(&open, "/", "cross-site", "navigate", "document"), "a link to the console");
        assert!(site(&open, "/v1/topics", "none", "navigate", "document"), "typed by somebody");
        assert!(site(&open, "/v1/topics", "same-origin", "cors", "empty"));
        assert!(site(&open, "/v1/topics", "same-site", "no-cors", "image"), "of this machine");
        let closed = pages(&[], false);
        let headers = headers(&[("host", "b.example"), ("sec-fetch-site", "same-site")]);
        let subscribes = Request { headers: &headers, method: &Method::GET, path: "/v1/events" };
        assert_eq!(closed.may_act(&subscribes), Err(Foreign::Part));
    }

    #[test]
    fn a_proxy_before_an_open_broker_shows() {
        let through = |list: &[(&str, &str)]| open(&[]).is_through_proxy(&headers(list));
        assert!(!through(&[("host", "localhost:7400")]));
        assert!(!through(&[]));
        assert!(through(&[("host", "demo.example")]));
        assert!(through(&[("host", "127.0.0.1:7400"), ("x-forwarded-for", "9.9.9.9")]));
        assert!(!pages(&[], true).is_through_proxy(&headers(&[("host", "demo.example")])));
    }
}
