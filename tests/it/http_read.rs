//! Reading over HTTP: topics, one topic, history in pages both ways, presence.

use serde_json::{Value, json};

use crate::support::{
    Answer, Client, Connect, Launch, Server, eventually, get, mint, post, raw_request, request,
};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

async fn read(server: &Server, path: &str) -> Value {
    let answer = get(server.address, path).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")), "{path}");
    answer.json()
}

async fn publish(server: &Server, topic: &str, count: usize) {
    let messages: Vec<_> = (1..=count).map(|n| json!({ "topic": topic, "data": n })).collect();
    let body = json!({ "messages": messages }).to_string();
    assert_eq!(post(server.address, "/v1/publish", "", body.as_bytes()).await.status, 200);
}

fn data(page: &Value) -> Vec<u64> {
    page["messages"].as_array().unwrap().iter().map(|message| message["data"].as_u64().unwrap()).collect()
}

#[tokio::test]
async fn history_is_read_in_pages_both_ways() {
    let server = Server::development();
    publish(&server, "chat:a", 7).await;
    for (reverse, expected) in [("false", (1..=7).collect::<Vec<_>>()), ("true", (1..=7).rev().collect())] {
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let path = format!("/v1/topics/chat:a/messages?limit=3&reverse={reverse}{after}");
            let page = read(&server, &path).await;
            seen.extend(data(&page));
            after = format!("&after={}", page["next"].as_str().unwrap_or_default());
            if page["more"] == false {
                assert_eq!(page["next"].is_null(), reverse == "true", "{page}");
                break;
            }
        }
        assert_eq!(seen, expected);
    }
}

#[tokio::test]
async fn a_reader_can_poll_for_what_comes() {
    let server = Server::development();
    publish(&server, "chat:a", 2).await;
    let first = read(&server, "/v1/topics/chat:a/messages").await;
    assert_eq!((data(&first), &first["more"]), (vec![1, 2], &json!(false)));
    assert_eq!(first["recovered"], Value::Null);
    let path = format!("/v1/topics/chat:a/messages?after={}", first["next"].as_str().unwrap());
    let nothing = read(&server, &path).await;
    assert_eq!((data(&nothing), &nothing["recovered"]), (vec![], &json!(true)));
    assert_eq!(nothing["next"], first["next"]);
    publish(&server, "chat:a", 1).await;
    assert_eq!(data(&read(&server, &path).await), [1]);
    assert_eq!(data(&read(&server, "/v1/topics/chat:a/messages?after=1").await), [2, 1]);
    let foreign = read(&server, "/v1/topics/chat:a/messages?after=00000000deadbeef:1").await;
    assert_eq!((data(&foreign), &foreign["recovered"]), (vec![1, 2, 1], &json!(false)));
}

#[tokio::test]
async fn messages_look_as_on_the_socket() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    let tags = json!({ "a": "b" });
    client
        .ok(json!({ "type": "publish", "topic": "ticker:a", "key": "k", "tags": tags, "b64": "AAE=" }))
        .await;
    client.publish_key("ticker:a", "l", json!({ "bid": 1.50 })).await;
    let mut socket = client.ok(json!({ "type": "history", "topic": "ticker:a" })).await;
    let mut http = read(&server, "/v1/topics/ticker%3Aa/messages").await;
    for extra in ["type", "id"] {
        socket.as_object_mut().unwrap().remove(extra);
    }
    assert!(http.as_object_mut().unwrap().remove("next").is_some());
    assert_eq!(http, socket);
    assert_eq!(http["messages"][0]["b64"], "AAE=");
}

#[tokio::test]
async fn presence_looks_as_on_the_socket() {
    let server = Server::start("[[rule]]\npattern = 'quiet:*'\npresence = false");
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:a").await;
    let expected = json!({
        "topic": "chat:a", "members": [{ "client": client.id() }], "clients": 1, "users": 0
    });
    assert_eq!(read(&server, "/v1/topics/chat:a/presence").await, expected);
    let nobody = read(&server, "/v1/topics/chat:b/presence").await;
    assert_eq!((&nobody["members"], &nobody["clients"]), (&json!([]), &json!(0)));
    let off = get(server.address, "/v1/topics/quiet:a/presence").await;
    assert_eq!((off.status, &off.json()["code"]), (409, &json!("presence_off")));
}

#[tokio::test]
async fn a_topic_tells_what_it_is() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    let subscribed = client.subscribe("chat:a").await;
    publish(&server, "chat:a", 3).await;
    let expected = json!({
        "topic": "chat:a", "kind": "log", "durable": false, "epoch": subscribed["epoch"], "offset": 3, "subscribers": 1,
        "clients": 1, "users": 0, "messages": 3,
        "retention": { "count": 1000, "age_s": 600, "bytes": 4_194_304 }
    });
    assert_eq!(read(&server, "/v1/topics/chat:a").await, expected);
    let unused = read(&server, "/v1/topics/ticker:x").await;
    assert_eq!((&unused["kind"], &unused["epoch"]), (&json!("latest"), &Value::Null));
    assert_eq!(unused["retention"], json!({ "max_keys": 10_000 }));
    assert_eq!(read(&server, "/v1/topics/game:x").await["kind"], "volatile");
    assert_eq!(read(&server, "/v1/topics").await, json!({ "topics": [expected] }), "reading makes no topic");
}

