//! Events the broker sends.

use fanwire_proto::{
    ErrorCode, ErrorReply, Event, Format, Gap, HistoryReply, Kind, Member, Message, Offset, Payload,
    ServerSubscribed,
};

use super::{CLIENT, EPOCH, IGNORED, TAKEN, Vector, event, json, topic, written};

pub(super) fn vectors() -> Vec<Vector> {
    let mut vectors = connection();
    vectors.extend(replies());
    vectors.extend(messages());
    vectors.extend(topics());
    vectors.extend(shapes());
    vectors
}

fn anonymous() -> Member {
    Member { client: CLIENT, user: None, info: None }
}

fn ada() -> Member {
    Member { client: CLIENT, user: Some("ada".into()), info: None }
}

fn described() -> Member {
    let info = Payload::json(r#"{"name":"Ada Lovelace","colour":[1,2.5,null]}"#).expect("valid");
    Member { info: Some(info.into()), ..ada() }
}

fn connection() -> Vec<Vector> {
    let welcome = |user: Option<&str>| Event::Welcome {
        client: CLIENT,
        version: "fanwire/0.1.0".into(),
        ping_s: 25,
        max_message_bytes: 65536,
        user: user.map(Into::into),
    };
    let error = |id, code: ErrorCode, message: &str| {
        Event::Error(ErrorReply { id, code, message: message.into(), retry: code.retry() })
    };
    let goodbye = Event::Goodbye { code: ErrorCode::Draining, reconnect: true, after_ms: 1500 };
    vec![
        event("welcome", "The first event.", &welcome(None)),
        event("welcome_user", "A token came with the handshake.", &welcome(Some("ada"))),
        event("error", "", &error(Some(3), ErrorCode::Forbidden, "the token does not allow this")),
        event("error_retry", "", &error(Some(4), ErrorCode::RateLimited, "too many commands")),
        event(
            "error_no_id",
            "No request could be read.",
            &error(None, ErrorCode::BadFrame, "the frame is empty"),
        ),
        event("pong", "", &Event::Pong { id: Some(7) }),
        event("pong_silent", "The ping had no `id`.", &Event::Pong { id: None }),
        event("goodbye", "Then the WebSocket closes with 1001.", &goodbye),
    ]
}

fn subscribed(id: u64, recovered: Option<bool>, members: Option<Vec<Member>>) -> Event {
    Event::Subscribed {
        id: Some(id),
        topic: topic("chat:lobby"),
        epoch: EPOCH,
        offset: Offset(57),
        kind: Kind::Log,
        recovered,
        members,
    }
}

fn published(id: Option<u64>, offset: u64, duplicate: bool) -> Event {
    Event::Published { id, topic: topic("chat:lobby"), epoch: EPOCH, offset: Offset(offset), duplicate }
}

fn replies() -> Vec<Vector> {
    let history = |id, recovered, messages, more| {
        Event::History(HistoryReply {
            id: Some(id),
            topic: topic("chat:lobby"),
            epoch: EPOCH,
            offset: Offset(59),
            recovered,
            messages,
            more,
        })
    };
    let authenticated = |user: Option<&str>, expires| Event::Authenticated {
        id: Some(6),
        user: user.map(Into::into),
        expires,
    };
    let present = |members: Vec<Member>, users| Event::Members {
        id: Some(4),
        topic: topic("chat:lobby"),
        clients: members.len(),
        members,
        users,
    };
    let two = vec![text(58, "hi"), Message { payload: Payload::Bytes(vec![1, 2].into()), ..text(59, "") }];
    let empty_topic = Event::Subscribed {
        id: Some(1),
        topic: topic("new"),
        epoch: EPOCH,
        offset: Offset::ZERO,
        kind: Kind::Latest,
        recovered: None,
        members: None,
    };
    vec![
        event("ok_subscribe", "", &subscribed(1, None, None)),
        event("ok_subscribe_empty", "Offset 0: before the first message.", &empty_topic),
        event("ok_subscribe_recovered", "Everything missed follows.", &subscribed(1, Some(true), None)),
        event(
            "ok_subscribe_lost",
            "Live from here; what was missed is gone.",
            &subscribed(1, Some(false), None),
        ),
        event("ok_subscribe_presence", "", &subscribed(1, None, Some(vec![ada(), anonymous()]))),
        event("ok_unsubscribe", "", &Event::Unsubscribed { id: Some(2), topic: topic("chat:lobby") }),
        event("ok_publish", "", &published(Some(3), 58, false)),
        event("ok_publish_duplicate", "The offset is the first one's.", &published(Some(3), 12, true)),
        event("ok_presence", "", &present(vec![ada(), anonymous()], 1)),
        event("ok_presence_info", "", &present(vec![described()], 1)),
        event("ok_presence_nobody", "", &present(vec![], 0)),
        event("ok_history", "", &history(5, None, two, false)),
        event(
            "ok_history_lost",
            "The page starts after a hole.",
            &history(5, Some(false), vec![text(58, "hi")], true),
        ),
        event("ok_auth", "", &authenticated(Some("ada"), Some(1_795_288_835_123))),
        event("ok_auth_anonymous", "A token without a user or an end.", &authenticated(None, None)),
    ]
}

fn text(offset: u64, text: &str) -> Message {
    Message {
        topic: topic("chat:lobby"),
        offset: Offset(offset),
        time: 1_795_288_835_123,
        payload: Payload::text(text).unwrap(),
        key: None,
        tags: None,
        from: None,
        skipped: 0,
    }
}

fn messages() -> Vec<Vector> {
    let one = |name: &str, note: &str, message: Message| {
        event(&format!("message{name}"), note, &Event::Message(message))
    };
    let data = |payload| Message { payload, ..text(58, "") };
    let full = Message {
        topic: topic("ticker:all"),
        key: Some("BTC-USD".into()),
        tags: Some(Box::new([("venue".into(), "x".into())].into())),
        from: Some(ada()),
        skipped: 3,
        ..data(json(r#"{"price":97000.5}"#))
    };
    vec![
        one("", "The shortest message.", text(58, "hi")),
        one("_full", "Every option.", full),
        one("_from_anonymous", "", Message { from: Some(anonymous()), ..text(58, "hi") }),
        one(
            "_bytes",
            "`b64` in JSON, `bin` in MessagePack.",
            data(Payload::Bytes(vec![0, 1, 0xfe, 0xff].into())),
        ),
        one("_null", "", data(json("null"))),
        one(
            "_as_written",
            "JSON subscribers get the text that was published.",
            data(json("{ \"b\" : 1.50,\"a\":[ ] }")),
        ),
        one("_unicode", "", Message { topic: topic("日本:東京 ☂"), ..data(json(r#""naïve 🦀""#)) }),
        one("_numbers", "", data(json("[0,-1,18446744073709551615,-9223372036854775808,0.1,1e300,5e-324]"))),
    ]
}

fn topics() -> Vec<Vector> {
    let gap = Gap { topic: topic("chat:lobby"), epoch: EPOCH, after: Offset(57), next: Offset(103) };
    let made = ServerSubscribed {
        topic: topic("chat:lobby"),
        epoch: EPOCH,
        offset: Offset(57),
        kind: Some(Kind::Log),
        recovered: None,
        members: None,
        expires: None,
    };
    let full = ServerSubscribed {
        recovered: Some(true),
        members: Some(vec![ada()]),
        expires: Some(1_795_288_835_123),
        ..made.clone()
    };
    let end = Event::End { topic: topic("chat:lobby"), code: ErrorCode::Forbidden };
    let lobby = || topic("chat:lobby");
    vec![
        event("join", "", &Event::Join { topic: lobby(), member: ada() }),
        event(
            "join_info",
            "what the token says for others to see",
            &Event::Join { topic: lobby(), member: described() },
        ),
        event("join_anonymous", "", &Event::Join { topic: lobby(), member: anonymous() }),
        event("leave", "", &Event::Leave { topic: lobby(), member: ada() }),
        event("leave_anonymous", "", &Event::Leave { topic: lobby(), member: anonymous() }),
        event("gap", "What lies between is gone for this subscriber.", &Event::Gap(gap)),
        event("subscribed", "The server made this subscription.", &Event::ServerSubscribed(made.clone())),
        event("subscribed_full", "", &Event::ServerSubscribed(full)),
        event("end", "The server ended this subscription.", &end),
    ]
}

fn shapes() -> Vec<Vector> {
    let batch =
        [published(Some(1), 58, false), Event::Message(text(58, "hi")), Event::Message(text(59, "ho"))];
    let texts: Vec<_> = batch
        .iter()
        .map(|event| String::from_utf8(Format::Json.encode_event(event).unwrap()).unwrap())
        .collect();
    let mut packed = vec![0x93];
    batch.iter().for_each(|event| packed.extend(Format::MsgPack.encode_event(event).unwrap()));
    vec![
        Vector {
            name: "event_batch".into(),
            json: Some(format!("[{}]", texts.join(","))),
            msgpack: Some(packed),
            outcomes: vec![TAKEN; 3],
            ..event("batch", "A frame may be an array of events.", &batch[0])
        },
        written(
            "event_unknown_type",
            "A client leaves out what it does not know.",
            r#"[{"type":"weather","sky":{"blue":true}},{"type":"pong","id":1,"later":[]}]"#,
            vec![IGNORED, TAKEN],
        ),
        written(
            "event_unknown_code",
            "A client takes a code it does not know for `internal`, and goes by `retry`.",
            r#"{"type":"error","id":1,"code":"tea_time","message":"","retry":true}"#,
            vec![TAKEN],
        ),
    ]
}
