//! Over a place that answers later, from a thread of its own and with places of its own choosing, as another machine would,
//! verbs and doors work as they are.

mod world;

use axum::http::StatusCode;
use fanwire_proto::{Offset, Payload, TopicName};
use serde_json::{Value, json};

use self::world::{EPOCH, open};
use crate::{
    broker::DocumentError,
    clock::unix_ms,
    collab::{Condition, NewContent},
    memory::Owner,
    order::Placing,
    topic::{Draft, NotPlaced},
};

fn draft() -> Draft {
    let payload = Payload::json("1").unwrap();
    Draft { payload, key: None, message_id: None, tags: None, from: None, not_to: None, by: Owner::default() }
}

fn json_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn a_verb_has_the_receipt_when_the_place_answers_and_not_before() {
    let mut world = open();
    let topic: TopicName = "far".parse().unwrap();
    let publish = || world.broker.publish_and_wait(&topic, draft(), None, unix_ms()).unwrap();
    let Placing::Pending(mut first) = publish() else { panic!("placed already") };
    let (second, third, fourth) = (publish(), publish(), publish());
    assert!(first.try_recv().is_err());
    let taken = [world.home.next().await, world.home.next().await, world.home.next().await];
    let [one, two, three] = taken;
    three.answer(Err(NotPlaced::NotKept));
    two.lose();
    one.place(4_711);
    let receipt = first.await.unwrap().unwrap();
    assert_eq!((receipt.epoch, receipt.offset), (EPOCH, Offset(4_711)));
    assert_eq!(second.outcome().await, Err(NotPlaced::Lost));
    assert_eq!(third.outcome().await, Err(NotPlaced::NotKept));
    // The topic here has numbered nothing.
    assert_eq!(world.broker.find(&topic).unwrap().position().offset, Offset::ZERO);
    // The place itself goes away, with what it had and with what still comes.
    drop(world.home);
    assert_eq!(fourth.outcome().await, Err(NotPlaced::Lost));
    let fifth = world.broker.publish_and_wait(&topic, draft(), None, unix_ms()).unwrap();
    assert_eq!(fifth.outcome().await, Err(NotPlaced::Lost));
}

#[tokio::test]
async fn a_request_is_answered_with_the_place_that_was_given_elsewhere() {
    let mut world = open();
    let answer = world.request("POST", "/v1/topics/far/messages", "1");
    let forwarded = world.home.next().await;
    assert_eq!((forwarded.topic.as_str(), forwarded.data().as_str()), ("far", "1"));
    assert!(!answer.is_finished());
    forwarded.place(5_000);
    let (status, body) = answer.await.unwrap();
    assert_eq!(status, StatusCode::OK, "{body}");
    let expected = json!({
        "id": format!("{EPOCH}-5000"), "topic": "far", "offset": 5_000, "epoch": EPOCH.to_string(),
        "duplicate": false, "subscribers": 3,
    });
    assert_eq!(json_of(&body), expected);
}

