//! Durable topics: what was acknowledged is there after the broker was killed, in its order and at its place.

use std::{fs, process::Command};

use serde_json::{Value, json};

use crate::support::{
    Client, Connect, Encoding, Launch, Scratch, Server, eventually, missing, post, request,
};

const RULES: &str = "[[rule]]\npattern = 'safe:**'\ndurable = true\n\
    [[rule]]\npattern = 'early:**'\ndurable = true\ndeliver = 'accepted'\n\
    [[rule]]\npattern = 'short:**'\ndurable = true\nhistory_count = 3\n\
    [[rule]]\npattern = 'price:**'\nkind = 'latest'\ndurable = true\n";

/// A data directory and the brokers that follow each other on it.
struct Place {
    data: Scratch,
}

impl Place {
    fn new() -> Self {
        Self { data: Scratch::new() }
    }

    fn launch(&self) -> Launch {
        let path = self.data.path().join("data");
        Launch::default().config(RULES).flag("--data-dir", path.to_str().unwrap())
    }

    fn start(&self) -> Server {
        self.launch().start()
    }

    /// The next broker after this one was ended by a signal.
    async fn restart(&self, mut server: Server, signal: &str) -> Server {
        server.signal(signal);
        server.exit().await;
        self.start()
    }
}

fn offset(reply: &Value) -> u64 {
    reply["offset"].as_u64().unwrap()
}

#[tokio::test]
async fn what_was_acknowledged_survives_being_killed() {
    let place = Place::new();
    let mut server = place.start();
    let mut known: Vec<Value> = Vec::new();
    for round in 0..3 {
        for encoding in Encoding::BOTH {
            let mut client = Connect::to(&server).encoding(encoding).open().await;
            known.push(client.publish("safe:a", format!("socket {round}")).await);
        }
        let path = "/v1/topics/safe:a/messages?ack=durable";
        let answer = post(server.address, path, "", format!("\"http {round}\"").as_bytes()).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        known.push(answer.json());
        server = place.restart(server, "KILL").await;
        let mut client = Client::connect(&server).await;
        let reply = client.resume("safe:a", &known[0]["epoch"], &known[0]["offset"]).await;
        assert_eq!(reply["recovered"], true);
        assert_eq!(reply["offset"], known[known.len() - 1]["offset"]);
        for place in &known[1..] {
            let message = client.expect("message").await;
            assert_eq!(message["offset"], place["offset"]);
        }
        client.expect_nothing().await;
    }
    assert!(known.iter().all(|place| place["epoch"] == known[0]["epoch"]), "{known:?}");
    assert!(known.windows(2).all(|pair| offset(&pair[0]) < offset(&pair[1])), "{known:?}");
}

#[tokio::test]
async fn a_restart_in_order_leaves_no_hole_in_the_offsets() {
    let place = Place::new();
    let server = place.start();
    let mut client = Client::connect(&server).await;
    let first = client.publish("safe:a", 1).await;
    let server = place.restart(server, "TERM").await;
    let mut client = Client::connect(&server).await;
    let second = client.publish("safe:a", 2).await;
    assert_eq!((&second["epoch"], offset(&second)), (&first["epoch"], offset(&first) + 1));
}

#[tokio::test]
async fn subscribing_writes_nothing() {
    let place = Place::new();
    let server = place.start();
    let mut client = Client::connect(&server).await;
    let before = client.subscribe("safe:quiet-0").await;
    for n in 1..50 {
        client.subscribe(&format!("safe:quiet-{n}")).await;
    }
    // If the others had been written, it would have been before this.
    client.publish("safe:other", 1).await;
    let server = place.restart(server, "KILL").await;
    let page = crate::support::get(server.address, "/v1/topics?match=safe:**").await.json();
    let names: Vec<_> = page["topics"].as_array().unwrap().iter().map(|topic| &topic["topic"]).collect();
    assert_eq!(names, [&json!("safe:other")]);
    let mut client = Client::connect(&server).await;
    let after = client.resume("safe:quiet-0", &before["epoch"], &before["offset"]).await;
    assert_eq!(after["recovered"], false, "{after}");
    assert_ne!(after["epoch"], before["epoch"]);
}

