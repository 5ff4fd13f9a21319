//! What the broker says of itself: the OpenAPI document and the page of errors.

use fanwire_proto::ErrorCode;
use serde_json::json;

use crate::support::{Server, get, post};

#[tokio::test]
async fn the_api_is_described() {
    let server = Server::development();
    let answer = get(server.address, "/v1/openapi.json").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let document = answer.json();
    assert_eq!(document["openapi"], "3.1.0");
    for (path, method) in [
        ("/v1/topics/{topic}/messages", "post"),
        ("/v1/topics/{topic}/messages", "get"),
        ("/v1/topics/{topic}/presence", "get"),
        ("/v1/topics/{topic}", "get"),
        ("/v1/topics", "get"),
        ("/v1/publish", "post"),
        ("/v1/publish/stream", "post"),
        ("/v1/events", "get"),
        ("/v1/disconnect", "post"),
        ("/v1/unsubscribe", "post"),
        ("/v1/revoke", "post"),
        ("/v1/stats", "get"),
        ("/v1/stats/stream", "get"),
        ("/v1/connections", "get"),
        ("/v1/tap", "get"),
        ("/v1/config", "get"),
        ("/healthz", "get"),
        ("/readyz", "get"),
        ("/metrics", "get"),
    ] {
        let operation = &document["paths"][path][method];
        let responses = operation["responses"].as_object().unwrap_or_else(|| panic!("{method} {path}"));
        assert!(responses.values().all(|response| response["description"].is_string()), "{responses:?}");
        for status in ["429", "503"] {
            if let Some(response) = responses.get(status) {
                assert!(response["headers"]["Retry-After"].is_object(), "{method} {path} {status}");
            }
        }
    }
    assert!(document["components"]["schemas"]["Problem"]["properties"]["code"].is_object());
}

#[tokio::test]
async fn a_problem_leads_to_its_explanation() {
    let server = Server::development();
    let problem = post(server.address, "/v1/topics/chat:*/messages", "", b"1").await.json();
    let expected = json!({
        "type": "/docs/errors#bad_topic", "title": "Bad Request", "status": 400, "code": "bad_topic",
        "detail": problem["detail"], "retry": false
    });
    assert_eq!(problem, expected);
    let (path, _) = problem["type"].as_str().unwrap().split_once('#').unwrap();
    let page = get(server.address, path).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    for code in ErrorCode::ALL {
        assert!(page.body.contains(&format!("<h2 id=\"{}\">", code.as_str())), "{}", code.as_str());
    }
}
