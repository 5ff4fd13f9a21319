//! What one client, user, key or address can make the broker keep leaves room for everybody else.

use serde_json::json;

use crate::support::{Client, Connect, Launch, Server, eventually, get, mint, post};

const SECRET: &str = "0123456789abcdef0123456789abcdef";

async fn as_user(server: &Server, user: &str) -> Client {
    Connect::to(server).token(&mint(SECRET, &json!({ "sub": user }))).open().await
}

/// Makes topics until one is refused, by turns publishing and subscribing; returns how many there were, and the refusal.
async fn make_topics(client: &mut Client, prefix: &str, most: u64) -> (u64, Option<serde_json::Value>) {
    for number in 0..most {
        let kind = if number % 2 == 0 { "publish" } else { "subscribe" };
        let topic = format!("{prefix}:{number}");
        let reply = client.call(json!({ "type": kind, "topic": topic, "data": 1 })).await;
        if reply["type"] != "ok" {
            return (number, Some(reply));
        }
    }
    (most, None)
}

#[tokio::test]
async fn one_user_cannot_use_up_all_topics() {
    let server = Server::start(&format!("max_topics = 1000\nauth_hmac_secret = '{SECRET}'"));
    let mut alice = as_user(&server, "alice").await;
    let (made, refusal) = make_topics(&mut alice, "a", 200).await;
    let refusal = refusal.unwrap();
    assert_eq!((made, &refusal["code"], &refusal["retry"]), (100, &json!("too_many_topics"), &json!(true)));
    assert!(refusal["message"].as_str().unwrap().contains("max_topics_per_owner"), "{refusal}");
    // It is the user's, whatever the connection; and nobody else's.
    let mut again = as_user(&server, "alice").await;
    assert_eq!(make_topics(&mut again, "b", 1).await.0, 0);
    let mut bob = as_user(&server, "bob").await;
    assert_eq!(make_topics(&mut bob, "c", 100).await.0, 100);
    // What there is can be used.
    again.publish("a:7", "known").await;
    again.publish("c:7", "somebody else's").await;
}

#[tokio::test]
async fn those_without_a_name_count_by_address() {
    let server = Server::start("max_topics = 50\nmax_topics_per_owner = 20");
    let mut here = Client::connect(&server).await;
    assert_eq!(make_topics(&mut here, "a", 30).await.0, 20);
    let mut there = Connect::to(&server).from("127.0.0.2").open().await;
    assert_eq!(make_topics(&mut there, "b", 20).await.0, 20);
    let mut third = Connect::to(&server).from("127.0.0.3").open().await;
    let (made, refusal) = make_topics(&mut third, "c", 20).await;
    assert_eq!(made, 10, "then all there may be are there");
    assert!(refusal.unwrap()["message"].as_str().unwrap().contains("50 topics already"));
}

#[tokio::test]
async fn a_source_whose_sender_chooses_the_topics_leaves_some_to_others() {
    let sources = |name| {
        format!(
            "[[source]]\nname = '{name}'\nprovider = 'unsigned'\nallow_unsigned = true\ntopic = '{name}:{{{{ body.n }}}}'\n"
        )
    };
    let config =
        format!("max_topics = 60\nmax_topics_per_owner = 20\n{}{}", sources("flood"), sources("quiet"));
    let server = Launch::default().config(&config).start();
    let send = async |source: &str, number: usize| {
        let body = json!({ "n": number.to_string() }).to_string();
        post(server.address, &format!("/in/{source}"), "Content-Type: application/json\r\n", body.as_bytes())
            .await
    };
    let topics_of = async |source: &str| {
        let page = get(server.address, &format!("/v1/topics?match={source}:*")).await.json();
        page["topics"].as_array().unwrap().len()
    };
    for number in 0..40 {
        assert_eq!(send("flood", number).await.status, 200, "kept, and published when there is a topic");
    }
    eventually(async || (topics_of("flood").await == 20).then_some(())).await;
    // Others are as they were: another source, and a client.
    assert_eq!(send("quiet", 1).await.status, 200);
    eventually(async || (topics_of("quiet").await == 1).then_some(())).await;
    let mut client = Client::connect(&server).await;
    assert_eq!(make_topics(&mut client, "c", 20).await.0, 20);
    assert_eq!(topics_of("flood").await, 20);
}

#[tokio::test]
async fn a_message_id_belongs_to_whoever_used_it() {
    let server = Server::start(&format!("auth_hmac_secret = '{SECRET}'"));
    let publish =
        |data: &str| json!({ "type": "publish", "topic": "chat:ids", "message_id": "order-7", "data": data });
    let (mut alice, mut mallory) = (as_user(&server, "alice").await, as_user(&server, "mallory").await);
    let squatted = mallory.ok(publish("nothing")).await;
    let mine = alice.ok(publish("the order")).await;
    assert_ne!(mine["duplicate"], true, "{mine}");
    assert_ne!(mine["offset"], squatted["offset"]);
    // A repetition of the same user is one, over any connection.
    let again = as_user(&server, "alice").await.ok(publish("the order")).await;
    assert_eq!((&again["duplicate"], &again["offset"]), (&json!(true), &mine["offset"]));
}

#[tokio::test]
async fn those_without_a_name_share_their_message_ids() {
    let server = Server::development();
    let publish = json!({ "type": "publish", "topic": "chat:ids", "message_id": "m", "data": 1 });
    let first = Client::connect(&server).await.ok(publish.clone()).await;
    let again = Connect::to(&server).from("127.0.0.2").open().await.ok(publish).await;
    assert_eq!((&again["duplicate"], &again["offset"]), (&json!(true), &first["offset"]));
}

#[tokio::test]
async fn nobody_pushes_out_anothers_message_ids() {
    let server = Server::start(&format!("auth_hmac_secret = '{SECRET}'"));
    let (mut alice, mut flood) = (as_user(&server, "alice").await, as_user(&server, "flood").await);
    let publish = json!({ "type": "publish", "topic": "chat:ids", "message_id": "mine", "data": 1 });
    let mine = alice.ok(publish.clone()).await;
    // A topic in memory remembers ten thousand.
    for batch in 0..24_u64 {
        let commands: Vec<_> = (0..500)
            .map(|n| json!({ "type": "publish", "topic": "chat:ids", "message_id": format!("{batch}-{n}"), "data": 1 }))
            .collect();
        flood.send(&json!(commands)).await;
        flood.expect_nothing().await;
    }
    let again = alice.ok(publish).await;
    assert_eq!((&again["duplicate"], &again["offset"]), (&json!(true), &mine["offset"]));
}
