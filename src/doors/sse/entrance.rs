//! `GET /v1/events`: what a stream is asked for, and by whom.

use std::sync::Arc;

use axum::{
    http::{HeaderMap, HeaderValue, Version, header},
    response::Response,
};
use fanwire_proto::{ErrorCode, MAX_RATE_MIN, TopicName};

use super::{SseDialect, SseDoor, door::Wanted, positions::Positions};
use crate::{
    auth::{Grant, Verb},
    broker::Broker,
    defaults,
    doors::{
        entrance::{Entrance, Guest, Opening, Visit, refuse},
        errors::Failure,
    },
    wire::{Dialects, Framing, Spoken},
};

/// Query and last event id must come back in one request head, beside other headers.
const RESUME_BYTES_MAX: usize = defaults::HTTP_HEAD_BYTES * 3 / 4;

/// Topics of one stream: their positions ride in every event's id, which comes back as a header.
const TOPICS_MAX: usize = 32;

/// The way in of event streams.
pub(crate) struct SseEntrance {
    broker: Arc<Broker>,
    spoken: Spoken,
}

impl SseEntrance {
    /// The way in to this broker.
    pub(crate) fn new(broker: Arc<Broker>, dialects: &Dialects) -> Self {
        Self { broker, spoken: dialects.register(SseDialect, Framing::Chunked) }
    }

    fn admit(&self, visit: &Visit<'_>) -> Result<Guest, Failure> {
        // A stream is joined by whoever asks, even if the browser then keeps it from the page.
        visit.page.clone()?;
        let text = visit.uri.query().unwrap_or_default();
        let query = Query::read(text, visit.headers)?;
        // Refused at the start: a browser would only find out when it comes back, and then again and again.
        if text.len() + Positions::text_bytes_max(&query.topics) > RESUME_BYTES_MAX {
            let what = "the names are too long for a browser to come back to all of them";
            return Err(Failure::new(ErrorCode::BadRequest, what));
        }
        // `EventSource` cannot set headers, so a token may come in the address.
        let grant = visit.grant_of(&self.broker, query.token.as_deref())?;
        let grant = grant.ok_or_else(Failure::unauthorized)?;
        let user = grant.user.clone();
        let wanted = query.wanted(&grant);
        let (door, outcome) = SseDoor::new(self.broker.clone(), grant, wanted, visit.ping_s);
        // HTTP/1.0 knows no chunks: the stream ends with the connection.
        let framing = if visit.version < Version::HTTP_11 { Framing::Raw } else { Framing::Chunked };
        let headers = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform")),
            // nginx and others would collect the stream otherwise.
            (header::HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
        ];
        Ok(Guest {
            spoken: self.spoken.clone().framed(framing),
            user,
            door: Box::new(door),
            opening: Opening::Response { headers: headers.into_iter().collect(), outcome },
        })
    }
}

impl Entrance for SseEntrance {
    fn name(&self) -> &'static str {
        "sse"
    }

    fn paths(&self) -> &'static [&'static str] {
        &["/v1/events"]
    }

    fn accept(&self, visit: &Visit<'_>) -> Result<Guest, Box<Response>> {
        self.admit(visit).map_err(refuse)
    }
}

/// A request as it is written.
#[derive(Default)]
struct Query {
    topics: Vec<TopicName>,
    token: Option<String>,
    last_event_id: Option<String>,
    last: Option<u32>,
    presence: bool,
    max_rate: Option<f64>,
}

impl Query {
    fn read(query: &str, headers: &HeaderMap) -> Result<Self, Failure> {
        let from_header = headers.get("last-event-id").and_then(|value| value.to_str().ok());
        let mut read = Self { last_event_id: from_header.map(str::to_owned), ..Self::default() };
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            read.take(&name, &value)?;
        }
        match read.topics.len() {
            0 => Err(bad("topic", "is missing")),
            1..=TOPICS_MAX => Ok(read),
            many => Err(bad("topic", &format!("is given {many} times; {TOPICS_MAX} are allowed"))),
        }
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Failure> {
        match name {
            "topic" => {
                let topic = TopicName::new(value);
                let topic = topic.map_err(|error| Failure::new(ErrorCode::BadTopic, error.to_string()))?;
                if !self.topics.contains(&topic) {
                    self.topics.push(topic);
                }
            }
            "token" => self.token = Some(value.to_owned()),
            // The second name is that of a widespread stand-in for `EventSource`.
            "last_event_id" | "lastEventId" => {
                // The header wins: after a break the browser sends a newer one there, while the address stays that of the
                // first request.
                self.last_event_id = self.last_event_id.take().or(Some(value.to_owned()));
            }
            "last" => self.last = Some(value.parse().map_err(|_| bad("last", "must be a number"))?),
            "presence" => {
                self.presence = match value {
                    "" | "1" | "true" => true,
                    "0" | "false" => false,
                    _ => return Err(bad("presence", "must be `true` or `false`")),
                }
            }
            "max_rate" => {
                let rate = value.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= MAX_RATE_MIN);
                self.max_rate = Some(rate.ok_or_else(|| bad("max_rate", "must be a number from 0.001 up"))?);
            }
            _ => {}
        }
        Ok(())
    }

    fn wanted(self, grant: &Grant) -> Wanted {
        let mut positions = self.last_event_id.as_deref().map(Positions::read).unwrap_or_default();
        // Who may not read the past starts anew.
        let resumable = |topic: &&TopicName| grant.allows(Verb::History, topic);
        positions.retain(&self.topics.iter().filter(resumable).cloned().collect::<Vec<_>>());
        let Self { topics, last, presence, max_rate, .. } = self;
        Wanted { topics, positions, last, presence, max_rate }
    }
}

fn bad(name: &str, what: &str) -> Failure {
    Failure::new(ErrorCode::BadRequest, format!("`{name}` {what}"))
}
