//! The list of connections: who they are, how they keep up, all of them page by page.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{
    Client, Connect, Encoding, EventStream, Server, eventually, get, mint, request, seconds_from_now,
};

const SECRET: &str = "a secret for these tests, long enough";

async fn list(server: &Server, query: &str) -> Value {
    let answer = get(server.address, &format!("/v1/connections?{query}")).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

#[tokio::test]
async fn a_connection_says_who_it_is() {
    let configuration = format!(
        "auth_hmac_secret = \"{SECRET}\"\n[[key]]\nname = \"ops\"\nadmin = true\nhash = \"sha256:{}\"\n",
        data_encoding::HEXLOWER.encode(ring::digest::digest(&ring::digest::SHA256, b"fwk_ops").as_ref())
    );
    let server = Server::start(&configuration);
    let claims = json!({ "sub": "alice", "jti": "t-1", "exp": seconds_from_now(60) });
    let token = mint(SECRET, &claims);
    let mut alice = Connect::to(&server).token(&token).encoding(Encoding::MsgPack).open().await;
    alice.subscribe("chat:a").await;
    alice.subscribe("chat:b").await;
    let mut stream = EventStream::open(&server, &format!("/v1/events?topic=chat:a&token={token}"), "").await;
    stream.named("subscribed").await;
    let head = "GET /v1/connections?sort=subscriptions HTTP/1.1\r\nAuthorization: Bearer fwk_ops\r\n";
    let page = request(server.address, head, b"").await.json();
    assert_eq!((&page["count"], &page["matched"]), (&json!(2), &json!(2)));
    let [first, second] = page["connections"].as_array().unwrap().as_slice() else { panic!("{page}") };
    assert_eq!(first["client"], *alice.id());
    let says = |row: &Value| {
        ["user", "token", "door", "address", "format", "subscriptions"].map(|field| row[field].clone())
    };
    assert_eq!(
        says(first),
        [json!("alice"), json!("t-1"), json!("native"), json!("127.0.0.1"), json!("msgpack"), json!(2)]
    );
    assert_eq!(
        says(second),
        [json!("alice"), json!("t-1"), json!("sse"), json!("127.0.0.1"), json!("json"), json!(1)]
    );
    assert_eq!(first["topics"].as_array().unwrap().len(), 2);
    assert_eq!(second["topics"], json!(["chat:a"]));
    assert_eq!((&first["outbox_bytes"], &first["lagging"]), (&json!(0), &json!(false)));
    assert!(first["opened_ms"].as_i64().unwrap() / 1_000 >= seconds_from_now(-60));
}

#[tokio::test]
async fn connections_are_searched() {
    let server = Server::development();
    let mut one = Client::connect(&server).await;
    let two = Connect::to(&server).from("127.0.0.9").open().await;
    one.subscribe("chat:a").await;
    let only = async |query: &str| {
        let page = list(&server, query).await;
        assert_eq!(page["matched"], 1, "{query}: {page}");
        page["connections"][0]["client"].clone()
    };
    assert_eq!(only("topic=chat:a").await, *one.id());
    assert_eq!(only("search=127.0.0.9").await, *two.id());
    assert_eq!(only(&format!("search={}&sort=opened", one.id().as_str().unwrap())).await, *one.id());
    assert_eq!(list(&server, "topic=chat:nobody").await["connections"], json!([]));
    for wrong in ["sort=size", "limit=x", "cursor=1", "cursor=0.0&sort=opened", "topic=*", "x=1"] {
        let answer = get(server.address, &format!("/v1/connections?{wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}");
    }
}

#[tokio::test]
async fn pages_hold_every_connection_once() {
    let server = Server::start("shards = 3\n");
    let mut clients = Vec::new();
    for _ in 0..120 {
        clients.push(Client::connect(&server).await);
    }
    for limit in [1, 7, 40, 120, 500] {
        let (mut seen, mut cursor) = (BTreeSet::new(), None::<String>);
        loop {
            let after = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
            let page = list(&server, &format!("limit={limit}{after}")).await;
            let rows = page["connections"].as_array().unwrap();
            assert!(rows.len() <= limit);
            for row in rows {
                assert!(seen.insert(row["client"].as_str().unwrap().to_owned()), "twice");
            }
            match page["next"].as_str() {
                Some(next) => cursor = Some(next.into()),
                None => break,
            }
        }
        let all = clients.iter().map(|client| client.id().as_str().unwrap().to_owned());
        assert_eq!(seen, all.collect(), "limit {limit}");
    }
    let top = list(&server, "sort=opened&limit=5").await;
    assert_eq!((top["connections"].as_array().unwrap().len(), &top["matched"]), (5, &json!(120)));
}

#[tokio::test]
async fn a_ping_is_timed() {
    let server = Server::start("ping_s = 1\n");
    let mut client = Client::connect(&server).await;
    let mut stream = EventStream::open(&server, "/v1/events?topic=chat:a", "").await;
    stream.named("subscribed").await;
    // A client answers pings while it reads.
    let reading = tokio::spawn(async move { while client.next_or_end().await.is_ok() {} });
    let rows = eventually(async || {
        let page = list(&server, "sort=round_trip").await;
        let rows = page["connections"].as_array().unwrap().clone();
        rows[0]["round_trip_ms"].is_number().then_some(rows)
    })
    .await;
    let took = rows[0]["round_trip_ms"].as_f64().unwrap();
    assert!(took > 0.0 && took < 1_000.0, "{took}");
    assert_eq!(rows[0]["door"], "native");
    assert!(rows[1].get("round_trip_ms").is_none(), "a stream's client is not pinged: {}", rows[1]);
    reading.abort();
}

#[tokio::test]
async fn who_does_not_read_has_a_full_outbox() {
    let server = Server::start_patient("");
    let mut slow = Connect::to(&server).receive_buffer(8 * 1024).open().await;
    slow.subscribe("chat:a").await;
    let mut writer = Client::connect(&server).await;
    let text = "x".repeat(60_000);
    let row = eventually(async || {
        writer.publish("chat:a", text.as_str()).await;
        let page = list(&server, "sort=outbox&limit=1").await;
        let row = page["connections"][0].clone();
        (row["outbox_bytes"] != 0 && row["lagging"] == true).then_some(row)
    })
    .await;
    assert_eq!(row["client"], *slow.id());
}