#[tokio::test]
async fn offsets_are_not_used_again_after_a_crash() {
    let place = Place::new();
    let mut server = place.start();
    let mut client = Client::connect(&server).await;
    // From the first message that is durable on, the topic keeps its epoch; how much of what follows is durable when the
    // broker is killed is up to the disk.
    let first = client.publish("safe:a", 0).await;
    let mut highest = offset(&first);
    for _ in 0..4 {
        for n in 0..20 {
            let publish = json!({ "type": "publish", "topic": "safe:a", "data": n, "ack": "accepted" });
            let reply = client.ok(publish).await;
            assert_eq!(reply["epoch"], first["epoch"]);
            assert!(offset(&reply) > highest, "{reply} after {highest}");
            highest = offset(&reply);
        }
        server = place.restart(server, "KILL").await;
        client = Client::connect(&server).await;
    }
}

#[tokio::test]
async fn a_topic_of_which_nothing_became_durable_begins_again_in_another_epoch() {
    let place = Place::new();
    // No commit begins before the broker is killed.
    let mut server = place.launch().flag("--commit-delay-ms", "600000").start();
    let mut client = Client::connect(&server).await;
    let publish = json!({ "type": "publish", "topic": "safe:a", "data": 1, "ack": "accepted" });
    let mut lost = Value::Null;
    for _ in 0..20 {
        lost = client.ok(publish.clone()).await;
    }
    server.signal("KILL");
    server.exit().await;
    let server = place.start();
    let mut client = Client::connect(&server).await;
    let reply = client.resume("safe:a", &lost["epoch"], &lost["offset"]).await;
    assert_eq!(reply["recovered"], false, "{reply}");
    assert_ne!(reply["epoch"], lost["epoch"]);
    let kept = client.publish("safe:a", 2).await;
    assert_eq!(kept["epoch"], reply["epoch"]);
}

#[tokio::test]
async fn subscribers_who_may_have_seen_too_much_get_another_epoch() {
    let place = Place::new();
    let server = place.start();
    let mut client = Client::connect(&server).await;
    let before = client.publish("early:a", 1).await;
    let server = place.restart(server, "TERM").await;
    let mut client = Client::connect(&server).await;
    let same = client.resume("early:a", &before["epoch"], &before["offset"]).await;
    assert_eq!(same["recovered"], true);
    let server = place.restart(server, "KILL").await;
    let mut client = Client::connect(&server).await;
    let other = client.resume("early:a", &before["epoch"], &before["offset"]).await;
    assert_eq!(other["recovered"], false);
    assert_ne!(other["epoch"], before["epoch"]);
    let history = client.ok(json!({ "type": "history", "topic": "early:a" })).await;
    assert_eq!(history["messages"][0]["data"], 1);
}

#[tokio::test]
async fn a_repeated_message_is_recognised_after_a_crash() {
    let place = Place::new();
    let server = place.start();
    let publish = json!({ "type": "publish", "topic": "safe:a", "data": 1, "message_id": "order-7" });
    let mut client = Client::connect(&server).await;
    let first = client.ok(publish.clone()).await;
    let server = place.restart(server, "KILL").await;
    let mut client = Client::connect(&server).await;
    let again = client.ok(publish).await;
    assert_eq!((&again["duplicate"], &again["offset"]), (&json!(true), &first["offset"]));
}

#[tokio::test]
async fn a_repeated_request_is_answered_after_a_crash() {
    let place = Place::new();
    let server = place.start();
    let path = "/v1/publish";
    let body = br#"{"messages":[{"topic":"safe:a","data":1},{"topic":"safe:b","data":2}]}"#;
    let key = "Idempotency-Key: k-1\r\n";
    let first = post(server.address, path, key, body).await;
    assert_eq!(first.status, 200, "{}", first.body);
    let server = place.restart(server, "KILL").await;
    let again = post(server.address, path, key, body).await;
    assert_eq!(again.status, 200, "{}", again.body);
    for index in 0..2 {
        let (first, again) = (first.json(), again.json());
        let (first, again) = (&first["results"][index], &again["results"][index]);
        assert_eq!((&first["id"], &first["topic"]), (&again["id"], &again["topic"]));
    }
    let server = place.restart(server, "TERM").await;
    let known = post(server.address, path, key, body).await;
    assert_eq!(known.header("idempotency-replayed"), Some("true"));
    assert_eq!(known.body, again.body);
}

