//! CloudEvents over HTTP in all three modes.

use serde_json::{Value, json};

use crate::support::{Client, Server, post};

const PATH: &str = "/v1/topics/log:orders/messages";
const STRUCTURED: &str = "Content-Type: application/cloudevents+json; charset=utf-8\r\n";
const BATCHED: &str = "Content-Type: application/cloudevents-batch+json\r\n";

fn event(id: &str, data: &Value) -> Value {
    json!({
        "specversion": "1.0", "id": id, "source": "/shop/1", "type": "order.paid", "subject": "order 7",
        "time": "2026-11-21T12:00:00Z", "traceid": "x1", "data": data
    })
}

fn tags(id: &str) -> Value {
    json!({
        "ce-id": id, "ce-source": "/shop/1", "ce-type": "order.paid", "ce-subject": "order 7",
        "ce-time": "2026-11-21T12:00:00Z", "ce-traceid": "x1"
    })
}

#[tokio::test]
async fn structured_and_binary_events_become_the_same_message() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.subscribe("log:orders").await;
    let body = event("a", &json!({ "total": 5 })).to_string();
    let first = post(server.address, PATH, STRUCTURED, body.as_bytes()).await;
    assert_eq!((first.status, &first.json()["duplicate"]), (200, &json!(false)));
    let headers = "Content-Type: application/json\r\nce-specversion: 1.0\r\nce-id: a\r\nce-source: /shop/1\r\n\
        ce-type: order.paid\r\nce-subject: order%207\r\nce-time: 2026-11-21T12:00:00Z\r\nce-traceid: x1\r\n";
    let second = post(server.address, PATH, headers, b"{\"total\":5}").await.json();
    assert_eq!((&second["duplicate"], &second["offset"]), (&json!(true), &first.json()["offset"]));
    let third = post(server.address, PATH, &headers.replace("ce-id: a", "ce-id: b"), b"{\"total\":5}").await;
    assert_eq!(third.json()["duplicate"], false);
    for id in ["a", "b"] {
        let message = client.expect("message").await;
        assert_eq!((&message["data"], &message["tags"]), (&json!({ "total": 5 }), &tags(id)));
    }
    client.expect_nothing().await;
}

#[tokio::test]
async fn the_same_id_from_another_source_is_another_event() {
    let server = Server::development();
    let mut other = event("a", &json!(1));
    other["source"] = json!("/shop/2");
    for event in [event("a", &json!(1)), other] {
        let answer = post(server.address, PATH, STRUCTURED, event.to_string().as_bytes()).await;
        assert_eq!(answer.json()["duplicate"], false);
    }
}

#[tokio::test]
async fn a_batch_of_events_has_results_in_order() {
    let server = Server::development();
    let mut client = Client::connect(&server).await;
    client.subscribe("log:orders").await;
    let mut broken = event("b", &json!(2));
    broken["specversion"] = json!("0.3");
    let batch = json!([event("a", &json!(1)), broken, event("c", &json!(3)), event("a", &json!(1))]);
    let answer = post(server.address, PATH, BATCHED, batch.to_string().as_bytes()).await;
    let results = answer.json()["results"].take();
    assert_eq!((answer.status, &results[1]["code"]), (207, &json!("bad_request")));
    assert_eq!((&results[2]["duplicate"], &results[3]["duplicate"]), (&json!(false), &json!(true)));
    assert_eq!((client.data().await, client.data().await), (json!(1), json!(3)));
    client.expect_nothing().await;
    let empty = post(server.address, PATH, BATCHED, b"[]").await;
    assert_eq!((empty.status, empty.json()), (200, json!({ "results": [] })));
}

#[tokio::test]
async fn what_is_no_event_is_refused() {
    let server = Server::development();
    let mut long = event("a", &json!(1));
    long["source"] = json!("/".repeat(201));
    let mut many = event("a", &json!(1));
    (0..11).for_each(|n| many[format!("x{n}")] = json!(n));
    let binary = "ce-specversion: 1.0\r\nce-id: a\r\nce-type: t\r\n";
    for (headers, body, status, code) in [
        (STRUCTURED, "{}".to_owned(), 400, "bad_request"),
        (STRUCTURED, "nothing".to_owned(), 400, "bad_request"),
        (STRUCTURED, "[]".to_owned(), 400, "bad_request"),
        (STRUCTURED, long.to_string(), 400, "bad_request"),
        (STRUCTURED, many.to_string(), 400, "bad_request"),
        (BATCHED, "{}".to_owned(), 400, "bad_request"),
        (binary, "1".to_owned(), 400, "bad_request"),
        (&format!("{binary}ce-source: %ff\r\n"), "1".to_owned(), 400, "bad_request"),
        (&format!("{BATCHED}Message-Id: m\r\n"), "[]".to_owned(), 400, "bad_request"),
        ("Content-Type: application/cloudevents+xml\r\n", "<a/>".to_owned(), 415, "unsupported_media_type"),
    ] {
        let answer = post(server.address, PATH, headers, body.as_bytes()).await;
        assert_eq!((answer.status, &answer.json()["code"]), (status, &json!(code)), "{headers}{body}");
    }
}
