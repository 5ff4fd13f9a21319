//! One webhook request as it came, with what is read from it kept for the next who asks.

use std::cell::OnceCell;

use axum::http::{HeaderMap, header};
use serde_json::Value;

use super::{form, raw, xml};

/// A request. Nothing of it is trusted.
#[derive(Debug)]
pub struct Request<'a> {
    /// In upper case.
    pub method: &'a str,
    /// The public address the sender used, with its query: what some providers sign.
    pub url: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// Exactly what was sent.
    pub body: &'a [u8],
    /// When it came, in milliseconds since 1970. Freshness is judged against this, also long after.
    pub received_ms: u64,
    json: OnceCell<Option<Value>>,
}

impl<'a> Request<'a> {
    /// A request that came at a time.
    pub fn new(
        method: &'a str,
        url: &'a str,
        headers: &'a HeaderMap,
        body: &'a [u8],
        received_ms: u64,
    ) -> Self {
        Self { method, url, headers, body, received_ms, json: OnceCell::new() }
    }

    /// The part of the address after `?`.
    pub fn query(&self) -> &'a str {
        let without_fragment = self.url.split('#').next().unwrap_or_default();
        without_fragment.split_once('?').map_or("", |(_, query)| query)
    }

    /// A parameter of the query, if it is text.
    pub fn parameter(&self, name: &str) -> Option<String> {
        String::from_utf8(form::field(self.query().as_bytes(), name)?.into_owned()).ok()
    }

    /// The body as JSON: itself, or the form field `payload` where a provider wraps it so, or XML taken for JSON.
    pub fn json(&self) -> Option<&Value> {
        let read = || match self.is_xml() {
            true => xml::to_json(self.body),
            false => serde_json::from_slice(&self.json_text()?).ok(),
        };
        self.json.get_or_init(read).as_ref()
    }

    /// The JSON text in the body. One that is said to be a form but begins as no form does is JSON, too: `curl -d` says so
    /// of everything.
    pub fn json_text(&self) -> Option<std::borrow::Cow<'a, [u8]>> {
        let begins = self.body.trim_ascii_start().first();
        match self.is_form() && !matches!(begins, Some(b'{' | b'[')) {
            true => form::field(self.body, "payload"),
            false => raw::is_json_like(self.body).then_some(self.body.into()),
        }
    }

    /// Whether the body says it is a form.
    pub fn is_form(&self) -> bool {
        self.media_type() == "application/x-www-form-urlencoded"
    }

    /// Whether the body says it is XML.
    pub fn is_xml(&self) -> bool {
        let media_type = self.media_type();
        media_type == "text/xml" || media_type == "application/xml" || media_type.ends_with("+xml")
    }

    /// The type of the body, without parameters, in lower case.
    pub(super) fn media_type(&self) -> String {
        let value = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        value.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}
