//! `GET /v1/tap`: messages of all topics that a pattern matches, as they are published.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, Uri},
    response::Response,
};
use fanwire_proto::{Epoch, Message, Pattern};
use futures_util::stream;
use serde::Serialize;

use super::{
    feed::{self, Feed, LOOK_AROUND},
    sampler::Watch,
};
use crate::{
    defaults,
    doors::http::{api::Api, caller::Admin, openapi, problem::Problem, query::query},
    tap::{Tap, Tapped},
};

/// Bytes of events that are written at once.
const CHUNK_BYTES: usize = 64 * 1024;

/// A message as a tap tells it.
#[derive(Serialize)]
struct Whole<'a> {
    #[serde(flatten)]
    message: &'a Message,
    epoch: Epoch,
    /// Of the payload, in bytes.
    size: usize,
}

/// One whose payload is too large to be passed on.
#[derive(Serialize)]
struct Cut<'a> {
    topic: &'a str,
    epoch: Epoch,
    offset: u64,
    time: u64,
    key: Option<&'a str>,
    from: &'a Option<fanwire_proto::Member>,
    size: usize,
    cut: bool,
}

#[derive(Serialize)]
struct LeftOut {
    count: u64,
}

/// Messages of all topics that a pattern matches, as they are published
///
/// A durable topic's message comes when its subscribers may see it. For looking on: at most 500 a second, payloads up to 16 KiB. What is beyond is counted in events named `left_out`. Needs
/// an API key with `admin`.
#[utoipa::path(
    get, path = "/v1/tap", tag = openapi::WATCH, operation_id = "tap",
    params(("match" = Option<String>, Query, description = "A pattern of topics; all of them if absent.")),
    responses((status = 200, body = String, content_type = "text/event-stream", description = "Events without end")),
)]
pub(super) async fn tap(
    State(api): State<Api>,
    State(watch): State<Arc<Watch>>,
    admin: Admin,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let [matching] = query(&uri, ["match"])?;
    let pattern = Pattern::new(matching.as_deref().unwrap_or("**"));
    let pattern = pattern.map_err(|error| Problem::bad_request(format!("`match`: {error}")))?;
    let feed = Feed::open(&watch, admin, headers)?;
    let tap = api.door.broker.tap(pattern);
    let listener = Listener { api, feed, tap, begun: false, ended: false };
    Ok(feed::answer(stream::unfold(listener, async |mut listener| {
        let bytes = listener.next().await?;
        Some((bytes, listener))
    })))
}

struct Listener {
    api: Api,
    feed: Feed,
    tap: Tap,
    begun: bool,
    ended: bool,
}

impl Listener {
    /// The next events; none after the last words.
    async fn next(&mut self) -> Option<Bytes> {
        if !std::mem::replace(&mut self.begun, true) {
            // From here on nothing is missed without being counted.
            return Some(Bytes::from_static(b"event: open\ndata: {}\n\n"));
        }
        while !self.ended {
            let first = tokio::time::timeout(LOOK_AROUND, self.tap.next()).await.ok().flatten();
            if let Err(last_words) = self.feed.check(&self.api.door.broker) {
                self.ended = true;
                return Some(last_words);
            }
            let mut out = Vec::new();
            let mut next = first;
            while let Some(tapped) = next {
                append(&mut out, &tapped);
                // Written in chunks, so that a burst does not become one huge piece of memory.
                next = if out.len() < CHUNK_BYTES { self.tap.at_hand() } else { None };
            }
            let count = self.tap.take_left_out();
            if count > 0 {
                feed::append(&mut out, "left_out", &LeftOut { count });
            }
            if !out.is_empty() {
                return Some(out.into());
            }
        }
        None
    }
}

fn append(out: &mut Vec<u8>, tapped: &Tapped) {
    let (message, epoch) = (&tapped.message, tapped.epoch);
    let size = message.payload.len();
    match size <= defaults::TAP_PAYLOAD_BYTES {
        true => feed::append(out, "message", &Whole { message, epoch, size }),
        false => {
            let cut = Cut {
                topic: message.topic.as_str(),
                epoch,
                offset: message.offset.0,
                time: message.time,
                key: message.key.as_deref(),
                from: &message.from,
                size,
                cut: true,
            };
            feed::append(out, "message", &cut);
        }
    }
}
