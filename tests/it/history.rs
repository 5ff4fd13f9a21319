//! Kind `log`: what is kept, for how long, and how it is read.

use serde_json::{Value, json};

use crate::support::{Client, Server, eventually};

fn data(reply: &Value) -> Vec<&Value> {
    reply["messages"].as_array().unwrap().iter().map(|message| &message["data"]).collect()
}

async fn all(client: &mut Client, topic: &str) -> Value {
    client.ok(json!({ "type": "history", "topic": topic, "limit": 1000 })).await
}

#[tokio::test]
async fn history_is_read_in_both_directions_and_in_pages() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    let mut places = Vec::new();
    for n in 1..=5 {
        places.push(client.publish("chat:a", n).await);
    }
    let history = |extra: Value| {
        let mut command = json!({ "type": "history", "topic": "chat:a" });
        command.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        command
    };
    let whole = client.ok(history(json!({}))).await;
    assert_eq!(data(&whole), [1, 2, 3, 4, 5]);
    assert_eq!((&whole["more"], &whole["offset"]), (&json!(false), &places[4]["offset"]));
    assert_eq!(whole["messages"][0]["offset"], places[0]["offset"]);

    let first = client.ok(history(json!({ "limit": 2 }))).await;
    assert_eq!((data(&first), &first["more"]), (vec![&json!(1), &json!(2)], &json!(true)));
    let since = json!({ "epoch": first["epoch"], "offset": first["messages"][1]["offset"] });
    let second = client.ok(history(json!({ "limit": 3, "since": since }))).await;
    assert_eq!((data(&second), &second["more"]), (vec![&json!(3), &json!(4), &json!(5)], &json!(false)));
    assert_eq!(second["recovered"], true);

    let last = client.ok(history(json!({ "limit": 2, "reverse": true }))).await;
    assert_eq!((data(&last), &last["more"]), (vec![&json!(5), &json!(4)], &json!(true)));
    let since = json!({ "epoch": last["epoch"], "offset": last["messages"][1]["offset"] });
    let older = client.ok(history(json!({ "limit": 10, "reverse": true, "since": since }))).await;
    assert_eq!((data(&older), &older["more"]), (vec![&json!(3), &json!(2), &json!(1)], &json!(false)));
}

#[tokio::test]
async fn reading_does_not_need_a_subscription_and_is_not_delivery() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.publish("chat:a", 1).await;
    assert_eq!(data(&all(&mut client, "chat:a").await), [1]);
    client.expect_nothing().await;
}

#[tokio::test]
async fn the_newest_are_kept_by_count() {
    let server = Server::start("[default]\nhistory_count = 3");
    let mut client = Client::connect(&server).await;
    for n in 1..=3 {
        client.publish("chat:a", n).await;
    }
    assert_eq!(data(&all(&mut client, "chat:a").await), [1, 2, 3]);
    client.publish("chat:a", 4).await;
    assert_eq!(data(&all(&mut client, "chat:a").await), [2, 3, 4]);
}

#[tokio::test]
async fn the_newest_are_kept_by_bytes() {
    let server = Server::start("[default]\nhistory_bytes = 10000");
    let mut client = Client::connect(&server).await;
    for n in 0..40 {
        client.publish("chat:a", json!({ "n": n, "pad": "x".repeat(980) })).await;
    }
    let reply = all(&mut client, "chat:a").await;
    let kept: Vec<u64> = data(&reply).iter().map(|data| data["n"].as_u64().unwrap()).collect();
    assert!((5..=10).contains(&kept.len()), "{} of 1000 bytes each kept in 10000", kept.len());
    assert_eq!(kept, (40 - u64::try_from(kept.len()).unwrap()..40).collect::<Vec<_>>());
}

#[tokio::test]
async fn large_histories_come_in_pages() {
    let server = Server::start("[default]\nhistory_bytes = 67108864");
    let mut client = Client::connect(&server).await;
    client.flood("chat:a", 0..60, 20_000).await;
    for reverse in [false, true] {
        let mut seen: Vec<u64> = Vec::new();
        let mut command = json!({ "type": "history", "topic": "chat:a", "reverse": reverse });
        loop {
            let reply = client.ok(command.clone()).await;
            let messages = reply["messages"].as_array().unwrap();
            assert!(!messages.is_empty() && messages.len() < 60, "{} at once", messages.len());
            seen.extend(messages.iter().map(|message| message["data"]["n"].as_u64().unwrap()));
            command["since"] =
                json!({ "epoch": reply["epoch"], "offset": messages.last().unwrap()["offset"] });
            if reply["more"] == false {
                break;
            }
        }
        if reverse {
            seen.reverse();
        }
        assert_eq!(seen, (0..60).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn what_is_too_old_is_forgotten() {
    let server = Server::start("[default]\nhistory_age_s = 1");
    let mut client = Client::connect(&server).await;
    let mut reader = Client::connect(&server).await;
    let before = reader.subscribe("chat:a").await;
    client.publish("chat:a", 1).await;
    eventually(async || data(&all(&mut client, "chat:a").await).is_empty().then_some(())).await;
    let resumed = client.resume("chat:a", &before["epoch"], &before["offset"]).await;
    assert_eq!(resumed["recovered"], false);
    client.expect_nothing().await;
    assert_eq!(reader.data().await, 1);
}

#[tokio::test]
async fn a_count_of_zero_keeps_nothing() {
    let server = Server::start("[default]\nhistory_count = 0");
    let mut client = Client::connect(&server).await;
    client.subscribe("chat:a").await;
    client.publish("chat:a", 1).await;
    assert_eq!(client.data().await, 1);
    assert_eq!(data(&all(&mut client, "chat:a").await), Vec::<&Value>::new());
}

#[tokio::test]
async fn rules_apply_to_their_patterns_first_match_first() {
    let server = Server::start(
        "[default]\nhistory_count = 4\n\
         [[rule]]\npattern = \"short:*\"\nhistory_count = 1\n\
         [[rule]]\npattern = \"short:**\"\nhistory_count = 2\n",
    );
    let mut client = Client::connect(&server).await;
    for (topic, kept) in [("short:a", vec![6]), ("short:a:b", vec![5, 6]), ("other", vec![3, 4, 5, 6])] {
        for n in 1..=6 {
            client.publish(topic, n).await;
        }
        assert_eq!(data(&all(&mut client, topic).await), kept, "{topic}");
    }
}

#[tokio::test]
async fn a_topic_that_comes_back_reuses_no_place() {
    let server = Server::start("[default]\nhistory_age_s = 1");
    let mut client = Client::connect(&server).await;
    let mut places = Vec::new();
    for round in 0..2 {
        for n in 0..5 {
            let reply = client.publish("chat:a", n).await;
            places.push((reply["epoch"].to_string(), reply["offset"].as_u64()));
        }
        let old = client.publish("chat:a", round).await;
        eventually(async || data(&all(&mut client, "chat:a").await).is_empty().then_some(())).await;
        let now = client.subscribe("chat:a").await;
        assert!(now["epoch"] != old["epoch"] || now["offset"] == old["offset"], "{old} {now}");
        client.ok(json!({ "type": "unsubscribe", "topic": "chat:a" })).await;
    }
    let count = places.len();
    places.sort();
    places.dedup();
    assert_eq!(places.len(), count, "{places:?}");
}
