//! One webhook request as it came, with what is read from it kept for the next who asks.

use std::{borrow::Cow, cell::OnceCell};

use axum::http::{HeaderMap, header};
use serde_json::value::{RawValue, to_raw_value};

use super::{
    form, json,
    multipart::{self, Part},
    xml,
};

/// A request. Nothing of it is trusted.
#[derive(Debug)]
pub struct Request<'a> {
    /// In upper case.
    pub method: &'a str,
    /// The public address the sender used, with its query: what some providers sign.
    pub url: &'a str,
    /// All headers.
    pub headers: &'a HeaderMap,
    /// What was sent, decompressed.
    pub body: &'a [u8],
    /// Exactly what was sent, where that is something else.
    pub compressed: Option<&'a [u8]>,
    /// When it came, in milliseconds since 1970. Freshness is judged against this, also long after.
    pub received_ms: u64,
    json: OnceCell<Option<Box<RawValue>>>,
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
        Self { method, url, headers, body, compressed: None, received_ms, json: OnceCell::new() }
    }

    /// The same, compressed on its way. Some sign what they wrote, some what they sent.
    pub fn compressed_as(self, compressed: Option<&'a [u8]>) -> Self {
        Self { compressed, ..self }
    }

    /// What may be signed.
    pub(super) fn bodies(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        [Some(self.body), self.compressed].into_iter().flatten()
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
    pub(super) fn json(&self) -> Option<&RawValue> {
        let read = || match self.is_xml() {
            true => to_raw_value(&xml::to_json(self.body)?).ok(),
            false => json::read(self.json_text()?).map(Cow::into_owned),
        };
        self.json.get_or_init(read).as_deref()
    }

    /// The JSON text in the body. One that is said to be a form but begins as no form does is JSON, too: `curl -d` says so
    /// of everything.
    fn json_text(&self) -> Option<Cow<'a, [u8]>> {
        let begins = self.body.trim_ascii_start().first();
        match self.is_form() && !matches!(begins, Some(b'{' | b'[')) || self.is_multipart() {
            true => self.form_field("payload"),
            false => json::is_json_like(self.body).then_some(self.body.into()),
        }
    }

    /// The first field with this name, of a form with or without files.
    pub(super) fn form_field(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        match self.is_multipart() {
            false if self.is_form() => form::field(self.body, name),
            false => None,
            true => {
                let part = self.parts()?.into_iter().find(|part| part.name == name && part.file.is_none())?;
                Some(part.content.into())
            }
        }
    }

    /// The fields and files of a form that has files.
    pub(super) fn parts(&self) -> Option<Vec<Part<'a>>> {
        multipart::parts(self.content_type(), self.body)
    }

    /// Whether the body says it is a form with files.
    pub(super) fn is_multipart(&self) -> bool {
        self.media_type() == "multipart/form-data"
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

    fn content_type(&self) -> &'a str {
        let value = self.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        value.unwrap_or_default()
    }

    /// The type of the body, without parameters, in lower case.
    pub(super) fn media_type(&self) -> String {
        self.content_type().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
    }
}