#[tokio::test]
async fn newest_values_survive() {
    let place = Place::new();
    let server = place.start();
    let mut client = Client::connect(&server).await;
    for n in 1..=50 {
        client.publish_key("price:a", &format!("k{}", n % 3), n).await;
    }
    let last = client.publish("price:a", 51).await;
    let server = place.restart(server, "KILL").await;
    let mut client = Client::connect(&server).await;
    let reply = client.subscribe("price:a").await;
    assert_eq!((&reply["epoch"], &reply["offset"]), (&last["epoch"], &last["offset"]));
    for n in [48, 49, 50, 51] {
        assert_eq!(client.data().await, n);
    }
    client.expect_nothing().await;
}

#[tokio::test]
async fn retention_outlives_restarts() {
    let place = Place::new();
    let mut server = place.start();
    let mut all = Vec::new();
    for round in 0..3 {
        let mut client = Client::connect(&server).await;
        for n in 0..4 {
            all.push(client.publish("short:a", round * 4 + n).await);
        }
        server = place.restart(server, if round == 1 { "KILL" } else { "TERM" }).await;
        let mut client = Client::connect(&server).await;
        let history = client.ok(json!({ "type": "history", "topic": "short:a" })).await;
        let data: Vec<_> = history["messages"].as_array().unwrap().iter().map(|m| &m["data"]).collect();
        assert_eq!(data, [&json!(round * 4 + 1), &json!(round * 4 + 2), &json!(round * 4 + 3)]);
        let too_old = client.resume("short:a", &all[0]["epoch"], &json!(0)).await;
        assert_eq!(too_old["recovered"], false);
    }
}

#[tokio::test]
async fn topics_on_the_disk_are_listed() {
    let place = Place::new();
    let server = place.start();
    let mut client = Client::connect(&server).await;
    for name in ["safe:a", "safe:c", "safe:b", "chat:gone"] {
        client.publish(name, 1).await;
    }
    let server = place.restart(server, "KILL").await;
    let page = crate::support::get(server.address, "/v1/topics?limit=2").await.json();
    let names: Vec<_> = page["topics"].as_array().unwrap().iter().map(|topic| &topic["topic"]).collect();
    assert_eq!(names, [&json!("safe:a"), &json!("safe:b")]);
    assert_eq!(page["topics"][0]["durable"], true);
    let path = format!("/v1/topics?limit=2&cursor={}", page["next"].as_str().unwrap());
    let page = crate::support::get(server.address, &path).await.json();
    assert_eq!((&page["topics"][0]["topic"], &page["topics"][1]), (&json!("safe:c"), &Value::Null));
}

#[tokio::test]
async fn only_durable_topics_acknowledge_so() {
    let place = Place::new();
    let server = place.start();
    let mut client = Client::connect(&server).await;
    let publish =
        |topic: &str, ack: &str| json!({ "type": "publish", "topic": topic, "data": 1, "ack": ack });
    client.ok(publish("safe:a", "durable")).await;
    client.ok(publish("safe:a", "accepted")).await;
    client.ok(publish("chat:a", "accepted")).await;
    assert_eq!(client.error(publish("chat:a", "durable")).await, "not_durable");
    assert_eq!(client.error(publish("chat:a", "none")).await, "bad_request");
    let refused = post(server.address, "/v1/topics/chat:a/messages?ack=durable", "", b"1").await;
    assert_eq!((refused.status, &refused.json()["code"]), (409, &json!("not_durable")));
    let none = post(server.address, "/v1/topics/safe:a/messages?ack=none", "", b"1").await;
    assert_eq!(none.status, 202);
}

