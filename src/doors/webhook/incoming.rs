//! A request that came in at a source, as its provider sent it.

use std::sync::Arc;

use axum::http::{HeaderMap, header};
use bytes::Bytes;

use crate::provider::{Request, Source, Uncodable, decode};

/// A request that came in at a source.
#[derive(Clone)]
pub struct Incoming {
    /// Which one.
    pub source: Arc<Source>,
    /// The method, in upper case.
    pub method: String,
    /// The public address.
    pub url: String,
    /// All headers.
    pub headers: HeaderMap,
    /// The body as it came.
    pub body: Bytes,
    /// What it says, where it came compressed.
    pub(super) content: Option<Bytes>,
    /// When it came.
    pub received_ms: u64,
}

impl Incoming {
    /// A request whose body has yet to be read.
    pub(super) fn without_body(
        source: Arc<Source>,
        method: String,
        url: String,
        headers: HeaderMap,
        received_ms: u64,
    ) -> Self {
        Self { source, method, url, headers, body: Bytes::new(), content: None, received_ms }
    }

    /// The same with its body, decompressed within the source's bound.
    pub(super) fn with_body(mut self, body: Bytes) -> Result<Self, Uncodable> {
        let encoding = self.headers.get(header::CONTENT_ENCODING).map(|value| value.as_bytes());
        self.content = decode(encoding, &body, self.source.max_body_bytes)?.map(Bytes::from);
        self.body = body;
        Ok(self)
    }

    pub(super) fn request(&self) -> Request<'_> {
        let content = self.content.as_ref().unwrap_or(&self.body);
        let compressed = self.content.is_some().then_some(&self.body[..]);
        Request::new(&self.method, &self.url, &self.headers, content, self.received_ms)
            .compressed_as(compressed)
    }
}
