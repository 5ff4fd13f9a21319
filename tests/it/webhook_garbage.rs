//! Requests that look like every provider's and are nobody's, by the thousand, over real sockets: each is answered, none is
//! taken, and the broker goes on.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::{LONG_PATIENCE, Launch, Random, Server, get, post, signing, within};

const REQUESTS: usize = 4_000;

/// Providers with what their source needs beside a name.
const SOURCES: &[(&str, &str)] = &[
    ("stripe", "secret_env = 'TEXT'"),
    ("github", "secret_env = 'TEXT'"),
    ("hubspot", "secret_env = 'TEXT'"),
    ("hubspot-v2", "secret_env = 'TEXT'"),
    ("hubspot-v1", "secret_env = 'TEXT'"),
    ("pipedrive", "secret_env = 'BASIC'"),
    ("salesforce", "expect = '00Dxx0000001gPLEAY'\npath_token_env = 'PATH_TOKEN'"),
    ("slack", "secret_env = 'TEXT'"),
    ("discord", "public_key = '3d8b1f0f3b9a5e4d7c8b2a1f0e9d8c7b6a5f4e3d2c1b0a9f8e7d6c5b4a392817'"),
    ("discord-events", "public_key = '3d8b1f0f3b9a5e4d7c8b2a1f0e9d8c7b6a5f4e3d2c1b0a9f8e7d6c5b4a392817'"),
    ("shopify", "secret_env = 'TEXT'"),
    ("standard-webhooks", "secret_env = 'WHSEC'"),
    ("svix", "secret_env = 'WHSEC'"),
    ("twilio", "secret_env = 'TEXT'"),
    ("paddle", "secret_env = 'TEXT'"),
    ("paypal", "expect = 'W'\ncertificate_file = 'certificate.pem'"),
    ("square", "secret_env = 'TEXT'"),
    ("gitlab", "secret_env = ['TEXT', 'WHSEC']"),
    ("bitbucket", "secret_env = 'TEXT'"),
    ("linear", "secret_env = 'TEXT'"),
    ("zendesk", "secret_env = 'TEXT'"),
    ("intercom", "secret_env = 'TEXT'"),
    ("meta", "secret_env = 'TEXT'\nchallenge_token_env = 'TEXT'"),
    ("mailgun", "secret_env = 'TEXT'"),
    ("sns", "expect = 'arn:aws:sns:eu-west-1:1:t'\ncertificate_file = 'certificate.pem'"),
    ("cloudevents", "secret_env = 'TEXT'"),
    ("typeform", "secret_env = 'TEXT'"),
    ("woocommerce", "secret_env = 'TEXT'"),
    ("telegram", "secret_env = 'TEXT'"),
    ("hmac", "secret_env = 'TEXT'"),
    ("bearer", "secret_env = 'TEXT'"),
    ("basic", "secret_env = 'BASIC'"),
];

const HEADERS: &[&str] = &[
    "content-type",
    "stripe-signature",
    "x-hub-signature-256",
    "x-hub-signature",
    "x-github-event",
    "x-hubspot-signature-v3",
    "x-hubspot-signature",
    "x-hubspot-request-timestamp",
    "x-slack-signature",
    "x-slack-request-timestamp",
    "x-signature-ed25519",
    "x-signature-timestamp",
    "x-shopify-hmac-sha256",
    "shopify-hmac-sha256",
    "webhook-id",
    "webhook-timestamp",
    "webhook-signature",
    "svix-id",
    "svix-timestamp",
    "svix-signature",
    "x-twilio-signature",
    "paddle-signature",
    "paypal-transmission-id",
    "paypal-transmission-time",
    "paypal-transmission-sig",
    "paypal-cert-url",
    "paypal-auth-algo",
    "x-square-hmacsha256-signature",
    "x-gitlab-token",
    "linear-signature",
    "x-zendesk-webhook-signature",
    "x-zendesk-webhook-signature-timestamp",
    "webhook-request-origin",
    "ce-id",
    "ce-source",
    "ce-type",
    "authorization",
    "typeform-signature",
    "x-wc-webhook-signature",
    "x-signature",
    "x-telegram-bot-api-secret-token",
    "x-forwarded-host",
    "x-forwarded-proto",
    "content-encoding",
];

const VALUES: &[&str] = &[
    "",
    "1",
    "application/json",
    "application/x-www-form-urlencoded",
    "text/xml",
    "application/cloudevents-batch+json",
    "2026-01-31T12:00:00Z",
    "9999-99-99T99:99:99Z",
    "t=1,v1=ab",
    "t=,v1=",
    "ts=1;h1=ab",
    "v1,AAAA v1a,AAAA v1,",
    "v0=00",
    "sha256=",
    "sha256=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "sha1=00",
    "Bearer x",
    "Basic Og==",
    "Basic",
    "https://api.paypal.com/x",
    "SHA256withRSA",
    "18446744073709551616",
    "-1",
    "\u{fc}\u{df}",
    ",,,;;;===",
];