#[tokio::test]
async fn topics_are_listed_by_pattern_in_pages() {
    let server = Server::development();
    for n in 0..25 {
        publish(&server, &format!("chat:{n:02}"), 1).await;
    }
    publish(&server, "feed:ä b", 1).await;
    let names = |page: &Value| -> Vec<String> {
        page["topics"].as_array().unwrap().iter().map(|t| t["topic"].as_str().unwrap().into()).collect()
    };
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = read(&server, &format!("/v1/topics?match=chat:*&limit=10{cursor}")).await;
        seen.extend(names(&page));
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={}", next.replace(':', "%3A"));
    }
    assert_eq!(seen, (0..25).map(|n| format!("chat:{n:02}")).collect::<Vec<_>>());
    assert_eq!(names(&read(&server, "/v1/topics?match=feed:**").await), ["feed:ä b"]);
    assert_eq!(names(&read(&server, "/v1/topics?match=feed:%C3%A4+b").await), ["feed:ä b"]);
    assert_eq!(read(&server, "/v1/topics?match=none:*").await, json!({ "topics": [] }));
    assert_eq!(names(&read(&server, "/v1/topics").await).len(), 26);
}

#[tokio::test]
async fn a_reader_sees_only_what_it_may() {
    let server = Server::start(&format!("auth_hmac_secret = '{SECRET}'"));
    let all = mint(SECRET, &json!({ "sub": "root" }));
    let mut client = Connect::to(&server).token(&all).open().await;
    for topic in ["chat:a", "log:a"] {
        client.subscribe(topic).await;
    }
    let token = mint(SECRET, &json!({ "subscribe": ["chat:*"], "publish": [] }));
    let ask = async |path: &str| {
        request(server.address, &format!("GET {path} HTTP/1.1\r\nAuthorization: Bearer {token}\r\n"), b"")
            .await
    };
    let list = ask("/v1/topics").await.json();
    assert_eq!(list["topics"].as_array().unwrap().len(), 1, "{list}");
    for rest in ["", "/messages", "/presence"] {
        let answer = ask(&format!("/v1/topics/log:a{rest}")).await;
        assert_eq!((answer.status, &answer.json()["code"]), (403, &json!("forbidden")), "{rest}");
        assert_eq!(ask(&format!("/v1/topics/chat:a{rest}")).await.status, 200, "{rest}");
        let stranger = get(server.address, &format!("/v1/topics/chat:a{rest}")).await;
        assert_eq!((stranger.status, &stranger.json()["code"]), (401, &json!("unauthorized")), "{rest}");
    }
}

#[tokio::test]
async fn wrong_questions_are_answered() {
    let server = Server::development();
    for (path, code) in [
        ("/v1/topics?match=a**", "bad_request"),
        ("/v1/topics?limit=0", "bad_request"),
        ("/v1/topics?limit=x", "bad_request"),
        ("/v1/topics?cursor=*", "bad_topic"),
        ("/v1/topics?page=2", "bad_request"),
        ("/v1/topics/*", "bad_topic"),
        ("/v1/topics/a/messages?after=x", "bad_request"),
        ("/v1/topics/a/messages?after=1:2:3", "bad_request"),
        ("/v1/topics/a/messages?after=-1", "bad_request"),
        ("/v1/topics/a/messages?reverse=maybe", "bad_request"),
        ("/v1/topics/a/messages?limit=-1", "bad_request"),
        ("/v1/topics/a/presence?x", "bad_request"),
    ] {
        let answer = get(server.address, path).await;
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!(code)), "{path}");
    }
    assert_eq!(get(server.address, "/v1/topics?limit=999999999999999999").await.status, 200);
}

/// Lists everything there is, so many times at once.
async fn list_at_once(server: &Server, user: &str, times: usize) -> Vec<Answer> {
    let token = mint(SECRET, &json!({ "sub": user }));
    let head = format!("GET /v1/topics?limit=1000 HTTP/1.1\r\nAuthorization: Bearer {token}\r\n");
    futures_util::future::join_all((0..times).map(|_| request(server.address, &head, b""))).await
}

