//! `GET /docs/errors`: `docs/errors.md` as a page, so that a problem's `type` leads somewhere.

use std::{fmt::Write, sync::LazyLock};

use axum::{
    http::header,
    response::{Html, IntoResponse},
};

const TEXT: &str = include_str!("../../../docs/errors.md");

static PAGE: LazyLock<String> = LazyLock::new(|| page(TEXT));

/// Answers with the page.
pub(super) async fn serve() -> impl IntoResponse {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";
    ([(header::CONTENT_SECURITY_POLICY, policy)], Html(PAGE.as_str()))
}

/// As much of Markdown as the text has: headings, paragraphs, code and emphasis.
fn page(markdown: &str) -> String {
    let mut html = String::from(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>\
         <title>fanwire: errors</title><style>body{font:16px/1.5 system-ui,sans-serif;max-width:46em;margin:2em auto;\
         padding:0 1em}h2{margin-top:2em}:target{background:#ff9;color:#000}:root{color-scheme:light dark}code{overflow-wrap:anywhere}</style>",
    );
    for block in markdown.split("\n\n").map(str::trim) {
        // Writing to a string does not fail.
        let _ = match (block.strip_prefix("# "), block.strip_prefix("## ")) {
            (Some(title), _) => writeln!(html, "<h1>{}</h1>", inline(title)),
            (_, Some(code)) => writeln!(html, "<h2 id=\"{code}\">{code}</h2>"),
            _ => writeln!(html, "<p>{}</p>", inline(block)),
        };
    }
    html
}

fn inline(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    alternate(&alternate(&escaped, '`', "code"), '*', "em")
}

/// Puts every other part between marks into an element.
fn alternate(text: &str, mark: char, element: &str) -> String {
    let parts: Vec<&str> = text.split(mark).collect();
    if parts.len().is_multiple_of(2) {
        return text.to_owned();
    }
    let part = |(index, part): (usize, &&str)| match index % 2 {
        0 => (*part).to_owned(),
        _ => format!("<{element}>{part}</{element}>"),
    };
    parts.iter().enumerate().map(part).collect()
}

#[cfg(test)]
mod tests {
    use fanwire_proto::ErrorCode;

    use super::*;
    use crate::doors::http::Code;

    #[test]
    fn every_code_is_explained_with_its_status() {
        let shared = ErrorCode::ALL.iter().map(|code| Code::Protocol(*code));
        let codes: Vec<Code> = shared.chain(Code::HTTP_ONLY.iter().copied()).collect();
        let explained: Vec<&str> = TEXT.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(explained, codes.iter().map(|code| code.as_str()).collect::<Vec<_>>());
        for code in codes {
            let retry = if code.retry() { "yes" } else { "no" };
            let facts =
                format!("## {}\n\nStatus {}, retry: {retry}\n\n", code.as_str(), code.status().as_u16());
            assert!(TEXT.contains(&facts), "{facts}");
        }
    }

    #[test]
    fn the_page_has_an_anchor_for_each() {
        let page = page("# A & B\n\n## not_found\n\nSay `a < b`, *or* not.\n");
        assert!(page.contains("<h1>A &amp; B</h1>\n<h2 id=\"not_found\">not_found</h2>\n"), "{page}");
        assert!(page.ends_with("<p>Say <code>a &lt; b</code>, <em>or</em> not.</p>\n"), "{page}");
    }
}
