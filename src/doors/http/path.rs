//! Addresses that mean the same: with or without a slash at the end, and with the slashes of a topic's name escaped or not, as
//! proxies that decode `%2F` pass them on.
//!
//! A topic's name goes on up to what is known to come after it, so `/v1/topics/a/b/messages` are the messages of `a/b`. A
//! name that itself ends like that (`a/messages`), or in a slash, has to be escaped.

/// Addresses outside `/v1/`.
const FIXED: &[&str] = &["/healthz", "/readyz", "/metrics", "/docs/errors"];

/// Where names stand, and what may come after them.
const NAMED: &[(&str, &[&str])] = &[
    ("/v1/topics/", &["/messages", "/presence"]),
    ("/v1/documents/", &["/awareness", "/restore", VERSIONS]),
];

/// May have a number after it.
const VERSIONS: &str = "/versions";

/// The path under which there is a route, where that is another one.
pub fn canonical(path: &str) -> Option<String> {
    let plain = path.strip_suffix('/').unwrap_or(path);
    if !plain.starts_with("/v1/") && !FIXED.contains(&plain) {
        return None;
    }
    let canonical = named(plain).unwrap_or_else(|| plain.to_owned());
    (canonical != path).then_some(canonical)
}

fn named(path: &str) -> Option<String> {
    let (folder, ends) = NAMED.iter().find(|(folder, _)| path.starts_with(folder))?;
    let rest = path.strip_prefix(folder)?;
    let name = rest.strip_suffix(end_of(rest, ends))?;
    // Without a name it is nobody's.
    (!name.is_empty()).then(|| format!("{folder}{}{}", name.replace('/', "%2F"), &rest[name.len()..]))
}

/// What comes after the name.
fn end_of<'p>(rest: &'p str, ends: &[&str]) -> &'p str {
    let number = rest.rsplit_once('/').filter(|(_, last)| is_number(last)).map(|(before, _)| before);
    let versions = number.filter(|_| ends.contains(&VERSIONS)).filter(|before| before.ends_with(VERSIONS));
    let start = match versions {
        Some(before) => before.len() - VERSIONS.len(),
        None => rest.len() - ends.iter().find(|end| rest.ends_with(**end)).map_or(0, |end| end.len()),
    };
    &rest[start..]
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_means_the_same_is_one_address() {
        for (path, expected) in [
            ("/v1/topics/", "/v1/topics"),
            ("/v1/topics/a/", "/v1/topics/a"),
            ("/v1/topics/a/messages/", "/v1/topics/a/messages"),
            ("/v1/topics/a/b", "/v1/topics/a%2Fb"),
            ("/v1/topics/a/b/messages", "/v1/topics/a%2Fb/messages"),
            ("/v1/topics//b/presence", "/v1/topics/%2Fb/presence"),
            ("/v1/topics/a//messages", "/v1/topics/a%2F/messages"),
            ("/v1/topics/a//", "/v1/topics/a%2F"),
            ("/v1/topics/a/messages/messages", "/v1/topics/a%2Fmessages/messages"),
            ("/v1/topics/a/restore", "/v1/topics/a%2Frestore"),
            ("/v1/topics/a/versions/7", "/v1/topics/a%2Fversions%2F7"),
            ("/v1/documents/a/b/versions/7", "/v1/documents/a%2Fb/versions/7"),
            ("/v1/documents/a/b/versions/x", "/v1/documents/a%2Fb%2Fversions%2Fx"),
            ("/v1/documents/a/b/restore/", "/v1/documents/a%2Fb/restore"),
            ("/v1/events/", "/v1/events"),
            ("/readyz/", "/readyz"),
        ] {
            assert_eq!(canonical(path).as_deref(), Some(expected), "{path}");
            assert_eq!(canonical(expected), None, "{expected}");
        }
    }

    #[test]
    fn everything_else_stays_as_it_is() {
        let paths = [
            "/",
            "/v1/topics/a",
            "/v1/topics/a%2Fmessages",
            "/v1/topics/messages",
            "/v1/topics//messages",
            "/v1/documents//versions/7",
            "/in/repo/",
            "/yjs/a/",
            "/demos/",
            "*",
            "",
        ];
        for path in paths {
            assert_eq!(canonical(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn a_name_is_the_same_escaped_and_not(name in "[a/é]{0,5}[aé7]", end in "(/messages|/presence)?/?") {
            let escaped = format!("/v1/topics/{}{}", name.replace('/', "%2F"), end.trim_end_matches('/'));
            let as_it_is = format!("/v1/topics/{name}{end}");
            prop_assert_eq!(canonical(&as_it_is).unwrap_or(as_it_is), escaped);
        }
    }
}
