//! Who is there: members, joins and leaves.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{
    Client, Connect, Encoding, LONG_PATIENCE, Launch, Random, Raw, Server, eventually, mask, mint, opcode,
    seconds_from_now, within,
};

const TOPIC: &str = "chat:room";
const SECRET: &str = "a secret for these tests, long enough";

fn clients(members: &Value) -> BTreeSet<String> {
    members.as_array().unwrap().iter().map(|member| member["client"].as_str().unwrap().into()).collect()
}

fn ids(clients: &[&Client]) -> BTreeSet<String> {
    clients.iter().map(|client| client.id().as_str().unwrap().to_owned()).collect()
}

async fn present(client: &mut Client) -> Value {
    client.ok(json!({ "type": "presence", "topic": TOPIC })).await
}

/// Subscribes with presence; the members in the reply.
async fn watch(client: &mut Client) -> BTreeSet<String> {
    let reply = client.ok(json!({ "type": "subscribe", "topic": TOPIC, "presence": true })).await;
    clients(&reply["members"])
}

fn authenticated() -> Server {
    Server::start(&format!("auth_hmac_secret = \"{SECRET}\""))
}

async fn login(server: &Server, user: &str) -> Client {
    let token = mint(SECRET, &json!({ "sub": user, "exp": seconds_from_now(3600) }));
    Connect::to(server).token(&token).open().await
}

#[tokio::test]
async fn members_are_those_who_are_subscribed() {
    let server = Server::development();
    let mut a = Client::connect(&server).await;
    let mut b = Connect::to(&server).encoding(Encoding::MsgPack).open().await;
    let mut asker = Client::connect(&server).await;
    let reply = present(&mut asker).await;
    assert_eq!((&reply["members"], &reply["clients"], &reply["users"]), (&json!([]), &json!(0), &json!(0)));
    a.subscribe(TOPIC).await;
    b.subscribe(TOPIC).await;
    let reply = present(&mut asker).await;
    assert_eq!(clients(&reply["members"]), ids(&[&a, &b]));
    assert_eq!((&reply["clients"], &reply["users"]), (&json!(2), &json!(0)));
    a.ok(json!({ "type": "unsubscribe", "topic": TOPIC })).await;
    assert_eq!(clients(&present(&mut asker).await["members"]), ids(&[&b]));
    asker.expect_nothing().await;
}

