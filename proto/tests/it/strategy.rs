//! Arbitrary requests, events and payloads for the properties.

use std::sync::Arc;

use fanwire_proto::{
    Ack, ClientId, Command, Direction, Epoch, ErrorCode, ErrorReply, Event, Gap, History, HistoryReply, Kind,
    Member, Message, Offset, Payload, Position, Publish, Request, ServerSubscribed, Subscribe, Tags,
    TopicName,
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::Value;

pub(crate) fn topic() -> impl Strategy<Value = TopicName> {
    "[^\\*\\p{Cc}]{1,40}".prop_filter_map("too long", |name| TopicName::new(&name).ok())
}

/// Any JSON value, doubles of any bit pattern and strings with escapes included.
pub(crate) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<u64>().prop_map(|bits| Value::from(f64::from_bits(bits))),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 40, 6, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..6).prop_map(Value::from),
            vec((any::<String>(), inner), 0..6)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}

pub(crate) fn payload() -> impl Strategy<Value = Payload> {
    prop_oneof![
        3 => value().prop_map(|value| Payload::json(&value.to_string()).unwrap()),
        1 => vec(any::<u8>(), 0..100).prop_map(|bytes| Payload::Bytes(bytes.into())),
    ]
}

fn label() -> impl Strategy<Value = String> {
    "\\PC{1,30}"
}

fn tags() -> impl Strategy<Value = Tags> {
    proptest::collection::btree_map("\\PC{0,40}", "(?s).{0,40}", 0..5)
}

/// The epoch 0 stands for all foreign ones, which are not written back as they came.
fn epoch() -> impl Strategy<Value = Epoch> {
    any::<u64>().prop_map(Epoch)
}

fn offset() -> impl Strategy<Value = Offset> {
    any::<u64>().prop_map(Offset)
}

fn position() -> impl Strategy<Value = Position> {
    (epoch(), offset()).prop_map(|(epoch, offset)| Position { epoch, offset })
}

pub(crate) fn request() -> impl Strategy<Value = Request> {
    let rate = option::of(0.001..1e300_f64);
    let subscribe =
        (topic(), option::of(position()), option::of(any::<u32>()), any::<bool>(), rate, any::<bool>())
            .prop_map(|(topic, since, last, presence, max_rate, echo)| {
                Command::Subscribe(Subscribe { topic, since, last, presence, max_rate, echo })
            });
    let ack = option::of(prop_oneof![Just(Ack::Accepted), Just(Ack::Durable)]);
    let except = option::of(any::<u64>().prop_map(ClientId));
    let publish =
        (topic(), payload(), option::of(label()), option::of(label()), option::of(tags()), ack, except)
            .prop_map(|(topic, payload, key, message_id, tags, ack, except)| {
                Command::Publish(Publish { topic, payload, key, message_id, tags, ack, except })
            });
    let history = (topic(), option::of(position()), option::of(any::<u32>()), any::<bool>()).prop_map(
        |(topic, since, limit, back)| {
            let direction = if back { Direction::Backward } else { Direction::Forward };
            Command::History(History { topic, since, limit, direction })
        },
    );
    let command = prop_oneof![
        subscribe,
        publish,
        history,
        topic().prop_map(|topic| Command::Unsubscribe { topic }),
        topic().prop_map(|topic| Command::Presence { topic }),
        any::<String>().prop_map(|token| Command::Auth { token }),
        Just(Command::Ping),
    ];
    (option::of(any::<u64>()), command).prop_map(|(id, command)| Request { id, command })
}

fn shared() -> impl Strategy<Value = Arc<str>> {
    any::<String>().prop_map(Arc::from)
}

fn member() -> impl Strategy<Value = Member> {
    (any::<u64>(), option::of(shared())).prop_map(|(client, user)| {
        // A `leave` and a publisher have no `info`; that it survives is in the vectors.
        Member { client: ClientId(client), user, info: None }
    })
}