const BODIES: &[&str] = &[
    "",
    "{}",
    "[]",
    "null",
    "{\"type\":1}",
    "{\"type\":0}",
    "{\"type\":\"url_verification\",\"challenge\":\"c\"}",
    "a=b&c=%ff",
    "payload=%7B%7D",
    "<?xml version=\"1.0\"?><a><b/></a>",
    "<!DOCTYPE a [<!ENTITY b \"c\">]><a>&b;</a>",
    "{\"signature\":{\"timestamp\":\"1\",\"token\":\"t\",\"signature\":\"00\"},\"event-data\":{}}",
    "{\"Type\":\"SubscriptionConfirmation\",\"SubscribeURL\":\"https://sns.eu-west-1.amazonaws.com/?Action=ConfirmSubscription\",\"SignatureVersion\":\"1\",\"Signature\":\"AAAA\",\"TopicArn\":\"arn:aws:sns:eu-west-1:1:t\"}",
    "[{\"eventId\":1},{\"eventId\":2}]",
    "{\"entry\":[{\"changes\":[{\"field\":\"messages\"}]}]}",
    "[[[[[[[[[[[[[[[[[[[[[[[[",
    "\"\\ud800\"",
];

fn launch() -> Launch {
    let source = |(provider, needs): &(&str, &str)| {
        format!("[[source]]\nname = '{provider}'\nprovider = '{provider}'\n{needs}\nmax_body_bytes = 20000\n")
    };
    Launch::default()
        .config(&SOURCES.iter().map(source).collect::<String>())
        .file("certificate.pem", include_str!("../webhooks/certificate.pem"))
        .env("TEXT", "what nobody guesses")
        .env("BASIC", "name:what nobody guesses")
        .env("WHSEC", "whsec_dGhpcyBpcyBhIHNlY3JldCB0aGF0IG5vYm9keSBndWVzc2Vz")
        .env("PATH_TOKEN", "0123456789abcdefghijklmnop")
}

/// One request, and whether it may be answered with success: a question that everybody may ask.
fn any_request(random: &mut Random) -> (Vec<u8>, bool) {
    let mut pick = |count: usize| usize::try_from(random.below(count as u64)).unwrap();
    let (provider, _) = SOURCES[pick(SOURCES.len())];
    let method = ["POST", "POST", "POST", "POST", "GET", "OPTIONS", "PUT"][pick(7)];
    let query = [
        "",
        "?",
        "?hub.mode=subscribe&hub.verify_token=x&hub.challenge=1",
        "?bodySHA256=00",
        "?%=%&&=",
        "?a#b",
    ][pick(6)];
    let mut body = BODIES[pick(BODIES.len())].as_bytes().to_vec();
    if pick(3) == 0 && !body.is_empty() {
        let at = pick(body.len());
        body[at] = u8::try_from(pick(256)).unwrap();
    }
    if pick(50) == 0 {
        body.resize(20_001, b' ');
    }
    let mut head =
        format!("{method} /in/{provider}{query} HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n", body.len());
    for _ in 0..pick(8) {
        head.push_str(&format!("{}: {}\r\n", HEADERS[pick(HEADERS.len())], VALUES[pick(VALUES.len())]));
    }
    head.push_str("\r\n");
    ([head.as_bytes(), &body].concat(), provider == "cloudevents" && method == "OPTIONS")
}

/// The status of the next answer; `None` where the broker has hung up.
async fn status(stream: &mut TcpStream) -> Option<u16> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    let mut body = vec![0; length.map_or(0, |length| length.parse().unwrap())];
    stream.read_exact(&mut body).await.ok()?;
    Some(head.split(' ').nth(1).unwrap().parse().unwrap())
}

async fn outcomes(server: &Server, outcome: &str) -> usize {
    let page = get(server.address, &format!("/v1/deliveries?limit=500&outcome={outcome}")).await.json();
    page["deliveries"].as_array().unwrap().len()
}

#[tokio::test]
async fn nothing_that_nobody_signed_is_taken() {
    let server = launch().start();
    let mut random = Random::new(4_711);
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut answered = 0;
    let all = async {
        for _ in 0..REQUESTS {
            let (request, may_succeed) = any_request(&mut random);
            let shown = String::from_utf8_lossy(&request).into_owned();
            let _ = stream.write_all(&request).await;
            match status(&mut stream).await {
                Some(status) if (200..300).contains(&status) => assert!(may_succeed, "{status}: {shown}"),
                Some(status) => assert!((400..500).contains(&status), "{status}: {shown}"),
                // Some of what cannot be read ends the connection.
                None => stream = TcpStream::connect(server.address).await.unwrap(),
            }
            answered += 1;
        }
    };
    within(LONG_PATIENCE, all).await;
    assert_eq!(answered, REQUESTS);
    for outcome in ["accepted", "duplicate", "filtered", "failed"] {
        assert_eq!(outcomes(&server, outcome).await, 0, "{outcome}");
    }
    assert!(outcomes(&server, "rejected").await > 400);
    // And what is signed is taken as ever.
    let body = b"{}";
    let headers = signing::github("what nobody guesses", "push", "d-1", body);
    assert_eq!(post(server.address, "/in/github", &headers, body).await.status, 200);
}
