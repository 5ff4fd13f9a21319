//! Reading over HTTP: topics, one topic, history in pages both ways, presence.

use serde_json::{Value, json};

use crate::support::{Client, Connect, Server, get, mint, post, request};

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
