//! `GET /v1/events`: subscriptions as Server-Sent Events.
//!
//! The client's shard does not know the difference: it owns one end of a local socket pair and speaks the native protocol
//! on it; this side subscribes for the client and turns what comes into text. So kinds, catching up, gaps, limits and
//! draining are the same as on a WebSocket, and a client that does not read fills the pair and is treated as slow.

use std::{
    collections::{BTreeMap, VecDeque},
    io,
    sync::Arc,
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use fanwire_proto::{
    Command, Epoch, ErrorCode, Event, Format, Kind, MAX_RATE_MIN, Member, Offset, Position,
    Request as NativeRequest, Subscribe, TopicName,
};
use futures_util::{FutureExt, SinkExt, StreamExt, stream};
use tokio::net::UnixStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        protocol::{Role, WebSocketConfig},
    },
};

use super::{Front, gate::Permit};
use crate::{
    auth::{Grant, KEY_PREFIX, Verb},
    clock::unix_ms,
    defaults,
    doors::{
        errors::Failure,
        http::bearer,
        native::{NativeDialect, NativeDoor},
        sse::{self, Positions},
    },
    shard::{Newcomer, Origin, Socket},
    wire::{Dialects, Framing, Spoken},
};

/// Query and last event id must come back in one request head, beside other headers.
const RESUME_BYTES_MAX: usize = defaults::HTTP_HEAD_BYTES * 3 / 4;

/// Topics of one stream: their positions ride in every event's id, which comes back as a header.
const TOPICS_MAX: usize = 32;

/// Read from the pair at a time; allocated for as long as the stream lives.
const PAIR_READ_BYTES: usize = 4 * 1024;

/// Text handed to the HTTP server at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// What is spoken on the pair.
pub(super) fn spoken(dialects: &Dialects) -> Spoken {
    dialects.register(NativeDialect::new(Format::Json), Framing::WebSocket)
}

/// What a client asks for.
struct Query {
    topics: Vec<TopicName>,
    token: Option<String>,
    last_event_id: Option<String>,
    last: Option<u32>,
    presence: bool,
    max_rate: Option<f64>,
}

/// The client's end of the native protocol.
struct Native {
    socket: WebSocketStream<UnixStream>,
    positions: Positions,
    /// Topics whose position the first message will tell.
    starting: BTreeMap<TopicName, Epoch>,
    /// Subscriptions that have not ended.
    topics: usize,
    /// Text that waits to be sent.
    ready: VecDeque<String>,
    /// Counts the connection until the stream ends.
    _permit: Arc<Permit>,
}

/// Answers a request for a stream.
pub(super) async fn events(State(front): State<Arc<Front>>, request: Request) -> Response {
    let timeout = front.settings.load().limits.handshake_timeout;
    match tokio::time::timeout(timeout, open(&front, request)).await {
        Ok(Ok(native)) => stream_of(native),
        Ok(Err(failure)) => failure.into_response(),
        Err(_) => Failure::new(ErrorCode::Overloaded, "subscribing took too long").into_response(),
    }
}

async fn open(front: &Front, mut request: Request) -> Result<Native, Failure> {
    // A stream is joined by whoever asks, even if the browser then keeps it from the page.
    front.may_act(&request)?;
    let text = request.uri().query().unwrap_or_default();
    let query = read_query(text, request.headers())?;
    if text.len() + Positions::text_bytes_max(&query.topics) > RESUME_BYTES_MAX {
        let what = "the names are too long for a browser to come back to all of them";
        return Err(Failure::new(ErrorCode::BadRequest, what));
    }
    let grant = authorize(front, request.headers(), query.token.as_deref())?;
    let mut positions = query.last_event_id.as_deref().map(Positions::read).unwrap_or_default();
    // Who may not read the past starts anew.
    let resumable = |topic: &&TopicName| grant.allows(Verb::History, topic);
    positions.retain(&query.topics.iter().filter(resumable).cloned().collect::<Vec<_>>());
    let internal = |error: io::Error| Failure::new(ErrorCode::Internal, format!("no socket pair: {error}"));
    let permit = request.extensions_mut().remove::<Arc<Permit>>();
    let permit = permit.ok_or_else(|| Failure::new(ErrorCode::Internal, "the connection was not counted"))?;
    let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(internal)?;
    ours.set_nonblocking(true).map_err(internal)?;
    let newcomer = Newcomer {
        socket: Socket::local(theirs).map_err(internal)?,
        spoken: front.events.clone(),
        member: Member { client: front.broker.new_client(), user: grant.user.clone(), info: None },
        origin: Origin { door: "sse", address: permit.address() },
        door: Box::new(NativeDoor::new(
            front.broker.clone(),
            Format::Json,
            Some(grant),
            front.settings.load().ping_s,
        )),
        input: Vec::new(),
        permit: Some(permit.clone()),
    };
    let shard = front.broker.least_loaded_shard();
    shard.ok_or_else(|| Failure::new(ErrorCode::Internal, "there is no shard"))?.adopt(newcomer);
    let ours = UnixStream::from_std(ours).map_err(internal)?;
    // The other end is our own, and its frames are as large as they are.
    let config = WebSocketConfig::default()
        .read_buffer_size(PAIR_READ_BYTES)
        .max_message_size(None)
        .max_frame_size(None);
    let socket = WebSocketStream::from_raw_socket(ours, Role::Client, Some(config)).await;
    let topics = query.topics.len();
    let mut native = Native {
        socket,
        positions,
        starting: BTreeMap::new(),
        ready: VecDeque::new(),
        topics,
        _permit: permit,
    };
    native.subscribe(&query).await?;
    Ok(native)
}

