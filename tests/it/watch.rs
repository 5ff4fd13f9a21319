//! What the broker tells those who look after it: figures that are true, and only for admins.

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use crate::support::{Client, EventStream, Launch, Server, eventually, get, post, request};

const SECRET: &str = "a secret for these tests, long enough";
const ADMIN: &str = "fwk_admin_of_these_tests";
const WRITER: &str = "fwk_writer_of_these_tests";

/// Everything that takes an admin; the first three are answered at once.
const PATHS: [&str; 5] =
    ["/v1/stats", "/v1/connections", "/v1/config", "/v1/stats/stream", "/v1/tap?match=chat:**"];

fn config(admin: bool) -> String {
    let hash = |key: &str| HEXLOWER.encode(digest(&SHA256, key.as_bytes()).as_ref());
    format!(
        "auth_hmac_secret = \"{SECRET}\"\n\
         [[key]]\nname = \"admin\"\nhash = \"sha256:{}\"\npublish = [\"**\"]\nsubscribe = [\"**\"]\nadmin = {admin}\n\
         [[key]]\nname = \"writer\"\nhash = \"sha256:{}\"\npublish = [\"chat:**\"]\n",
        hash(ADMIN),
        hash(WRITER)
    )
}

fn bearer(key: &str) -> String {
    format!("Authorization: Bearer {key}\r\n")
}

async fn get_as(server: &Server, key: &str, path: &str) -> (u16, Value) {
    let answer = request(server.address, &format!("GET {path} HTTP/1.1\r\n{}", bearer(key)), b"").await;
    (answer.status, answer.json())
}

#[tokio::test]
async fn only_admins_may_watch() {
    let server = Server::start(&config(true));
    for path in PATHS {
        let nobody = get(server.address, path).await;
        assert_eq!((nobody.status, &nobody.json()["code"]), (401, &json!("unauthorized")), "{path}");
        let writer = get_as(&server, WRITER, path).await;
        assert_eq!((writer.0, &writer.1["code"]), (403, &json!("forbidden")), "{path}");
    }
    for path in &PATHS[..3] {
        assert_eq!(get_as(&server, ADMIN, path).await.0, 200, "{path}");
    }
    for path in &PATHS[3..] {
        let stream = EventStream::open(&server, path, &bearer(ADMIN)).await;
        assert!(stream.head.starts_with("http/1.1 200"), "{path}: {}", stream.head);
        assert!(stream.head.contains("content-type: text/event-stream"), "{}", stream.head);
    }
    assert_eq!(get_as(&server, ADMIN, "/v1/stats").await.1["open"], false);
}

#[tokio::test]
async fn the_configuration_is_shown_without_its_secrets() {
    let server = Server::start(&config(true));
    let (_, shown) = get_as(&server, ADMIN, "/v1/config").await;
    assert_eq!(shown["auth_hmac_secret"], "(hidden)");
    assert_eq!(shown["key"][1]["name"], "writer");
    assert_eq!(shown["default"]["history_count"], 1000);
    assert!(!shown.to_string().contains(SECRET));
    server.write_config(&format!("max_topics = 77\n{}", config(true)));
    server.signal("HUP");
    eventually(async || (get_as(&server, ADMIN, "/v1/config").await.1["max_topics"] == 77).then_some(()))
        .await;
}

#[tokio::test]
async fn who_is_no_admin_any_more_stops_watching() {
    let server = Server::start(&config(true));
    let mut figures = EventStream::open(&server, "/v1/stats/stream", &bearer(ADMIN)).await;
    let mut tap = EventStream::open(&server, "/v1/tap", &bearer(ADMIN)).await;
    figures.named("stats").await;
    tap.named("open").await;
    server.write_config(&config(false));
    server.signal("HUP");
    assert_eq!(tap.named("failure").await["code"], "forbidden");
    assert!(tap.next().await.is_none());
    loop {
        match figures.next().await.unwrap() {
            (name, _) if name == "stats" => {}
            (_, failure) => break assert_eq!(failure["code"], "forbidden"),
        }
    }
    assert!(figures.next().await.is_none());
}

#[tokio::test]
async fn counts_are_those_of_the_traffic() {
    let server = Server::development();
    let (mut one, mut two) = (Client::connect(&server).await, Client::connect(&server).await);
    one.subscribe("chat:a").await;
    two.subscribe("chat:a").await;
    for number in 0..7 {
        one.publish("chat:a", number).await;
    }
    for _ in 0..7 {
        assert_eq!(
            (one.expect("message").await["topic"].as_str(), two.expect("message").await["topic"].as_str()),
            (Some("chat:a"), Some("chat:a"))
        );
    }
    let stats = eventually(async || {
        let stats = get(server.address, "/v1/stats").await.json();
        (stats["counts"]["deliveries"] == 14).then_some(stats)
    })
    .await;
    assert_eq!(stats["counts"]["messages_published"], 7);
    assert_eq!((&stats["connection_count"], &stats["topic_count"]), (&json!(2), &json!(1)));
    assert_eq!((&stats["open"], &stats["draining"]), (&json!(true), &json!(false)));
    assert!(stats["process"]["cpu_s"].as_f64().unwrap() > 0.0);
    assert!(stats["process"]["resident_bytes"].as_u64().unwrap() > 1_000_000);
}