#[tokio::test]
async fn one_caller_lists_for_themself_and_others_have_their_turn() {
    let config = format!("auth_hmac_secret = \"{SECRET}\"\nmax_topics_per_owner = 20000\n");
    let server = Launch::default().config(&config).start();
    let bearer = format!("Authorization: Bearer {}\r\n", mint(SECRET, &json!({ "sub": "alice" })));
    for batch in 0..20 {
        let message = |n| json!({ "topic": format!("t:{batch}:{n}"), "data": n });
        let body = json!({ "messages": (0..1_000).map(message).collect::<Vec<_>>() }).to_string();
        assert_eq!(post(server.address, "/v1/publish", &bearer, body.as_bytes()).await.status, 200);
    }
    let one = async {
        for _ in 0..3 {
            let answers = list_at_once(&server, "alice", 8).await;
            assert!(answers.iter().all(|answer| answer.status == 200), "one caller's own share");
        }
    };
    let other = async {
        for _ in 0..6 {
            assert_eq!(list_at_once(&server, "bob", 1).await[0].status, 200);
        }
    };
    tokio::join!(one, other);
    let refused = eventually(async || {
        let many = list_at_once(&server, "alice", 24).await;
        let refused: Vec<_> = many.into_iter().filter(|answer| answer.status != 200).collect();
        assert!(refused.len() <= 16, "{}", refused.len());
        (!refused.is_empty()).then_some(refused)
    })
    .await;
    for answer in refused {
        let problem = answer.json();
        assert_eq!((answer.status, &problem["code"]), (503, &json!("overloaded")));
        assert!(problem["detail"].as_str().unwrap().contains("one caller's share"), "{problem}");
        assert!(answer.header("retry-after").is_some());
    }
}

#[tokio::test]
async fn slashes_at_the_end_of_addresses_mean_nothing() {
    let server = Server::development();
    publish(&server, "chat:a", 1).await;
    for path in [
        "/v1/topics",
        "/v1/topics?limit=1",
        "/v1/topics/chat:a",
        "/v1/topics/chat:a/messages?limit=1",
        "/v1/topics/chat:a/presence",
        "/v1/connections",
        "/v1/stats",
        "/v1/config",
        "/v1/deliveries",
        "/v1/openapi.json",
        "/healthz",
        "/readyz",
        "/metrics",
        "/docs/errors",
    ] {
        let slashed = match path.split_once('?') {
            Some((path, query)) => format!("{path}/?{query}"),
            None => format!("{path}/"),
        };
        let (plain, slashed) = (get(server.address, path).await, get(server.address, &slashed).await);
        assert_eq!((plain.status, slashed.status), (200, 200), "{path}: {}", slashed.body);
        if path.starts_with("/v1/topics") {
            assert_eq!(plain.body, slashed.body);
        }
    }
    let published = post(server.address, "/v1/topics/chat:a/messages/", "", b"2").await;
    assert_eq!((published.status, &published.json()["topic"]), (200, &json!("chat:a")));
    for path in ["/v1/publish/", "/v1/disconnect/"] {
        assert_eq!(post(server.address, path, "", b"{").await.json()["code"], "bad_request", "{path}");
    }
    let socket = "GET /ws/ HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                  Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nHost: x\r\n";
    assert_eq!(raw_request(server.address, socket, b"").await.status, 101);
    assert_eq!(get(server.address, "/nothing/").await.status, 404);
}

#[tokio::test]
async fn a_slash_in_a_name_may_come_decoded() {
    let server = Launch::default().config("[[rule]]\npattern = 'doc/a'\nkind = 'document'\n").start();
    for (number, path) in ["/v1/topics/a/b/messages", "/v1/topics/a%2Fb/messages"].into_iter().enumerate() {
        let published = post(server.address, path, "", b"1").await.json();
        assert_eq!(
            (&published["topic"], &published["offset"]),
            (&json!("a/b"), &json!(number + 1)),
            "{path}"
        );
    }
    for path in ["/v1/topics/a/b", "/v1/topics/a%2Fb", "/v1/topics/a/b/presence", "/v1/topics/a%2fb/messages"]
    {
        assert_eq!(read(&server, path).await["topic"], "a/b", "{path}");
    }
    // What ends like an address is one, unless it is escaped.
    assert_eq!(read(&server, "/v1/topics/a/messages").await["topic"], "a");
    assert_eq!(read(&server, "/v1/topics/a%2Fmessages").await["topic"], "a/messages");
    assert_eq!(get(server.address, "/v1/topics//messages").await.json()["code"], "bad_topic");
    let put = |path: &str| {
        format!("PUT {path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 12\r\n")
    };
    for path in ["/v1/documents/doc/a", "/v1/documents/doc%2Fa/"] {
        let written = request(server.address, &put(path), b"{\"text\":\"x\"}").await;
        assert_eq!((written.status, &written.json()["topic"]), (200, &json!("doc/a")), "{}", written.body);
    }
    let kept = post(server.address, "/v1/documents/doc/a/versions", "", b"{\"name\":\"v\"}").await;
    assert_eq!(kept.status, 201, "{}", kept.body);
    let version = kept.json()["version"].as_u64().unwrap();
    let back = format!("{{\"version\":{version}}}");
    let restored = post(server.address, "/v1/documents/doc/a/restore", "", back.as_bytes()).await;
    assert_eq!((restored.status, &restored.json()["topic"]), (200, &json!("doc/a")), "{}", restored.body);
    let path = format!("DELETE /v1/documents/doc/a/versions/{version} HTTP/1.1\r\n");
    assert_eq!(request(server.address, &path, b"").await.status, 204);
    assert_eq!(read(&server, "/v1/documents/doc%2Fa/versions/").await["versions"], json!([]));
}