/// `EventSource` cannot set headers, so a token may come in the address; an API key may not, because addresses are
/// written to logs.
fn authorize(front: &Front, headers: &HeaderMap, token: Option<&str>) -> Result<Grant, Failure> {
    if token.is_some_and(|token| token.starts_with(KEY_PREFIX)) {
        return Err(Failure::key_in_address());
    }
    match bearer(headers).or(token) {
        Some(token) => Ok(front.broker.authenticate(token, unix_ms())?),
        None => front.broker.anonymous().ok_or_else(Failure::unauthorized),
    }
}

fn read_query(query: &str, headers: &HeaderMap) -> Result<Query, Failure> {
    let bad = |name: &str, what: &str| Failure::new(ErrorCode::BadRequest, format!("`{name}` {what}"));
    let from_header = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut read = Query {
        topics: Vec::new(),
        token: None,
        last_event_id: from_header,
        last: None,
        presence: false,
        max_rate: None,
    };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "topic" => {
                let topic = TopicName::new(&value);
                let topic = topic.map_err(|error| Failure::new(ErrorCode::BadTopic, error.to_string()))?;
                if !read.topics.contains(&topic) {
                    read.topics.push(topic);
                }
            }
            "token" => read.token = Some(value.into_owned()),
            // The second name is that of a widespread stand-in for `EventSource`.
            "last_event_id" | "lastEventId" => {
                read.last_event_id = read.last_event_id.or(Some(value.into_owned()))
            }
            "last" => read.last = Some(value.parse().map_err(|_| bad("last", "must be a number"))?),
            "presence" => {
                read.presence = match value.as_ref() {
                    "" | "1" | "true" => true,
                    "0" | "false" => false,
                    _ => return Err(bad("presence", "must be `true` or `false`")),
                }
            }
            "max_rate" => {
                let rate = value.parse().ok().filter(|rate: &f64| rate.is_finite() && *rate >= MAX_RATE_MIN);
                read.max_rate = Some(rate.ok_or_else(|| bad("max_rate", "must be a number above 0"))?);
            }
            _ => {}
        }
    }
    match read.topics.len() {
        0 => Err(bad("topic", "is missing")),
        1..=TOPICS_MAX => Ok(read),
        many => Err(bad("topic", &format!("is given {many} times; {TOPICS_MAX} are allowed"))),
    }
}

impl Native {
    /// Subscribes to everything and waits for the answers; the first refusal is the answer to the request.
    async fn subscribe(&mut self, query: &Query) -> Result<(), Failure> {
        for (id, topic) in (0..).zip(&query.topics) {
            let subscribe = Subscribe {
                topic: topic.clone(),
                since: self.positions.of(topic),
                last: query.last,
                presence: query.presence,
                max_rate: query.max_rate,
                echo: true,
            };
            let request = NativeRequest { id: Some(id), command: Command::Subscribe(subscribe) };
            let text = Format::Json.encode_request(&request);
            let text = text.ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
            self.socket.send(Message::text(text)).await.map_err(gone)?;
        }
        let mut answers = 0;
        while answers < query.topics.len() {
            answers += self.hear_first(query.last.is_some()).await?;
        }
        Ok(())
    }

