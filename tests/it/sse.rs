//! Server-Sent Events: the same subscriptions over plain HTTP.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use crate::support::{Client, Connect, PATIENCE, Server, mint, request, seconds_from_now, within};

/// An event as `EventSource` would see it.
#[derive(Debug)]
struct Event {
    name: String,
    id: String,
    data: Value,
}

/// A stream that is being read.
struct Stream {
    lines: BufReader<TcpStream>,
    status: u16,
    head: String,
}

impl Stream {
    async fn open(server: &Server, query: &str, headers: &str) -> Self {
        let mut tcp = TcpStream::connect(server.address).await.unwrap();
        let request = format!("GET /v1/events?{query} HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut stream = Self { lines: BufReader::new(tcp), status: 0, head: String::new() };
        loop {
            let line = stream.line().await.unwrap();
            if line.is_empty() {
                break;
            }
            if stream.status == 0 {
                stream.status = line.split(' ').nth(1).unwrap().parse().unwrap();
            }
            stream.head.push_str(&line.to_ascii_lowercase());
            stream.head.push('\n');
        }
        stream
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = within(PATIENCE, self.lines.read_line(&mut line)).await.unwrap();
        (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// The next event. Chunk sizes of the transfer stand on lines of their own and look like no field.
    async fn event(&mut self) -> Option<Event> {
        let mut event = Event { name: "message".into(), id: String::new(), data: Value::Null };
        let mut data = String::new();
        loop {
            let line = self.line().await?;
            match line.split_once(": ") {
                Some(("event", name)) => event.name = name.into(),
                Some(("id", id)) => event.id = id.into(),
                Some(("data", text)) => data.push_str(text),
                _ if line.is_empty() && !data.is_empty() => {
                    event.data = serde_json::from_str(&data).unwrap();
                    return Some(event);
                }
                _ => {}
            }
        }
    }

    async fn named(&mut self, name: &str) -> Event {
        let event = self.event().await.expect("the stream goes on");
        assert_eq!(event.name, name, "{event:?}");
        event
    }
}

#[tokio::test]
async fn messages_arrive_with_headers_that_proxies_respect() {
    let server = Server::development();
    let mut stream = Stream::open(&server, "topic=chat:a", "").await;
    assert_eq!(stream.status, 200);
    for header in ["content-type: text/event-stream", "x-accel-buffering: no", "no-transform"] {
        assert!(stream.head.contains(header), "{header} in {}", stream.head);
    }
    assert_eq!(stream.named("subscribed").await.data["topic"], "chat:a");
    let mut publisher = Client::connect(&server).await;
    publisher.publish("chat:a", json!({ "text": "two\nlines" })).await;
    let event = stream.named("message").await;
    assert_eq!(event.data["data"], json!({ "text": "two\nlines" }));
    assert_eq!(event.data["offset"], 1);
}

#[tokio::test]
async fn several_topics_resume_from_the_last_event_id() {
    let server = Server::development();
    let mut publisher = Client::connect(&server).await;
    let mut stream = Stream::open(&server, "topic=chat:a&topic=chat%3A%E6%97%A5+x", "").await;
    stream.named("subscribed").await;
    stream.named("subscribed").await;
    publisher.publish("chat:a", 1).await;
    publisher.publish("chat:日 x", 10).await;
    let mut id = String::new();
    for _ in 0..2 {
        id = stream.named("message").await.id;
    }
    drop(stream);
    publisher.publish("chat:a", 2).await;
    publisher.publish("chat:日 x", 11).await;
    publisher.publish("chat:a", 3).await;
    let header = format!("last-event-id: {id}\r\n");
    let mut stream = Stream::open(&server, "topic=chat:a&topic=chat%3A%E6%97%A5+x", &header).await;
    let mut got = Vec::new();
    for _ in 0..5 {
        let event = stream.event().await.unwrap();
        match event.name.as_str() {
            "subscribed" => assert_eq!(event.data["recovered"], true),
            _ => got.push(event.data["data"].as_u64().unwrap()),
        }
    }
    got.sort_unstable();
    assert_eq!(got, [2, 3, 11]);
}

#[tokio::test]
async fn newest_values_are_conflated_as_on_sockets() {
    let server = Server::development();
    let mut publisher = Client::connect(&server).await;
    publisher.ok(json!({ "type": "publish", "topic": "ticker:a", "key": "k", "data": 0 })).await;
    let mut stream = Stream::open(&server, "topic=ticker:a&max_rate=5", "").await;
    stream.named("subscribed").await;
    assert_eq!(stream.named("message").await.data["data"], 0);
    for value in 1..=50 {
        publisher.ok(json!({ "type": "publish", "topic": "ticker:a", "key": "k", "data": value })).await;
    }
    let mut seen = 0;
    loop {
        let event = stream.named("message").await;
        seen += 1 + event.data["skipped"].as_u64().unwrap_or(0);
        if event.data["data"] == 50 {
            break;
        }
    }
    assert_eq!(seen, 50);
}

#[tokio::test]
async fn a_lost_past_is_told() {
    let server = Server::start("[default]\nkind = 'log'\nhistory_count = 3\n");
    let mut publisher = Client::connect(&server).await;
    let mut stream = Stream::open(&server, "topic=chat:a", "").await;
    let id = stream.named("subscribed").await.id;
    drop(stream);
    for value in 0..10 {
        publisher.publish("chat:a", value).await;
    }
    let mut stream = Stream::open(&server, "topic=chat:a", &format!("last-event-id: {id}\r\n")).await;
    let subscribed = stream.named("subscribed").await;
    assert_eq!((&subscribed.data["recovered"], &subscribed.data["offset"]), (&json!(false), &json!(10)));
}

#[tokio::test]
async fn refusals_are_problems_not_streams() {
    let server = Server::start("auth_hmac_secret = '0123456789abcdef0123456789abcdef'\n");
    let check = async |query: &str, headers: &str, status: u16| {
        assert_eq!(Stream::open(&server, query, headers).await.status, status, "{query} {headers}");
    };
    check("topic=chat:a", "", 401).await;
    check("topic=chat:a&token=x.y.z", "", 401).await;
    check("topic=chat:a&token=fwk_something", "", 401).await;
    let open = Server::development();
    let check = async |query: &str, status: u16| {
        assert_eq!(Stream::open(&open, query, "").await.status, status, "{query}");
    };
    check("", 400).await;
    check("topic=a*", 400).await;
    check("topic=a&last=x", 400).await;
    check("topic=a&max_rate=0", 400).await;
    let many: String = (0..33).map(|index| format!("topic=t{index}&")).collect();
    check(&many, 400).await;
}

#[tokio::test]
async fn draining_ends_the_stream_with_everything_delivered() {
    let mut server = Server::development();
    let mut publisher = Client::connect(&server).await;
    let mut stream = Stream::open(&server, "topic=chat:a", "").await;
    stream.named("subscribed").await;
    for value in 0..100 {
        publisher.publish("chat:a", value).await;
    }
    server.signal("TERM");
    for value in 0..100 {
        assert_eq!(stream.named("message").await.data["data"], value);
    }
    assert_eq!(stream.named("goodbye").await.data["reconnect"], true);
    assert!(stream.event().await.is_none());
    assert!(server.exit().await.success());
}

#[tokio::test]
async fn a_reader_that_leaves_leaves_the_topic() {
    let server = Server::development();
    let mut watcher = Client::connect(&server).await;
    watcher.ok(json!({ "type": "subscribe", "topic": "chat:a", "presence": true })).await;
    let mut stream = Stream::open(&server, "topic=chat:a", "").await;
    stream.named("subscribed").await;
    let join = watcher.expect("join").await;
    drop(stream);
    let leave = watcher.expect("leave").await;
    assert_eq!(join["client"], leave["client"]);
}

/// Reads `count` messages of a fresh stream and breaks off; returns what came and the last event id.
async fn read_some(server: &Server, query: &str, count: usize) -> (Vec<Value>, String) {
    let mut stream = Stream::open(server, query, "").await;
    stream.named("subscribed").await;
    let (mut got, mut id) = (Vec::new(), String::new());
    for _ in 0..count {
        let event = stream.named("message").await;
        got.push(event.data["data"].clone());
        id = event.id;
    }
    (got, id)
}

#[tokio::test]
async fn a_break_in_the_middle_of_the_past_loses_none_of_it() {
    let server = Server::development();
    let mut publisher = Client::connect(&server).await;
    for value in 0..50 {
        publisher.publish("chat:a", value).await;
        publisher.publish_key("ticker:a", &format!("key {value}"), value).await;
    }
    for query in ["topic=chat:a&last=40", "topic=ticker:a"] {
        let (mut got, id) = read_some(&server, query, 10).await;
        let mut stream = Stream::open(&server, query, &format!("last-event-id: {id}\r\n")).await;
        assert_eq!(stream.named("subscribed").await.data["recovered"], true);
        while got.last() != Some(&json!(49)) {
            got.push(stream.named("message").await.data["data"].clone());
        }
        let first = if query.contains("last") { 10 } else { 0 };
        assert_eq!(got, (first..50).map(Value::from).collect::<Vec<_>>(), "{query}");
    }
}

#[tokio::test]
async fn who_may_not_read_the_past_comes_back_all_the_same() {
    let server = Server::start("auth_hmac_secret = '0123456789abcdef0123456789abcdef'\n");
    let claims = json!({ "sub": "ada", "history": [], "exp": seconds_from_now(3600) });
    let token = mint("0123456789abcdef0123456789abcdef", &claims);
    let query = format!("topic=chat:a&token={token}");
    let mut stream = Stream::open(&server, &query, "").await;
    let id = stream.named("subscribed").await.id;
    let mut stream = Stream::open(&server, &query, &format!("last-event-id: {id}\r\n")).await;
    assert_eq!(stream.status, 200);
    stream.named("subscribed").await;
}

#[tokio::test]
async fn parameters_are_read_strictly() {
    let server = Server::development();
    for query in ["topic=chat:a&presence=maybe", "topic=chat:a&last=-1", "last=1"] {
        assert_eq!(Stream::open(&server, query, "").await.status, 400, "{query}");
    }
    let mut publisher = Client::connect(&server).await;
    publisher.publish("chat:a", 1).await;
    let mut stream = Stream::open(&server, "topic=chat:a&presence=true&last=1", "").await;
    stream.named("subscribed").await;
    let id = stream.named("message").await.id;
    publisher.publish("chat:a", 2).await;
    // Where headers cannot be set, under either name.
    for name in ["last_event_id", "lastEventId"] {
        let escaped = id.replace('%', "%25").replace('=', "%3D");
        let mut stream = Stream::open(&server, &format!("topic=chat:a&{name}={escaped}"), "").await;
        assert_eq!(stream.named("subscribed").await.data["recovered"], true, "{name}");
        assert_eq!(stream.named("message").await.data["data"], 2, "{name}");
    }
}

#[tokio::test]
async fn who_becomes_somebody_else_is_seen_on_streams() {
    let secret = "a secret for these tests, long enough";
    let server = Server::start(&format!("auth_hmac_secret = \"{secret}\""));
    let token = |claims: Value| mint(secret, &claims);
    let query = format!("topic=chat:a&presence=true&token={}", token(json!({ "sub": "watcher" })));
    let mut stream = Stream::open(&server, &query, "").await;
    stream.named("subscribed").await;
    let mut guest = Connect::to(&server).token(&token(json!({ "sub": "alice" }))).open().await;
    guest.subscribe("chat:a").await;
    assert_eq!(stream.named("join").await.data["user"], "alice");
    for (claims, before) in [
        (json!({ "sub": "bob", "info": { "colour": "red" } }), "alice"),
        (json!({ "sub": "bob", "info": { "colour": "blue" } }), "bob"),
    ] {
        guest.ok(json!({ "type": "auth", "token": token(claims.clone()) })).await;
        assert_eq!(stream.named("leave").await.data["user"], before);
        let join = stream.named("join").await.data;
        assert_eq!((&join["user"], &join["info"]), (&claims["sub"], &claims["info"]));
    }
    let head = format!(
        "GET /v1/topics/chat:a/presence HTTP/1.1\r\nAuthorization: Bearer {}\r\n",
        token(json!({ "sub": "watcher" }))
    );
    let members = request(server.address, &head, b"").await.json()["members"].clone();
    let blue = |member: &Value| member["user"] == "bob" && member["info"]["colour"] == "blue";
    assert!(members.as_array().unwrap().iter().any(blue), "{members}");
    assert_eq!(members.as_array().unwrap().len(), 2, "{members}");
}
