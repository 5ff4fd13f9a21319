//! What providers ask before they take an address: as somebody would see it who clicks in the provider's own page.

use serde_json::json;

use crate::{
    support::{Client, PATIENCE, get, now_s, post, request, signing, within},
    webhooks::broker,
};

const SECRET: &str = "It's a Secret to Everybody";

fn source(provider: &str) -> String {
    format!("[[source]]\nname = '{provider}'\nprovider = '{provider}'\nsecret_env = 'HOOK_SECRET'\n")
}

#[tokio::test]
async fn somebody_is_there() {
    let sources = ["intercom", "github", "cloudevents"].map(source).concat();
    let server = broker(&format!(
        "{sources}[[source]]\nname = 'off'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\nenabled = false\n"
    ));
    for (path, status) in [
        ("/in/intercom", 200),
        ("/in/intercom/", 200),
        ("/in/github", 200),
        ("/in/off", 410),
        ("/in/none", 404),
    ] {
        let line = format!("HEAD {path} HTTP/1.1\r\n");
        let head = request(server.address, &line, b"");
        assert_eq!(within(PATIENCE, head).await.status, status, "{path}");
    }
    let answer = get(server.address, "/in/github").await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("post")));
}

#[tokio::test]
async fn pings_that_nobody_signs_are_answered_and_not_published() {
    let server = broker(&["slack", "woocommerce", "bitbucket", "zendesk"].map(source).concat());
    let mut client = Client::connect(&server).await;
    for provider in ["slack", "woocommerce", "bitbucket", "zendesk"] {
        client.subscribe(&format!("webhook:{provider}")).await;
    }
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    let ping = "X-Event-Key: diagnostics:ping\r\n";
    let at = "2026-11-30T12:00:00Z";
    let test_secret = "dGhpc19zZWNyZXRfaXNfZm9yX3Rlc3Rpbmdfb25seQ==";
    let signature = signing::base64(test_secret, &[at.as_bytes(), b"{}"]);
    let zendesk = format!(
        "X-Zendesk-Webhook-Signature: {signature}\r\nX-Zendesk-Webhook-Signature-Timestamp: {at}\r\n"
    );
    for (path, headers, body, status) in [
        ("/in/slack", form, &b"ssl_check=1&token=x"[..], 200),
        ("/in/slack", form, b"ssl_check=0&token=x", 401),
        ("/in/woocommerce", form, b"webhook_id=17", 200),
        ("/in/woocommerce", form, b"webhook_id=17&order=1", 401),
        ("/in/woocommerce", "X-WC-Webhook-Signature: AAAA\r\n", b"webhook_id=17", 401),
        ("/in/bitbucket", ping, b"{\"test\":true}", 200),
        ("/in/bitbucket", "X-Event-Key: repo:push\r\n", b"{\"test\":true}", 401),
        ("/in/zendesk", &zendesk, b"{}", 200),
        ("/in/zendesk", &zendesk, b"{\"changed\":1}", 401),
    ] {
        let answer = post(server.address, path, headers, body).await;
        assert_eq!(answer.status, status, "{path} {headers}: {}", answer.body);
    }
    assert_eq!(get(server.address, "/in/slack?ssl_check=1&token=x").await.status, 200);
    assert_eq!(get(server.address, "/in/slack").await.status, 401);
    client.expect_nothing().await;
    let page = get(server.address, "/v1/deliveries?outcome=handshake").await.json();
    assert_eq!(page["deliveries"].as_array().unwrap().len(), 5, "{page}");
}

#[tokio::test]
async fn event_grid_hears_its_code() {
    let server = broker(&source("cloudevents"));
    let body = json!([{ "id": "1", "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
        "data": { "validationCode": "512d38b6" } }]);
    let body = body.to_string();
    let token = format!("Authorization: Bearer {SECRET}\r\nContent-Type: application/json\r\n");
    let answer = post(server.address, "/in/cloudevents", &token, body.as_bytes()).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "validationResponse": "512d38b6" })));
    assert_eq!(post(server.address, "/in/cloudevents", "", body.as_bytes()).await.status, 401);
}

/// HubSpot, Twilio and Square sign the address that somebody has typed.
#[tokio::test]
async fn a_signed_address_may_have_its_port_and_a_slash() {
    let url = "https://hooks.example/in/square";
    let server = broker(&format!("{}public_url = '{url}'\n", source("square")));
    let ways = [
        "https://hooks.example/in/square",
        "https://hooks.example:443/in/square",
        "https://hooks.example/in/square/",
    ];
    for (number, way) in ways.iter().enumerate() {
        let body = format!("{{\"event_id\":\"{number}-{}\"}}", now_s());
        let signature = signing::base64(SECRET, &[way.as_bytes(), body.as_bytes()]);
        let headers = format!("X-Square-HmacSha256-Signature: {}\r\n", signature);
        for path in ["/in/square", "/in/square/"] {
            let answer = post(server.address, path, &headers, body.as_bytes()).await;
            assert_eq!(answer.status, 200, "{way} {path}: {}", answer.body);
        }
    }
    let other = signing::base64(SECRET, &[b"https://other.example/in/square", b"{}"]);
    let headers = format!("X-Square-HmacSha256-Signature: {}\r\n", other);
    assert_eq!(post(server.address, "/in/square", &headers, b"{}").await.status, 401);
}

/// WooCommerce makes a delivery's name of the webhook's number and the second (`WC_Webhook::get_new_delivery_id`).
#[tokio::test]
async fn two_orders_of_one_second_are_two() {
    let server = broker(&source("woocommerce"));
    let mut client = Client::connect(&server).await;
    client.subscribe("webhook:woocommerce").await;
    let deliver = async |order: u32| {
        let body = json!({ "id": order, "status": "processing" }).to_string();
        let headers = format!(
            "Content-Type: application/json\r\nX-WC-Webhook-Topic: order.created\r\nX-WC-Webhook-ID: 10\r\n\
             X-WC-Webhook-Delivery-ID: 511ba7a3ddbd4e3e802a9fc2d6c0f0fd\r\nX-WC-Webhook-Signature: {}\r\n",
            signing::base64(SECRET, &[body.as_bytes()])
        );
        assert_eq!(post(server.address, "/in/woocommerce", &headers, body.as_bytes()).await.status, 200);
    };
    for order in [1, 2, 1, 2, 3] {
        deliver(order).await;
    }
    for order in 1..=3 {
        let envelope = client.data().await;
        assert_eq!((&envelope["data"]["id"], &envelope["event"]), (&json!(order), &json!("order.created")));
    }
    client.expect_nothing().await;
}