#[tokio::test]
async fn a_batch_and_a_stream_report_each_message_in_its_line() {
    let mut world = open();
    let messages = [1, 2, 3].map(|data| json!({ "topic": "far", "data": data }));
    let answer = world.request("POST", "/v1/publish", &json!({ "messages": messages }).to_string());
    let [one, two, three] = [world.home.next().await, world.home.next().await, world.home.next().await];
    // In whatever order they are placed.
    three.place(12);
    one.place(10);
    assert!(!answer.is_finished());
    two.lose();
    let (status, body) = answer.await.unwrap();
    let results = &json_of(&body)["results"];
    assert_eq!(
        (status, &results[0]["offset"], &results[2]["offset"]),
        (StatusCode::MULTI_STATUS, &json!(10), &json!(12))
    );
    assert_eq!(results[1]["code"], "storage_failed", "{body}");

    let lines = "{\"topic\":\"far\",\"data\":1}\n{\"topic\":\"far\",\"data\":2}\n";
    let answer = world.request("POST", "/v1/publish/stream", lines);
    let (one, two) = (world.home.next().await, world.home.next().await);
    two.place(21);
    one.place(20);
    let (_, body) = answer.await.unwrap();
    let reports: Vec<Value> = body.lines().map(json_of).collect();
    let told: Vec<_> = reports.iter().map(|report| (&report["line"], &report["offset"])).collect();
    assert_eq!(told, [(&json!(1), &json!(20)), (&json!(2), &json!(21))]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_is_where_the_place_says_on_the_condition_that_was_given() {
    let mut world = open();
    let answer = world.request("PUT", "/v1/documents/doc:a", r#"{"text":"hello"}"#);
    let forwarded = world.home.next().await;
    assert_eq!(forwarded.base, None);
    forwarded.place(77);
    let (status, body) = answer.await.unwrap();
    assert_eq!((status, &json_of(&body)["offset"]), (StatusCode::OK, &json!(77)), "{body}");
    let (broker, of) = (world.broker.clone(), "doc:b".parse().unwrap());
    let new = NewContent::Text(None, "hello".into());
    let edit = tokio::spawn(async move {
        let condition = Condition::IfNew;
        broker.replace(&Owner::default(), &of, new, condition, unix_ms()).await
    });
    let forwarded = world.home.next().await;
    assert_eq!(forwarded.base.map(|base| base.offset), Some(Offset::ZERO));
    forwarded.lose();
    let failed = edit.await.unwrap().unwrap_err();
    assert!(matches!(failed, DocumentError::NotPlaced(NotPlaced::Lost)), "{failed}");
}

#[tokio::test]
async fn a_connection_hears_of_each_message_when_it_is_placed() {
    let mut world = open();
    let mut client = world.connect().await;
    assert_eq!(client.hear().await["type"], "welcome");
    client.say(json!({ "type": "publish", "id": 1, "topic": "far", "data": 1 })).await;
    client.say(json!({ "type": "publish", "id": 2, "topic": "far", "data": 2 })).await;
    client.say(json!({ "type": "publish", "topic": "far", "data": 3 })).await;
    client.say(json!({ "type": "ping", "id": 3 })).await;
    assert_eq!(client.hear().await, json!({ "type": "pong", "id": 3 }), "nothing waits for the place");
    let [one, two, three] = [world.home.next().await, world.home.next().await, world.home.next().await];
    assert_eq!([one.data(), two.data(), three.data()], ["1", "2", "3"]);
    two.lose();
    let failed = client.hear().await;
    assert_eq!(
        (&failed["type"], &failed["id"], &failed["code"]),
        (&json!("error"), &json!(2), &json!("storage_failed"))
    );
    // Nobody asked to hear that this one is placed.
    three.place(9_003);
    one.place(9_001);
    let placed = client.hear().await;
    let expected =
        json!({ "type": "ok", "id": 1, "topic": "far", "epoch": EPOCH.to_string(), "offset": 9_001 });
    assert_eq!(placed, expected);
}

#[tokio::test]
async fn whoever_asked_may_go_first() {
    let mut world = open();
    let mut gone = world.connect().await;
    assert_eq!(gone.hear().await["type"], "welcome");
    gone.say(json!({ "type": "publish", "id": 1, "topic": "far", "data": 1 })).await;
    let of_nobody = world.home.next().await;
    drop(gone);
    let request = world.request("POST", "/v1/topics/far/messages", "2");
    let of_nobody_either = world.home.next().await;
    request.abort();
    // Takes the place of the one that has gone, if that is gone by now.
    let mut next = world.connect().await;
    assert_eq!(next.hear().await["type"], "welcome");
    of_nobody.place(1);
    of_nobody_either.place(2);
    next.say(json!({ "type": "ping", "id": 7 })).await;
    assert_eq!(next.hear().await, json!({ "type": "pong", "id": 7 }));
}