/// Publishes numbers to a topic in one request.
async fn publish_many(server: &Server, topic: &str, count: usize) {
    let messages: Vec<Value> = (0..count).map(|number| json!({ "topic": topic, "data": number })).collect();
    let body = json!({ "messages": messages }).to_string();
    let answer =
        post(server.address, "/v1/publish", "Content-Type: application/json\r\n", body.as_bytes()).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

/// What the rates of a stream add up to: messages to `chat:a`, messages, deliveries. `None` if a look was passed over, as a
/// reader that is held up for a second has to expect.
async fn added_up() -> Option<[f64; 3]> {
    let server = Server::development();
    let mut subscriber = Client::connect(&server).await;
    subscriber.subscribe("chat:a").await;
    let mut stream = EventStream::open(&server, "/v1/stats/stream?sort=rate", "").await;
    let first = stream.named("stats").await;
    assert_eq!((&first["rates"], &first["topics"][0]["rate"]), (&Value::Null, &Value::Null));
    let mut time_ms = first["time"].as_f64().unwrap();
    let mut sums = [0.0; 3];
    for round in 0..9 {
        if round < 3 {
            publish_many(&server, "chat:a", 200).await;
            publish_many(&server, "chat:b", 50).await;
        }
        let update = stream.named("stats").await;
        let seconds = update["seconds"].as_f64().unwrap();
        let apart_ms = update["time"].as_f64().unwrap() - time_ms;
        if apart_ms > 1_500.0 * seconds {
            return None;
        }
        time_ms += apart_ms;
        let row = update["topics"].as_array().unwrap().iter().find(|row| row["topic"] == "chat:a").unwrap();
        let rates = &update["rates"];
        let of_topic = row["rate"].as_f64().unwrap_or(0.0);
        let in_all = rates["messages_published"].as_f64().unwrap();
        let delivered = rates["deliveries"].as_f64().unwrap();
        for (sum, rate) in sums.iter_mut().zip([of_topic, in_all, delivered]) {
            *sum += rate * seconds;
        }
        if sums[0] > 599.0 && sums[1] > 749.0 && sums[2] > 599.0 {
            break;
        }
    }
    Some(sums)
}

#[tokio::test]
async fn rates_add_up_to_what_was_published() {
    for _ in 0..5 {
        let Some(sums) = added_up().await else { continue };
        let near = |(sum, count): (f64, f64)| (sum - count).abs() < 0.01;
        assert!(sums.into_iter().zip([600.0, 750.0, 600.0]).all(near), "{sums:?}");
        return;
    }
    panic!("every stream was held up");
}

#[tokio::test]
async fn topics_are_searched_and_put_in_order() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:quiet").await;
    for topic in ["chat:a", "chat:b", "ticker:x"] {
        publish_many(&server, topic, 1).await;
    }
    let names = async |query: &str| {
        let mut stream = EventStream::open(&server, &format!("/v1/stats/stream?{query}"), "").await;
        let update = stream.named("stats").await;
        let names =
            update["topics"].as_array().unwrap().iter().map(|row| row["topic"].as_str().unwrap().to_owned());
        (names.collect::<Vec<_>>(), update["matched"].as_u64().unwrap())
    };
    assert_eq!(names("sort=name").await.0, ["chat:a", "chat:b", "chat:quiet", "ticker:x"]);
    assert_eq!(names("sort=name&match=chat:*&limit=2").await, (vec!["chat:a".into(), "chat:b".into()], 3));
    assert_eq!(names("sort=subscribers&limit=1").await.0, ["chat:quiet"]);
    assert_eq!(names("search=ick").await.0, ["ticker:x"]);
    for wrong in ["sort=size", "limit=0", "match=a**b", "colour=red"] {
        let answer = get(server.address, &format!("/v1/stats/stream?{wrong}")).await;
        assert_eq!((answer.status, &answer.json()["code"]), (400, &json!("bad_request")), "{wrong}");
    }
}

#[tokio::test]
async fn watching_ends_with_the_broker() {
    let mut server = Launch::default().flag("--drain-ms", "5000").start();
    let mut figures = EventStream::open(&server, "/v1/stats/stream", "").await;
    let mut tap = EventStream::open(&server, "/v1/tap", "").await;
    figures.named("stats").await;
    tap.named("open").await;
    server.signal("TERM");
    assert_eq!(tap.named("failure").await["code"], "draining");
    loop {
        match figures.next().await.unwrap() {
            (name, _) if name == "stats" => {}
            (_, failure) => break assert_eq!(failure["code"], "draining"),
        }
    }
    assert!(server.exit().await.success());
    assert!(!server.output().contains("cut off"), "{}", server.output());
}

#[tokio::test]
async fn so_many_may_watch_and_no_more() {
    let server = Server::development();
    let mut streams = Vec::new();
    for _ in 0..32 {
        let stream = EventStream::open(&server, "/v1/tap", "").await;
        assert!(stream.head.starts_with("http/1.1 200"), "{}", stream.head);
        streams.push(stream);
    }
    let refused = get(server.address, "/v1/tap").await;
    assert_eq!((refused.status, &refused.json()["code"]), (503, &json!("overloaded")));
    assert!(refused.header("retry-after").is_some());
    drop(streams);
    eventually(async || {
        let again = EventStream::open(&server, "/v1/tap", "").await;
        again.head.starts_with("http/1.1 200").then_some(())
    })
    .await;
}