#[tokio::test]
async fn who_becomes_somebody_else_leaves_and_joins() {
    let server = authenticated();
    let mut watcher = login(&server, "watcher").await;
    watch(&mut watcher).await;
    let mut guest = login(&server, "alice").await;
    guest.subscribe(TOPIC).await;
    assert_eq!(watcher.expect("join").await["user"], "alice");
    let renamed = |claims: Value| json!({ "type": "auth", "token": mint(SECRET, &claims) });
    let exp = seconds_from_now(3600);
    guest.ok(renamed(json!({ "sub": "bob", "info": { "colour": "red" }, "exp": exp }))).await;
    assert_eq!(watcher.expect("leave").await["user"], "alice");
    let join = watcher.expect("join").await;
    assert_eq!((&join["user"], &join["info"]), (&json!("bob"), &json!({ "colour": "red" })));
    // A token that says the same for longer changes nothing; one that says something else does.
    guest.ok(renamed(json!({ "sub": "bob", "info": { "colour": "red" }, "exp": exp + 1 }))).await;
    guest.ok(renamed(json!({ "sub": "bob", "info": { "colour": "blue" }, "exp": exp }))).await;
    assert_eq!(watcher.expect("leave").await["user"], "bob");
    assert_eq!(watcher.expect("join").await["info"]["colour"], "blue");
    let users: BTreeSet<_> = present(&mut watcher).await["members"]
        .as_array()
        .unwrap()
        .iter()
        .map(|member| member["user"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(users, BTreeSet::from(["bob".into(), "watcher".into()]));
}

#[tokio::test]
async fn watchers_hear_who_comes_and_goes() {
    let server = Server::development();
    for encoding in Encoding::BOTH {
        let mut watcher = Connect::to(&server).encoding(encoding).open().await;
        let itself = ids(&[&watcher]);
        assert_eq!(watch(&mut watcher).await, itself);
        let mut guest = Client::connect(&server).await;
        guest.subscribe(TOPIC).await;
        let join = watcher.expect("join").await;
        assert_eq!((&join["topic"], &join["client"]), (&json!(TOPIC), guest.id()));
        guest.ok(json!({ "type": "unsubscribe", "topic": TOPIC })).await;
        let leave = watcher.expect("leave").await;
        assert_eq!((&leave["topic"], &leave["client"]), (&json!(TOPIC), guest.id()));
        guest.expect_nothing().await; // it did not ask for presence
        watcher.expect_nothing().await;
        watcher.ok(json!({ "type": "unsubscribe", "topic": TOPIC })).await;
    }
}

#[tokio::test]
async fn every_way_to_disconnect_is_a_leave() {
    let server = Server::development();
    let mut watcher = Client::connect(&server).await;
    watch(&mut watcher).await;
    let endings: [fn(Client); 2] = [Client::reset, drop];
    for end in endings {
        let mut guest = Client::connect(&server).await;
        guest.subscribe(TOPIC).await;
        let id = guest.id().clone();
        assert_eq!(watcher.expect("join").await["client"], id);
        end(guest);
        assert_eq!(watcher.expect("leave").await["client"], id);
    }
    let mut guest = Client::connect(&server).await;
    guest.subscribe(TOPIC).await;
    let id = guest.id().clone();
    assert_eq!(watcher.expect("join").await["client"], id);
    guest.close().await;
    assert_eq!(watcher.expect("leave").await["client"], id);
    let itself = ids(&[&watcher]);
    assert_eq!(clients(&present(&mut watcher).await["members"]), itself);
}

#[tokio::test]
async fn a_peer_that_speaks_and_hangs_up_in_one_breath_leaves_at_once() {
    let server = Server::development();
    let mut watcher = Client::connect(&server).await;
    watch(&mut watcher).await;
    let subscribe = json!({ "type": "subscribe", "topic": TOPIC }).to_string();
    for end in [&b""[..], &[opcode::TEXT]] {
        let mut guest = Raw::websocket(&server, "fanwire.v1.json").await;
        guest.send(&[&mask(opcode::TEXT, subscribe.as_bytes()), end].concat()).await;
        guest.finish().await;
        let id = watcher.expect("join").await["client"].clone();
        // Long before it would be missed by a ping.
        assert_eq!(watcher.expect("leave").await["client"], id);
    }
}

#[tokio::test]
async fn a_peer_that_falls_silent_leaves_at_last() {
    let server = Server::start("ping_s = 2\npong_timeout_s = 1");
    let mut watcher = Client::connect(&server).await;
    watch(&mut watcher).await;
    let mut silent = Raw::websocket(&server, "fanwire.v1.json").await;
    let subscribe = json!({ "type": "subscribe", "topic": TOPIC }).to_string();
    silent.send(&mask(opcode::TEXT, subscribe.as_bytes())).await;
    let id = watcher.expect("join").await["client"].clone();
    assert_eq!(watcher.expect("leave").await["client"], id);
}

#[tokio::test]
async fn one_user_on_two_connections_is_one_user_and_two_clients() {
    let server = authenticated();
    let mut phone = login(&server, "alice").await;
    let mut laptop = login(&server, "alice").await;
    let mut bob = login(&server, "bob").await;
    assert_eq!(phone.welcome["user"], "alice");
    phone.subscribe(TOPIC).await;
    laptop.subscribe(TOPIC).await;
    bob.subscribe(TOPIC).await;
    let reply = present(&mut bob).await;
    assert_eq!((&reply["clients"], &reply["users"]), (&json!(3), &json!(2)));
    let of_alice: Vec<_> =
        reply["members"].as_array().unwrap().iter().filter(|member| member["user"] == "alice").collect();
    assert_eq!(of_alice.len(), 2, "{reply}");
    phone.reset();
    let reply = eventually(async || {
        let reply = present(&mut bob).await;
        (reply["clients"] == 2).then_some(reply)
    })
    .await;
    assert_eq!(reply["users"], 2);
    laptop.publish(TOPIC, "still here").await;
    let message = bob.expect("message").await;
    assert_eq!((&message["from"]["user"], &message["from"]["client"]), (&json!("alice"), laptop.id()));
}

#[tokio::test]
async fn joins_and_leaves_name_the_user() {
    let server = authenticated();
    let mut watcher = login(&server, "bob").await;
    watch(&mut watcher).await;
    let mut alice = login(&server, "alice").await;
    alice.subscribe(TOPIC).await;
    assert_eq!(watcher.expect("join").await["user"], "alice");
    alice.close().await;
    assert_eq!(watcher.expect("leave").await["user"], "alice");
}

#[tokio::test]
async fn presence_can_be_off() {
    let server = Launch::default().config("[[rule]]\npattern = \"chat:**\"\npresence = false").start();
    let mut client = Client::connect(&server).await;
    assert_eq!(client.error(json!({ "type": "presence", "topic": TOPIC })).await, "presence_off");
    let subscribe = json!({ "type": "subscribe", "topic": TOPIC, "presence": true });
    assert_eq!(client.error(subscribe).await, "presence_off");
    client.subscribe(TOPIC).await;
}

#[tokio::test]
async fn members_joins_and_leaves_add_up_under_churn() {
    let server = Server::development();
    let mut watcher = Connect::to(&server).encoding(Encoding::MsgPack).open().await;
    let mut guests = Vec::new();
    for _ in 0..10 {
        let mut guest = Client::connect(&server).await;
        guest.subscribe(TOPIC).await;
        guests.push(guest);
    }
    let mut model = watch(&mut watcher).await;
    let mut random = Random::new(4);
    let churn = async {
        for _ in 0..200 {
            let index = usize::try_from(random.below(10)).unwrap();
            let mut guest = Client::connect(&server).await;
            guest.subscribe(TOPIC).await;
            let old = std::mem::replace(&mut guests[index], guest);
            match random.below(3) {
                0 => old.reset(),
                1 => old.close().await,
                _ => drop(old),
            }
        }
    };
    within(LONG_PATIENCE, churn).await;
    let refs: Vec<&Client> = guests.iter().collect();
    let mut expect = ids(&refs);
    expect.extend(ids(&[&watcher]));
    // Events arrive until the model is what is true at last, and never contradict it on the way.
    while model != expect {
        let event = watcher.next().await;
        let client = event["client"].as_str().unwrap().to_owned();
        match event["type"].as_str().unwrap() {
            "join" => assert!(model.insert(client), "joined twice: {event}"),
            "leave" => assert!(model.remove(&client), "left without being there: {event}"),
            _ => panic!("{event}"),
        }
    }
    eventually(async || (clients(&present(&mut watcher).await["members"]) == expect).then_some(())).await;
}

#[tokio::test]
async fn what_a_token_says_of_its_user_is_seen_by_watchers() {
    let info = json!({ "name": "Ada Lovelace", "colours": [1, 2.5, null] });
    let described = json!({ "sub": "ada", "info": info, "exp": seconds_from_now(3600) });
    for encoding in Encoding::BOTH {
        let server = authenticated();
        let plain = mint(SECRET, &json!({ "sub": "bob", "exp": seconds_from_now(3600) }));
        let mut watcher = Connect::to(&server).encoding(encoding).token(&plain).open().await;
        watch(&mut watcher).await;
        let mut ada = Connect::to(&server).token(&mint(SECRET, &described)).open().await;
        ada.subscribe(TOPIC).await;
        assert_eq!(watcher.expect("join").await["info"], info);
        let reply = present(&mut watcher).await;
        let members = reply["members"].as_array().unwrap();
        assert!(members.iter().any(|member| member["info"] == info), "{reply}");
        ada.publish(TOPIC, 1).await;
        assert_eq!(watcher.expect("message").await["from"].get("info"), None);
        ada.close().await;
        assert_eq!(watcher.expect("leave").await.get("info"), None);
    }
    let server = authenticated();
    let large = json!({ "sub": "eve", "info": "x".repeat(2_000), "exp": seconds_from_now(3600) });
    assert!(Connect::to(&server).token(&mint(SECRET, &large)).attempt().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_comes_and_goes_without_pause_ends_nobodys_watching() {
    const WATCHERS: usize = 30;
    let server = Server::start("shards = 1");
    let mut watchers = Vec::new();
    for _ in 0..WATCHERS {
        let mut watcher = Client::connect(&server).await;
        watcher.ok(json!({ "type": "subscribe", "topic": "chat:door", "presence": true })).await;
        watchers.push(watcher);
    }
    let steps: Vec<_> = (0..400)
        .map(
            |n| json!({ "type": if n % 2 == 0 { "subscribe" } else { "unsubscribe" }, "topic": "chat:door" }),
        )
        .collect();
    let frame = mask(opcode::TEXT, json!(steps).to_string().as_bytes());
    let flood = tokio::spawn(Raw::websocket(&server, "fanwire.v1.json").await.flood(frame.repeat(20).into()));
    let until = std::time::Instant::now() + std::time::Duration::from_secs(4);
    let watch = async |watcher: &mut Client| {
        while std::time::Instant::now() < until {
            let event = watcher.next().await;
            assert!(event["type"] == "join" || event["type"] == "leave", "{event}");
        }
    };
    within(LONG_PATIENCE, futures_util::future::join_all(watchers.iter_mut().map(watch))).await;
    flood.abort();
    // In the end everybody knows who is there.
    let members = watchers[0].ok(json!({ "type": "presence", "topic": "chat:door" })).await;
    assert!(members["members"].as_array().unwrap().len() >= WATCHERS, "{members}");
}
