//! What concerns one connection holds up nobody else on its shard: a topic that is read from the disk, with a store whose reads
//! are held, and a door that panics. And what is asked of a shard finds every connection that came before.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

use std::{
    os::unix::net::UnixStream,
    sync::Arc,
    thread::JoinHandle,
    time::{Duration, Instant},
};

use fanwire::{
    auth::Authenticator,
    broker::{Broker, Limits, Policy},
    doors::native::{NativeDialect, NativeDoor},
    durable::Run,
    memory::Plan,
    metrics::Metrics,
    shard::{Cx, Door, Inbound, Newcomer, Order, Origin, ShardLimits, Shards, Socket, Who},
    store::{Committer, Faulty, Memory, Pace},
    topic::{Keeping, KindRule, Retention, Rule, Rules},
    wire::{self, Dialects, Framing},
    worker::Workers,
};
use fanwire_proto::{ClientId, Format, Member};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket, protocol::Role};

const PATIENCE: Duration = Duration::from_secs(20);

struct World {
    broker: Arc<Broker>,
    store: Arc<Faulty>,
    threads: Vec<JoinHandle<()>>,
}

fn start(kept: &Arc<Memory>) -> World {
    start_with(kept, KindRule::Log(Retention::default()))
}

/// A broker with one shard whose topics are all durable.
fn start_with(kept: &Arc<Memory>, kind: KindRule) -> World {
    let store = Arc::new(Faulty::new(kept.clone()));
    let rule = Rule { kind, presence: true, keeping: Keeping::Durable };
    let limits = Limits {
        max_subscriptions: 10,
        max_commands_per_second: 1_000,
        max_false_tokens_per_second: u32::MAX,
        max_topics: 100,
        max_message_bytes: 1_000,
        max_update_bytes: 1_000,
        memory: Plan::of(1 << 30),
        max_topics_per_owner: 100,
        max_outbox_bytes: 1 << 20,
    };
    let rules = Rules { by_pattern: Vec::new(), default: Arc::new(rule) };
    let policy = Policy {
        rules,
        limits,
        authenticator: Authenticator { anonymous: true, ..Authenticator::default() },
    };
    let (run, begun) = Run::begin(&*store).unwrap();
    let pace = Pace { delay: Duration::ZERO, messages: 1 };
    let (committer, keeper) = Committer::start(store.clone(), pace, begun).unwrap();
    let (metrics, _) = Metrics::new();
    let shards = Shards::prepare(1).unwrap();
    let handles = shards.handles();
    let broker =
        Broker::new(handles, policy, committer, run, metrics.clone(), Workers::start().unwrap()).unwrap();
    let limits = ShardLimits {
        bytes: wire::Limits { max_message_bytes: 1_000, max_update_bytes: 1_000, max_outbox_bytes: 1 << 20 },
        max_outboxes_bytes: 1 << 20,
        ping: Duration::from_secs(60),
        pong_timeout: Duration::from_secs(60),
    };
    let mut threads = shards.start(&limits, || metrics.clone()).unwrap();
    threads.push(keeper);
    World { broker: Arc::new(broker), store, threads }
}

impl World {
    fn client(&self) -> Client {
        let broker = self.broker.clone();
        let grant = broker.anonymous();
        let mut client = self.visitor(NativeDoor::new(broker, Format::Json, grant, 60));
        assert_eq!(client.next()["type"], "welcome");
        client
    }

    fn visitor(&self, door: impl Door + 'static) -> Client {
        self.visitor_named(self.broker.new_client(), door)
    }

    fn visitor_named(&self, client: ClientId, door: impl Door + 'static) -> Client {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_read_timeout(Some(PATIENCE)).unwrap();
        self.broker.shards()[0].adopt(Newcomer {
            socket: Socket::local(theirs).unwrap(),
            spoken: Dialects::default().register(NativeDialect::new(Format::Json), Framing::WebSocket),
            member: Member { client, user: None, info: None },
            origin: Origin { door: "test", address: std::net::Ipv4Addr::LOCALHOST.into() },
            door: Box::new(door),
            input: Vec::new(),
            permit: None,
        });
        Client(WebSocket::from_raw_socket(ours, Role::Client, None), Vec::new())
    }

    fn end(self) {
        self.broker.committer().flush().recv().unwrap();
        self.broker.committer().close();
        self.broker.shards()[0].finish(Duration::ZERO);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
    }
}

struct Client(WebSocket<UnixStream>, Vec<Value>);

impl Client {
    fn send(&mut self, command: &Value) {
        self.0.send(Message::text(command.to_string())).unwrap();
    }

    /// What comes next; it has to come soon.
    fn next(&mut self) -> Value {
        while self.1.is_empty() {
            let Message::Text(text) = self.0.read().unwrap() else { continue };
            match serde_json::from_str(&text).unwrap() {
                Value::Array(events) => self.1.extend(events),
                event => self.1.push(event),
            }
        }
        self.1.remove(0)
    }

    /// The next of this type.
    fn expect(&mut self, kind: &str) -> Value {
        let event = self.next();
        assert_eq!(event["type"], kind, "{event}");
        event
    }

    fn publish(&mut self, topic: &str, data: u64) -> Value {
        self.send(&json!({ "type": "publish", "id": data, "topic": topic, "data": data }));
        self.expect("ok")
    }
}

