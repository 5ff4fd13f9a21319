//! Pages for people, embedded in the binary: the console at `/`, and in development the demos at `/demos/`.
//!
//! Nothing in them comes from elsewhere, and their Content-Security-Policy (W3C CSP3) holds them to it: the console's
//! scripts and styles are files of this broker; a demo is one file, so its inline ones are allowed by their hashes.

use axum::{
    Router,
    extract::State,
    http::{HeaderName, HeaderValue, Uri, header},
    response::{IntoResponse, Response},
    routing::get,
};
use data_encoding::BASE64;
use ring::digest::{SHA256, digest};

use super::{api::Api, nowhere::not_found};

/// An embedded file: its path, its type, its content.
type File = (&'static str, &'static str, &'static str);

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

macro_rules! console {
    ($($name:literal),*) => { &[$((
        concat!("/console/", $name, ".js"), SCRIPT, include_str!(concat!("console/", $name, ".js")),
    )),*] };
}

const INDEX: &str = include_str!("console/index.html");

const SCRIPTS: &[File] = console!(
    "api",
    "chart",
    "configuration",
    "connections",
    "deliveries",
    "dom",
    "format",
    "json",
    "main",
    "message",
    "messages",
    "overview",
    "topics"
);

macro_rules! demos {
    ($($name:literal),*) => { &[$((
        concat!("/demos/", $name), HTML, include_str!(concat!("../../../examples/web/", $name)),
    )),*] };
}

/// Each a page of its own; what they share is a module beside them.
const DEMOS: &[File] = demos!("chat.html", "game.html", "payments.html", "ticker.html");

const DEMO_CLIENT: &str = include_str!("../../../examples/web/fanwire.js");

const LOOKS: &[File] = &[
    ("/console/console.css", "text/css; charset=utf-8", include_str!("console/console.css")),
    ("/console/icon.svg", "image/svg+xml", include_str!("console/icon.svg")),
];

/// The page needs its own files and its own broker, nothing else.
const CONSOLE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The routes of all pages.
pub(super) fn routes() -> Router<Api> {
    let console = HeaderValue::from_static(CONSOLE_POLICY);
    let mut router = Router::new().route("/", get(async move || page(HTML, INDEX, &console)));
    for &(path, kind, content) in SCRIPTS.iter().chain(LOOKS) {
        router = router.route(path, get(async move || file(kind, content)));
    }
    for &(path, _, content) in DEMOS {
        // Hashes are ASCII.
        let Ok(policy) = HeaderValue::from_str(&demo_policy(content)) else { continue };
        router =
            router.route(path, get(async move |api, uri| demo(&api, &uri, page(HTML, content, &policy))));
    }
    let client = async |api, uri: Uri| demo(&api, &uri, file(SCRIPT, DEMO_CLIENT).into_response());
    router.route("/demos/fanwire.js", get(client))
}

/// Demos talk to the broker without credentials, so where those are needed there are none.
fn demo(State(api): &State<Api>, uri: &Uri, page: Response) -> Response {
    match api.door.broker.policy().authenticator.is_configured() {
        false => page,
        true => not_found(uri).into_response(),
    }
}

/// A demo may run and wear what stands in it, import the module beside it, and talk to its own broker.
fn demo_policy(content: &str) -> String {
    let script = inline(content, "<script type=\"module\">", "</script>");
    let style = inline(content, "<style>", "</style>");
    format!(
        "default-src 'none'; script-src 'self' {script}; style-src {style}; img-src 'self'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'"
    )
}

/// The sources of the inline elements between two tags (CSP3 §2.3.1 `hash-source`).
fn inline(content: &str, open: &str, close: &str) -> String {
    let bodies = content.split(open).skip(1).filter_map(|rest| rest.split_once(close));
    let source = |(body, _): (&str, &str)| {
        format!("'sha256-{}'", BASE64.encode(digest(&SHA256, body.as_bytes()).as_ref()))
    };
    bodies.map(source).collect::<Vec<_>>().join(" ")
}

/// A page with its policy.
fn page(kind: &'static str, content: &'static str, policy: &HeaderValue) -> Response {
    let mut response = file(kind, content).into_response();
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    response
}

/// A file that is what it says it is, asked for anew each time: a new broker has new pages.
fn file(kind: &'static str, content: &'static str) -> impl IntoResponse {
    let headers: [(HeaderName, &str); 4] = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inline_elements_are_allowed_by_their_hashes() {
        let page = "<style>a{}</style><script type=\"module\">1</script><p onclick=\"2\"><script>3</script>";
        let policy = demo_policy(page);
        // printf 1 | openssl dgst -sha256 -binary | base64
        assert!(
            policy.contains("script-src 'self' 'sha256-a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s=';"),
            "{policy}"
        );
        assert_eq!(policy.matches("sha256-").count(), 2, "{policy}");
        assert!(!policy.contains("unsafe"));
    }
}