    /// Hears one frame before the stream has begun; returns how many subscriptions it answered.
    async fn hear_first(&mut self, wants_past: bool) -> Result<usize, Failure> {
        let Message::Text(text) = self.socket.next().await.ok_or_else(|| gone("closed"))?.map_err(gone)?
        else {
            return Ok(0);
        };
        let mut answers = 0;
        for event in Format::Json.decode_events(text.as_bytes()).map_err(gone)? {
            match &event {
                Event::Error(error) => return Err(Failure::new(error.code, error.message.clone())),
                Event::Reply(reply) => {
                    answers += 1;
                    self.begin(reply, wants_past);
                }
                _ => {}
            }
            self.put(&event, &text);
        }
        Ok(answers)
    }

    /// Notes where a subscription starts, so that a break before its first messages loses none of them: where the client
    /// was, if it gets everything since; before everything, for the newest values and documents; with the first message of the past,
    /// if it wants some; else where the topic is.
    fn begin(&mut self, reply: &fanwire_proto::Reply, wants_past: bool) {
        let (Some(topic), Some(epoch), Some(offset)) = (&reply.topic, reply.epoch, reply.offset) else {
            return;
        };
        let resumed = self.positions.of(topic).filter(|_| reply.recovered == Some(true));
        let start = match (resumed, reply.kind) {
            (Some(resumed), _) => resumed,
            (None, Some(Kind::Latest | Kind::Document)) => Position { epoch, offset: Offset::ZERO },
            (None, Some(Kind::Log)) if wants_past && reply.recovered.is_none() => {
                self.starting.insert(topic.clone(), epoch);
                return;
            }
            (None, _) => Position { epoch, offset },
        };
        self.positions.set(topic, start);
    }

    fn put(&mut self, event: &Event, json: &str) {
        let mut text = String::new();
        match event {
            Event::Message(fanwire_proto::Message { topic, offset, .. }) => {
                if let Some(epoch) = self.starting.remove(topic) {
                    self.positions.set(topic, Position { epoch, offset: *offset });
                }
            }
            Event::End { .. } => self.topics -= 1,
            _ => {}
        }
        sse::append(&mut text, event, json, &mut self.positions);
        if !text.is_empty() {
            self.ready.push_back(text);
        }
    }

    /// The next text to send; `None` at the end.
    async fn next_chunk(&mut self) -> Option<String> {
        let mut chunk = String::new();
        loop {
            if self.topics == 0 && self.ready.is_empty() {
                return (!chunk.is_empty()).then_some(chunk);
            }
            while chunk.len() < CHUNK_BYTES
                && let Some(text) = self.ready.pop_front()
            {
                chunk.push_str(&text);
            }
            if chunk.len() >= CHUNK_BYTES {
                return Some(chunk);
            }
            // What is there already goes out together.
            let next = match chunk.is_empty() {
                false => match self.socket.next().now_or_never() {
                    Some(next) => next,
                    None => return Some(chunk),
                },
                true => match tokio::time::timeout(HEARTBEAT, self.socket.next()).await {
                    Ok(next) => next,
                    Err(_) => return Some(sse::HEARTBEAT.to_owned()),
                },
            };
            match next {
                Some(Ok(Message::Text(text))) => {
                    for event in Format::Json.decode_events(text.as_bytes()).unwrap_or_default() {
                        self.put(&event, &text);
                    }
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => {
                    return (!chunk.is_empty()).then_some(chunk);
                }
                Some(Ok(_)) => {}
            }
        }
    }
}

const HEARTBEAT: Duration = Duration::from_secs(sse::HEARTBEAT_S);

fn gone(error: impl std::fmt::Display) -> Failure {
    Failure::new(ErrorCode::Internal, format!("the shard is gone: {error}"))
}

fn stream_of(mut native: Native) -> Response {
    native.ready.push_front(sse::PREAMBLE.to_owned());
    let chunks = stream::unfold(native, |mut native| async move {
        let chunk = native.next_chunk().await?;
        Some((Ok::<_, io::Error>(Bytes::from(chunk)), native))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream"),
        (header::CACHE_CONTROL, "no-cache, no-transform"),
        // nginx and others would collect the stream otherwise.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (StatusCode::OK, headers, Body::from_stream(chunks)).into_response()
}
