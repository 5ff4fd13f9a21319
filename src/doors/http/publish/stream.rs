//! `POST /v1/publish/stream`: one message per line in, one report per line out, for as long as the publisher likes.
//!
//! The answer is what drives it: while the publisher does not read its reports, no more of its lines are read, so nothing
//! piles up. A line that is no message, or is refused, is reported as such, and the stream goes on. Empty lines are
//! skipped. A last report without `line` says why the broker ended the stream.

use std::{
    convert::Infallible,
    time::{Duration, Instant},
};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use fanwire_proto::ErrorCode;
use futures_util::stream;
use serde::Serialize;

use super::{
    ack::{Ack, Pending, Publisher},
    idempotency,
    item::{Item, message_bytes_max},
    lines::{Filled, Line, Lines},
    outcome::Outcome,
};
use crate::{
    defaults,
    doors::http::{
        api::Api,
        body::check_encoding,
        caller::Caller,
        openapi::{self, NewMessage},
        problem::{Code, Problem},
        query::query,
    },
};

/// Reports that are written at once: about 16 KiB.
const REPORTS: usize = 128;

/// How often a waiting stream looks whether the broker is about to end.
const LOOK_AROUND: Duration = Duration::from_secs(1);

const IDLE: Duration = Duration::from_secs(defaults::PUBLISH_STREAM_IDLE_S);

/// What became of a line.
#[derive(Serialize)]
struct Report {
    /// Its number, the first one being 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    #[serde(flatten)]
    outcome: Outcome,
}

/// A stream under way.
struct Publishing {
    api: Api,
    caller: Caller,
    headers: HeaderMap,
    lines: Lines,
    /// The number of the last line.
    line: u64,
    ended: bool,
}

/// Publish for as long as you like
///
/// A message per line in, as in a batch; a report per line out, meanwhile. A report without `line` is the last one and says
/// why the broker ended the stream.
#[utoipa::path(
    post, path = "/v1/publish/stream", tag = openapi::PUBLISH,
    request_body(content = NewMessage, content_type = "application/x-ndjson"),
    responses((status = 200, body = String, content_type = "application/x-ndjson", description = "A report per line")),
)]
pub(super) async fn publish_stream(
    State(api): State<Api>,
    caller: Caller,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let [] = query(&parts.uri, [])?;
    check_encoding(&parts.headers)?;
    if parts.headers.contains_key(idempotency::KEY) {
        return Err(Problem::bad_request(
            "a stream has no `Idempotency-Key`; give its messages a `message_id`",
        ));
    }
    let limit = message_bytes_max(api.door.broker.policy().limits.max_message_bytes);
    let mut lines = Lines::new(body, limit);
    if parts.headers.contains_key(header::EXPECT) {
        // "100 Continue" is sent when the body is first asked for, and not after an answer has begun.
        lines.fill().await;
    }
    let publishing = Publishing { api, caller, headers: parts.headers, lines, line: 0, ended: false };
    let reports = stream::unfold(publishing, async |mut publishing| {
        publishing.reports().await.map(|bytes| (Ok::<_, Infallible>(bytes), publishing))
    });
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], Body::from_stream(reports)).into_response())
}

impl Publishing {
    /// The next reports; none after the last one.
    async fn reports(&mut self) -> Option<Bytes> {
        let mut out = Vec::new();
        while !self.ended && out.is_empty() {
            // All of what is at hand is published before any of it is waited for.
            for (line, pending) in self.publish_at_hand() {
                write(&mut out, Report { line: Some(line), outcome: pending.settled().await });
            }
            if out.is_empty()
                && let Err(reason) = self.wait().await
            {
                self.ended = true;
                if let Some(problem) = reason {
                    write(&mut out, Report { line: None, outcome: Outcome::Problem(problem) });
                }
            }
        }
        (!out.is_empty()).then(|| out.into())
    }

    fn publish_at_hand(&mut self) -> Vec<(u64, Pending)> {
        let mut sent = Vec::new();
        while sent.len() < REPORTS
            && let Some(line) = self.lines.at_hand()
        {
            self.line += 1;
            if let Some(pending) = self.publish(line) {
                sent.push((self.line, pending));
            }
        }
        sent
    }

    fn publish(&self, line: Line) -> Option<Pending> {
        let item = match line {
            Line::Text(text) if text.trim_ascii().is_empty() => return None,
            Line::Text(text) => std::str::from_utf8(&text)
                .map_err(|error| Problem::bad_request(format!("the line is not UTF-8: {error}")))
                .and_then(Item::read),
            Line::TooLong => Err(Problem::too_large("the line is longer than any message")),
        };
        let mut publisher = Publisher::new(&self.api.door.broker, &self.caller, Ack::ByRule, None);
        Some(match item {
            Ok(item) => item.publish(&mut publisher),
            Err(problem) => Pending::One(Err(problem)),
        })
    }

    /// Waits for more lines, or says why there are none, if there is anything to say.
    async fn wait(&mut self) -> Result<(), Option<Problem>> {
        let broker = &self.api.door.broker;
        let since = Instant::now();
        loop {
            match tokio::time::timeout(LOOK_AROUND, self.lines.fill()).await {
                // The stream may outlast its credential by hours, so it is checked again whenever lines come.
                Ok(Filled::More) => return Ok(self.caller.refresh(broker, &self.headers)?),
                Ok(Filled::Complete) if self.lines.is_empty() => return Err(None),
                Ok(Filled::Complete) => return Ok(()),
                Ok(Filled::Broken) => {
                    return Err(Some(Problem::bad_request("the body is cut off or malformed")));
                }
                Err(_) if broker.is_draining() => {
                    let draining = Code::Protocol(ErrorCode::Draining);
                    return Err(Some(Problem::new(draining, "the broker is draining")));
                }
                // Only silence counts: a publisher may go on for days, but not hold a connection without using it.
                Err(_) if since.elapsed() > IDLE => {
                    return Err(Some(Problem::new(Code::Timeout, "no line for too long")));
                }
                Err(_) => {}
            }
        }
    }
}

fn write(out: &mut Vec<u8>, report: Report) {
    if let Err(error) = serde_json::to_writer(&mut *out, &report) {
        tracing::error!(%error, "a report could not be written");
    }
    out.push(b'\n');
}
