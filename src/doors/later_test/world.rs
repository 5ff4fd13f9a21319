//! A broker with its doors over a place that passes on what it is to place, and whoever answers for it.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{HeaderMap, Request, StatusCode, Uri, Version},
};
use fanwire_proto::{Epoch, Member, Offset, Payload, Position, TopicName};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::{
    net::UnixStream,
    sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};
use tower::ServiceExt;
use utoipa_axum::router::OpenApiRouter;

use crate::{
    auth::Authenticator,
    broker::{Broker, Limits, Policy},
    doors::{
        Entrance, Visit,
        http::{self, Api, Bodies, HttpDoor, Sender},
        native::entrance::NativeEntrance,
    },
    durable::{Run, Trouble},
    liveness::Watchdog,
    memory::Class,
    metrics::Metrics,
    order::{Place, Submission, Submitted},
    shard::{Newcomer, Origin, ShardLimits, Shards, Socket},
    store::{Committer, Memory, Pace},
    topic::{Asker, Draft, Keeping, KindRule, Merging, NotPublished, Outcome, Receipt, Rule, Rules, Topic},
    wire,
    worker::Workers,
};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const PATIENCE: Duration = Duration::from_secs(10);
pub(super) const EPOCH: Epoch = Epoch(0xfa2);

/// What came to the place.
pub(super) struct Forwarded {
    pub(super) topic: TopicName,
    draft: Draft,
    pub(super) base: Option<Position>,
    asker: Asker,
}

/// A place that passes on what it is to place.
struct Elsewhere(UnboundedSender<Forwarded>);

impl Place for Elsewhere {
    fn check(&self) -> Result<(), Trouble> {
        Ok(())
    }

    fn submit(&self, topic: &Arc<Topic>, submission: Submission<'_>) -> Result<Submitted, NotPublished> {
        let Submission { draft, base, asker, .. } = submission;
        let forwarded = Forwarded { topic: topic.name.clone(), draft, base, asker: asker() };
        // Where nobody takes it any more, its asker is dropped, and hears of that.
        drop(self.0.send(forwarded));
        Ok(Submitted::Pending)
    }
}

/// The other machine.
pub(super) struct Home(UnboundedReceiver<Forwarded>);

impl Home {
    pub(super) async fn next(&mut self) -> Forwarded {
        timeout(PATIENCE, self.0.recv()).await.unwrap().unwrap()
    }
}

impl Forwarded {
    /// Answers from another thread.
    pub(super) fn answer(self, outcome: Outcome) {
        std::thread::spawn(move || self.asker.tell(outcome)).join().unwrap();
    }

    pub(super) fn place(self, offset: u64) {
        let offset = Offset(offset);
        self.answer(Ok(Receipt { epoch: EPOCH, offset, duplicate: false, subscribers: 3, dropped: 0 }));
    }

    /// What was to say what becomes of it goes away.
    pub(super) fn lose(self) {
        std::thread::spawn(move || drop(self)).join().unwrap();
    }

    pub(super) fn data(&self) -> String {
        match &self.draft.payload {
            Payload::Json(data) => data.get().to_owned(),
            Payload::Bytes(_) => String::new(),
        }
    }
}

pub(super) struct World {
    pub(super) broker: Arc<Broker>,
    routes: Router,
    pub(super) home: Home,
}

fn policy() -> Policy {
    let kind = KindRule::Document(Merging { max_bytes: 1 << 20, updates: 8 });
    let document = Rule { kind, presence: false, keeping: Keeping::Memory };
    let by_pattern = vec![("doc:**".parse().unwrap(), Arc::new(document))];
    let rules = Rules { by_pattern, default: Arc::default() };
    Policy {
        rules,
        limits: Limits::small(),
        authenticator: Authenticator { anonymous: true, ..Authenticator::default() },
    }
}

pub(super) fn open() -> World {
    let store = Arc::new(Memory::default());
    let (run, begun) = Run::begin(&*store).unwrap();
    let pace = Pace { delay: Duration::ZERO, messages: 1 };
    let (committer, _) = Committer::start(store, pace, begun).unwrap();
    let (metrics, rendered) = Metrics::new();
    let shards = Shards::prepare(1).unwrap();
    let workers = Workers::start().unwrap();
    let mut broker =
        Broker::new(shards.handles(), policy(), committer, run, metrics.clone(), workers).unwrap();
    let (submitted, home) = unbounded_channel();
    broker.order().stand_behind_memory(Box::new(Elsewhere(submitted)));
    let broker = Arc::new(broker);
    let bytes = wire::Limits { max_message_bytes: 1_000, max_update_bytes: 1_000, max_outbox_bytes: 1 << 20 };
    let limits = ShardLimits { bytes, max_outboxes_bytes: 1 << 30, ping: PATIENCE, pong_timeout: PATIENCE };
    shards.start(&limits, || metrics.clone()).unwrap();
    let api = Api::new(HttpDoor {
        broker: broker.clone(),
        metrics: rendered,
        body_timeout: PATIENCE,
        watchdog: Arc::new(Watchdog::default()),
        bodies: Arc::new(Bodies::new(broker.memory().share(Class::Bodies).clone())),
    });
    World { broker, routes: http::router(api, OpenApiRouter::new()), home: Home(home) }
}

impl World {
    /// Sends a request; its answer comes in its own time.
    pub(super) fn request(&self, method: &str, path: &str, body: &str) -> JoinHandle<(StatusCode, String)> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .extension(Sender { address: HERE, through_proxy: false })
            .body(Body::from(body.to_owned()))
            .unwrap();
        let answer = self.routes.clone().oneshot(request);
        tokio::spawn(async move {
            let answer = answer.await.unwrap();
            let status = answer.status();
            let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
            (status, String::from_utf8(body.to_vec()).unwrap())
        })
    }

    pub(super) async fn connect(&self) -> Client {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        let (uri, headers) = (Uri::from_static("/ws"), HeaderMap::new());
        let (page, version) = (Ok(()), Version::HTTP_11);
        let visit = Visit { uri: &uri, headers: &headers, address: HERE, page, version, ping_s: 10 };
        let entrance = NativeEntrance::new(self.broker.clone(), &wire::Dialects::default());
        let guest = entrance.accept(&visit).ok().unwrap();
        let member = Member { client: self.broker.new_client(), user: None, info: None };
        self.broker.least_loaded_shard().unwrap().adopt(Newcomer {
            socket: Socket::local(theirs).unwrap(),
            spoken: guest.spoken,
            member,
            origin: Origin { door: entrance.name(), address: HERE },
            door: guest.door,
            input: Vec::new(),
            permit: None,
        });
        ours.set_nonblocking(true).unwrap();
        let stream = UnixStream::from_std(ours).unwrap();
        Client(WebSocketStream::from_raw_socket(stream, Role::Client, None).await)
    }
}

/// A WebSocket after its handshake.
pub(super) struct Client(WebSocketStream<UnixStream>);

impl Client {
    pub(super) async fn say(&mut self, what: Value) {
        self.0.send(Message::text(what.to_string())).await.unwrap();
    }

    pub(super) async fn hear(&mut self) -> Value {
        let heard = timeout(PATIENCE, self.0.next()).await.unwrap().unwrap().unwrap();
        serde_json::from_str(heard.to_text().unwrap()).unwrap()
    }
}
