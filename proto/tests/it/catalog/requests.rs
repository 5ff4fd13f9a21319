//! Requests the broker takes.

use fanwire_proto::{
    Ack, ClientId, Command, Direction, Format, History, Payload, Publish, Request, Subscribe,
};

use super::{TAKEN, Vector, json, position, request, topic, written};

pub(super) fn vectors() -> Vec<Vector> {
    let mut vectors = commands();
    vectors.extend(publishes());
    vectors.extend(shapes());
    vectors
}

fn ask(id: u64, command: Command) -> Request {
    Request { id: Some(id), command }
}

fn commands() -> Vec<Vector> {
    let subscribe = Subscribe {
        topic: topic("chat:lobby"),
        since: None,
        last: None,
        presence: false,
        max_rate: None,
        echo: true,
    };
    let history =
        History { topic: topic("chat:lobby"), since: None, limit: None, direction: Direction::Forward };
    let resume = Subscribe { since: Some(position(41)), presence: true, ..subscribe.clone() };
    let newest = Subscribe { last: Some(20), ..subscribe.clone() };
    let ticker = Subscribe { topic: topic("ticker:all"), max_rate: Some(5.0), ..subscribe.clone() };
    let quiet = Subscribe { echo: false, ..subscribe.clone() };
    let older = History {
        since: Some(position(900)),
        limit: Some(100),
        direction: Direction::Backward,
        ..history.clone()
    };
    let lobby = || topic("chat:lobby");
    vec![
        request("subscribe", "The shortest subscribe.", ask(1, Command::Subscribe(subscribe))),
        request("subscribe_since", "Resume, with presence.", ask(2, Command::Subscribe(resume))),
        request("subscribe_last", "Start with past messages.", ask(3, Command::Subscribe(newest))),
        request("subscribe_max_rate", "Conflated delivery.", ask(4, Command::Subscribe(ticker))),
        request("subscribe_quiet", "Not what this connection publishes.", ask(11, Command::Subscribe(quiet))),
        request("unsubscribe", "", ask(5, Command::Unsubscribe { topic: lobby() })),
        request("presence", "", ask(6, Command::Presence { topic: lobby() })),
        request("history", "All the broker gives at once, oldest first.", ask(7, Command::History(history))),
        request("history_backward", "A page, newest first.", ask(8, Command::History(older))),
        request("auth", "", ask(9, Command::Auth { token: "header.payload.signature".into() })),
        request("ping", "", ask(10, Command::Ping)),
        request(
            "ping_silent",
            "Without `id` there is still a `pong`.",
            Request { id: None, command: Command::Ping },
        ),
        request("id_max", "The largest number.", ask(u64::MAX, Command::Ping)),
    ]
}

fn publish(payload: Payload) -> Publish {
    Publish {
        topic: topic("chat:lobby"),
        payload,
        key: None,
        message_id: None,
        tags: None,
        ack: None,
        except: None,
    }
}

fn publishes() -> Vec<Vector> {
    let full = Publish {
        topic: topic("ticker:all"),
        key: Some("BTC-USD".into()),
        message_id: Some("order-7".into()),
        tags: Some([("source".into(), "fix".into()), ("venue".into(), "x".into())].into()),
        ..publish(json(r#"{"price":97000.5}"#))
    };
    let unicode =
        Publish { topic: topic("日本:東京 ☂"), ..publish(json(r#""naïve 🦀 \u0000 \"q\"""#)) };
    let durable = Publish { ack: Some(Ack::Durable), ..publish(json("1")) };
    let except = Publish { except: Some(ClientId(0x1f2e_3d4c_5b6a_7988)), ..publish(json("1")) };
    let silent = Request { id: None, command: Command::Publish(publish(json("1"))) };
    let send = |id, payload| ask(id, Command::Publish(publish(payload)));
    vec![
        request("publish", "The shortest publish.", send(1, json(r#"{"text":"hi"}"#))),
        request("publish_full", "Every option.", ask(2, Command::Publish(full))),
        request(
            "publish_durable",
            "The reply comes once the message is durable.",
            ask(9, Command::Publish(durable)),
        ),
        request("publish_except", "Everybody but one client gets it.", ask(10, Command::Publish(except))),
        request("publish_silent", "Without `id`: a reply only if it fails.", silent),
        request("publish_null", "`null` is a payload like any other.", send(3, json("null"))),
        request(
            "publish_bytes",
            "`b64` in JSON, `bin` in MessagePack.",
            send(4, Payload::Bytes(vec![0, 1, 0xfe, 0xff].into())),
        ),
        request("publish_no_bytes", "Bytes may be empty.", send(5, Payload::Bytes(Vec::new().into()))),
        request("publish_unicode", "Names and strings beyond ASCII.", ask(6, Command::Publish(unicode))),
        request(
            "publish_numbers",
            "Integers of 64 bits and doubles pass unchanged; a larger integer is a double.",
            send(
                7,
                json(
                    "[0,-1,18446744073709551615,-9223372036854775808,0.1,1e300,5e-324,18446744073709551616]",
                ),
            ),
        ),
        request(
            "publish_nested",
            "",
            send(8, json(r#"{"a":[{"b":[[],{}]}],"c":{"d":null,"e":true,"f":false}}"#)),
        ),
        Vector {
            name: "request_publish_b64_msgpack".into(),
            ..written(
                "request",
                "`b64` is read in MessagePack too.",
                r#"{"type":"publish","id":9,"topic":"t","b64":"AAH+/w=="}"#,
                vec![TAKEN],
            )
        },
    ]
}

fn shapes() -> Vec<Vector> {
    let batch: Vec<_> = (1..=3).map(|n| ask(n, Command::Publish(publish(json(&n.to_string()))))).collect();
    vec![
        Vector {
            name: "request_batch".into(),
            json: Some(String::from_utf8(Format::Json.encode_requests(&batch).unwrap()).unwrap()),
            msgpack: Some(Format::MsgPack.encode_requests(&batch).unwrap()),
            outcomes: vec![TAKEN; 3],
            ..request("batch", "An array of objects is carried out in order.", batch[0].clone())
        },
        written("request_empty_batch", "Nothing is asked, nothing is answered.", "[]", vec![]),
        written(
            "request_spaced",
            "White space and the order of fields do not matter.",
            "\n { \"topic\" : \"chat:lobby\" ,\t\"type\" : \"unsubscribe\" } ",
            vec![TAKEN],
        ),
        written(
            "request_unknown_fields",
            "Fields nobody knows are ignored, whatever they hold.",
            r#"{"type":"ping","id":1,"later":{"than":["now"]},"":null}"#,
            vec![TAKEN],
        ),
        written(
            "request_null_options",
            "Null is the same as absent, except for `data`.",
            r#"{"type":"subscribe","id":null,"topic":"t","since":null,"last":null,"presence":null,"max_rate":null}"#,
            vec![TAKEN],
        ),
        written(
            "request_foreign_epoch",
            "An epoch that no broker issued is well-formed; it just matches nothing.",
            r#"{"type":"subscribe","id":1,"topic":"t","since":{"epoch":"from elsewhere","offset":0}}"#,
            vec![TAKEN],
        ),
    ]
}