#[tokio::test]
async fn a_stream_of_lines_is_as_safe_as_its_topics() {
    let place = Place::new();
    let server = place.start();
    let lines: String = (0..300).map(|n| format!("{{\"topic\":\"safe:a\",\"data\":{n}}}\n")).collect();
    let head = format!("POST /v1/publish/stream HTTP/1.1\r\nContent-Length: {}\r\n", lines.len());
    let reports = request(server.address, &head, lines.as_bytes()).await;
    assert_eq!(reports.body.lines().filter(|line| line.contains("\"offset\":")).count(), 300);
    let server = place.restart(server, "KILL").await;
    let mut client = Client::connect(&server).await;
    client.ok(json!({ "type": "subscribe", "topic": "safe:a", "last": 300 })).await;
    for n in 0..300 {
        assert_eq!(client.data().await, n);
    }
}

#[tokio::test]
async fn a_directory_belongs_to_one_broker() {
    let place = Place::new();
    let _server = place.start();
    let (ok, _, error) = place.launch().run("serve");
    assert!(!ok && error.contains("in use by another process"), "{error}");
}

#[tokio::test]
async fn a_full_disk_refuses_what_must_be_kept_and_nothing_else() {
    let place = Place::new();
    fs::create_dir_all(place.data.path()).unwrap();
    let disk = rustix::fs::statvfs(place.data.path()).unwrap();
    let free = disk.f_bavail * disk.f_frsize;
    let reserve = (free / 2).to_string();
    let server = place.launch().flag("--disk-reserve-bytes", &reserve).start();
    let mut client = Client::connect(&server).await;
    let first = client.publish("safe:a", 1).await;
    let hog = place.data.path().join("hog");
    let size = (free / 4 * 3).to_string();
    let taken = Command::new("fallocate").args(["-l", &size]).arg(&hog).status().unwrap();
    if !taken.success() {
        return missing(&format!("a file system that can reserve {size} bytes at once"));
    }
    // The first one finds out; from then on they are refused before they get a number.
    let publish = json!({ "type": "publish", "topic": "safe:a", "data": 2, "message_id": "m" });
    eventually(async || (client.call(publish.clone()).await["code"] == "storage_full").then_some(())).await;
    let http = post(server.address, "/v1/topics/safe:a/messages", "", b"3").await;
    assert_eq!((http.status, &http.json()["code"]), (507, &json!("storage_full")));
    assert!(http.header("retry-after").is_some());
    client.publish("chat:a", 1).await;
    let history = client.ok(json!({ "type": "history", "topic": "safe:a" })).await;
    assert_eq!(history["messages"].as_array().unwrap().len(), 1);
    fs::remove_file(&hog).unwrap();
    let again = eventually(async || {
        let reply = client.call(publish.clone()).await;
        (reply["type"] == "ok").then_some(reply)
    })
    .await;
    assert!(offset(&again) > offset(&first));
    let server = place.restart(server, "KILL").await;
    let mut client = Client::connect(&server).await;
    client.ok(json!({ "type": "subscribe", "topic": "safe:a", "last": 10 })).await;
    assert_eq!((client.data().await, client.data().await), (json!(1), json!(2)));
    client.expect_nothing().await;
}

#[tokio::test]
async fn thousands_that_come_back_at_once_are_served() {
    let place = Place::new();
    let server = place.start();
    let mut writer = Client::connect(&server).await;
    let mut first = Vec::new();
    for topic in 0..50 {
        first.push(writer.publish(&format!("safe:{topic}"), 0).await);
        for n in 1..=20 {
            let publish = json!({ "type": "publish", "topic": format!("safe:{topic}"), "data": n });
            writer.send(&publish).await;
        }
        writer.publish(&format!("safe:{topic}"), 21).await;
    }
    let server = place.restart(server, "KILL").await;
    let mut clients = Vec::new();
    for number in 0..500 {
        let mut client = Client::connect(&server).await;
        let place = &first[number % 50];
        let since = json!({ "epoch": place["epoch"], "offset": place["offset"] });
        let topic = format!("safe:{}", number % 50);
        client.send(&json!({ "type": "subscribe", "id": 1, "topic": topic, "since": since })).await;
        clients.push(client);
    }
    for mut client in clients {
        assert_eq!(client.reply(1).await["recovered"], true);
        for n in 1..=21 {
            assert_eq!(client.data().await, n);
        }
    }
}