/// A door with a fault.
struct Faulted;

impl Door for Faulted {
    fn opened(&mut self, _: &mut Cx<'_>) {}

    fn received(&mut self, _: &mut Cx<'_>, _: Inbound<'_>) {
        panic!("on purpose");
    }

    fn tick(&mut self, _: &mut Cx<'_>) {}
}

#[test]
fn a_panic_costs_its_own_connection_only() {
    let world = start(&Arc::default());
    let (mut other, mut unlucky) = (world.client(), world.visitor(Faulted));
    unlucky.send(&json!({}));
    let Message::Close(Some(close)) = unlucky.0.read().unwrap() else { panic!("no close frame") };
    assert_eq!(u16::from(close.code), 1011);
    other.publish("small", 1);
    world.client().publish("small", 2);
    drop((other, unlucky));
    world.end();
}

/// A store in which `big` has messages, as a broker left it.
fn with_big_topic() -> Arc<Memory> {
    let kept: Arc<Memory> = Arc::default();
    let world = start(&kept);
    let mut client = world.client();
    (1..=20).for_each(|data| drop(client.publish("big", data)));
    drop(client);
    world.end();
    kept
}

#[test]
fn others_go_on_while_a_topic_is_read() {
    let world = start(&with_big_topic());
    let (mut near, mut far) = (world.client(), world.client());
    near.send(&json!({ "type": "subscribe", "id": 1, "topic": "small" }));
    near.expect("ok");
    let held = world.store.hold_reads("big");
    // What comes behind it waits with it, in the same frame and in others.
    far.send(
        &json!([{ "type": "subscribe", "id": 1, "topic": "big", "last": 3 }, { "type": "ping", "id": 2 }]),
    );
    far.send(&json!({ "type": "ping", "id": 3 }));
    assert!(held.until_waiting(1, PATIENCE));
    for data in 1..=10 {
        near.send(&json!({ "type": "publish", "id": data, "topic": "small", "data": data }));
        let (first, second) = (near.next(), near.next());
        let kinds = [first["type"].as_str().unwrap(), second["type"].as_str().unwrap()];
        assert!(kinds.contains(&"ok") && kinds.contains(&"message"), "{first} {second}");
    }
    // Another topic that has to be looked for on the disk is found meanwhile, too.
    near.publish("new", 1);
    drop(held);
    let reply = far.expect("ok");
    assert_eq!((&reply["id"], &reply["offset"]), (&json!(1), &json!(20)));
    // In this order, whatever shares a frame: the reply, what else was asked, the past.
    let rest: Vec<Value> = (0..5).map(|_| far.next()).collect();
    let pongs: Vec<&Value> =
        rest.iter().filter(|event| event["type"] == "pong").map(|event| &event["id"]).collect();
    let past: Vec<&Value> =
        rest.iter().filter(|event| event["type"] == "message").map(|event| &event["data"]).collect();
    assert_eq!((pongs, past), (vec![&json!(2), &json!(3)], vec![&json!(18), &json!(19), &json!(20)]));
    world.end();
}

#[test]
fn who_leaves_while_a_topic_is_read_leaves_nothing_behind() {
    let world = start(&with_big_topic());
    let held = world.store.hold_reads("big");
    let mut gone = world.client();
    gone.send(&json!({ "type": "history", "id": 1, "topic": "big" }));
    assert!(held.until_waiting(1, PATIENCE));
    drop(gone);
    drop(held);
    let mut client = world.client();
    client.send(&json!({ "type": "history", "id": 1, "topic": "big", "limit": 2 }));
    assert_eq!(client.expect("ok")["messages"].as_array().unwrap().len(), 2);
    client.send(&json!({ "type": "history", "id": 2, "topic": "nothing" }));
    assert_eq!(client.expect("ok")["messages"], json!([]));
    let deadline = Instant::now() + PATIENCE;
    while world.broker.connection_count() > 1 {
        assert!(Instant::now() < deadline, "the connection is still there");
        std::thread::yield_now();
    }
    world.end();
}

#[test]
fn why_a_topic_cannot_be_read_is_an_answer() {
    let kept = with_big_topic();
    let world = start_with(&kept, KindRule::Latest { max_keys: 10, max_age: None });
    let mut client = world.client();
    for command in ["subscribe", "publish", "history"] {
        client.send(&json!({ "type": command, "id": 1, "topic": "big", "data": 1 }));
        assert_eq!(client.expect("error")["code"], "wrong_kind");
    }
    client.publish("other", 1);
    world.end();
}

#[test]
fn an_order_finds_each_connection_that_was_handed_over_before_it() {
    let world = start(&Arc::default());
    let come_and_go = || {
        for _ in 0..200 {
            let client = world.broker.new_client();
            let door = NativeDoor::new(world.broker.clone(), Format::Json, world.broker.anonymous(), 60);
            let _visitor = world.visitor_named(client, door);
            let (done, count) = tokio::sync::oneshot::channel();
            world.broker.shards()[0].order(Order::Disconnect { who: Who::Client(client), done });
            assert_eq!(count.blocking_recv().unwrap(), 1);
        }
    };
    std::thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(come_and_go))));
    world.end();
}