fn message() -> impl Strategy<Value = Message> {
    let options = (option::of(label()), option::of(tags()), option::of(member()), any::<u64>());
    (topic(), offset(), any::<u64>(), payload(), options).prop_map(
        |(topic, offset, time, payload, (key, tags, from, skipped))| Message {
            topic,
            offset,
            time,
            payload,
            key: key.map(Into::into),
            tags: tags.map(Box::new),
            from,
            skipped,
        },
    )
}

fn id() -> impl Strategy<Value = Option<u64>> {
    option::of(any::<u64>())
}

fn kind() -> impl Strategy<Value = Kind> {
    select(Kind::ALL)
}

fn reply() -> impl Strategy<Value = Event> {
    let members = || vec(member(), 0..4);
    let subscribed = (id(), topic(), position(), kind(), option::of(any::<bool>()), option::of(members()))
        .prop_map(|(id, topic, Position { epoch, offset }, kind, recovered, members)| Event::Subscribed {
            id,
            topic,
            epoch,
            offset,
            kind,
            recovered,
            members,
        });
    let published = (id(), topic(), position(), any::<bool>()).prop_map(
        |(id, topic, Position { epoch, offset }, duplicate)| Event::Published {
            id,
            topic,
            epoch,
            offset,
            duplicate,
        },
    );
    let present = (id(), topic(), members(), any::<u32>(), any::<u32>()).prop_map(
        |(id, topic, members, clients, users)| Event::Members {
            id,
            topic,
            members,
            clients: clients as usize,
            users: users as usize,
        },
    );
    let history = (id(), topic(), position(), option::of(any::<bool>()), vec(message(), 0..4), any::<bool>())
        .prop_map(|(id, topic, Position { epoch, offset }, recovered, messages, more)| {
            Event::History(HistoryReply { id, topic, epoch, offset, recovered, messages, more })
        });
    let authenticated = (id(), option::of(shared()), option::of(any::<u64>()))
        .prop_map(|(id, user, expires)| Event::Authenticated { id, user, expires });
    let unsubscribed = (id(), topic()).prop_map(|(id, topic)| Event::Unsubscribed { id, topic });
    prop_oneof![subscribed, published, present, history, authenticated, unsubscribed]
}

fn server_subscribed() -> impl Strategy<Value = Event> {
    let options = (
        option::of(kind()),
        option::of(any::<bool>()),
        option::of(vec(member(), 0..4)),
        option::of(any::<u64>()),
    );
    (topic(), position(), options).prop_map(
        |(topic, Position { epoch, offset }, (kind, recovered, members, expires))| {
            Event::ServerSubscribed(ServerSubscribed {
                topic,
                epoch,
                offset,
                kind,
                recovered,
                members,
                expires,
            })
        },
    )
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let code = || select(ErrorCode::ALL);
    let welcome = (any::<u64>(), shared(), any::<u64>(), any::<u32>(), option::of(shared())).prop_map(
        |(client, version, ping_s, max, user)| Event::Welcome {
            client: ClientId(client),
            version,
            ping_s,
            max_message_bytes: max as usize,
            user,
        },
    );
    let error = (id(), code(), any::<String>(), any::<bool>())
        .prop_map(|(id, code, message, retry)| Event::Error(ErrorReply { id, code, message, retry }));
    let gap = (topic(), epoch(), offset(), offset())
        .prop_map(|(topic, epoch, after, next)| Event::Gap(Gap { topic, epoch, after, next }));
    let goodbye = (code(), any::<bool>(), any::<u64>())
        .prop_map(|(code, reconnect, after_ms)| Event::Goodbye { code, reconnect, after_ms });
    prop_oneof![
        4 => reply(),
        3 => message().prop_map(Event::Message),
        1 => welcome,
        1 => error,
        1 => gap,
        1 => goodbye,
        1 => server_subscribed(),
        1 => (topic(), member()).prop_map(|(topic, member)| Event::Join { topic, member }),
        1 => (topic(), member()).prop_map(|(topic, member)| Event::Leave { topic, member }),
        1 => (topic(), code()).prop_map(|(topic, code)| Event::End { topic, code }),
        1 => id().prop_map(|id| Event::Pong { id }),
    ]
}