#[tokio::test]
async fn a_full_disk_does_not_keep_a_broker_from_starting() {
    let place = Place::new();
    let server = place.start();
    let mut client = Client::connect(&server).await;
    let first = client.publish("safe:a", 1).await;
    drop(server);
    let server = place.launch().flag("--disk-reserve-bytes", "9000000000000000").start();
    let mut client = Client::connect(&server).await;
    let history = client.ok(json!({ "type": "history", "topic": "safe:a" })).await;
    assert_eq!(history["messages"][0]["data"], 1);
    let publish = json!({ "type": "publish", "topic": "safe:a", "data": 2 });
    assert_eq!(client.error(publish).await, "storage_full");
    client.publish("chat:a", 1).await;
    let server = place.restart(server, "TERM").await;
    let mut client = Client::connect(&server).await;
    let second = client.publish("safe:a", 2).await;
    assert_eq!(second["epoch"], first["epoch"]);
}

#[tokio::test]
async fn a_topic_kept_as_another_kind_is_left_alone() {
    let place = Place::new();
    let server = place.start();
    let mut client = Client::connect(&server).await;
    let first = client.publish("safe:a", 1).await;
    client.publish("safe:b", 1).await;
    drop(server);
    for kind in ["latest", "document"] {
        let rules = format!("[[rule]]\npattern = 'safe:a'\nkind = '{kind}'\ndurable = true\n{RULES}");
        let server = place.launch().config(&rules).start();
        let mut client = Client::connect(&server).await;
        assert_eq!(client.error(json!({ "type": "subscribe", "topic": "safe:a" })).await, "wrong_kind");
        let publish = json!({ "type": "publish", "topic": "safe:a", "b64": "AAA=" });
        assert_eq!(client.error(publish).await, "wrong_kind");
        let page = crate::support::get(server.address, "/v1/topics").await.json();
        assert_eq!(page["topics"][0]["topic"], "safe:b", "{page}");
    }
    let server = place.start();
    let mut client = Client::connect(&server).await;
    let reply = client.resume("safe:a", &first["epoch"], &json!(0)).await;
    assert_eq!((&reply["recovered"], client.data().await), (&json!(true), json!(1)));
}

#[tokio::test]
async fn what_the_rules_leave_on_the_disk_is_named() {
    let place = Place::new();
    let server = place.start();
    Client::connect(&server).await.publish("safe:a", 1).await;
    drop(server);
    let server = place.launch().config("").start();
    eventually(async || server.output().contains("topics on the disk are not served").then_some(())).await;
    assert!(server.output().contains("safe:a"));
}

#[tokio::test]
async fn a_topic_that_a_reload_makes_durable_says_that_it_is_not_yet() {
    let place = Place::new();
    let server = place.start();
    let mut client = Client::connect(&server).await;
    client.subscribe("late:a").await;
    let state = async || crate::support::get(server.address, "/v1/topics/late:a").await.json();
    let before = state().await;
    assert_eq!((&before["durable"], before.get("pending")), (&json!(false), None));
    server.write_config(&format!("{RULES}[[rule]]\npattern = 'late:*'\ndurable = true\n"));
    server.signal("HUP");
    let pending = eventually(async || state().await.get("pending").cloned()).await;
    assert_eq!(pending, json!({ "durable": true }));
    eventually(async || server.output().contains("late:a").then_some(())).await;
    // One that nobody has used yet is what its rule says.
    let other = crate::support::get(server.address, "/v1/topics/late:b").await.json();
    assert_eq!((&other["durable"], other.get("pending")), (&json!(true), None));
}
