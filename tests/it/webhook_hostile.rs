//! Whatever is sent to the door of webhooks: bounded, answered, and nothing of it passes that the provider did not sign.

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    support::{Client, Launch, PATIENCE, Server, get, post, request, signing, within},
    webhooks::broker,
};

const SECRET: &str = "It's a Secret to Everybody";

const GITHUB: &str = "[[source]]\nname = 'repo'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\n";

/// Writes and reads to the end.
async fn exchange(server: &Server, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let _ = within(PATIENCE, stream.read_to_end(&mut answer)).await;
    answer
}

/// A body in chunks of one size.
fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let chunks = body.chunks(size).flat_map(|chunk| {
        [format!("{:x}\r\n", chunk.len()).into_bytes(), chunk.to_vec(), b"\r\n".to_vec()].concat()
    });
    chunks.chain(*b"0\r\n\r\n").collect()
}

async fn rejected(server: &Server) -> Vec<Value> {
    let page = get(server.address, "/v1/deliveries?outcome=rejected").await.json();
    page["deliveries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn chunks_count_to_the_byte() {
    let server = broker(&format!("{GITHUB}max_body_bytes = 1000\n"));
    let mut client = Client::connect(&server).await;
    client.subscribe("webhook:repo").await;
    for size in [1, 3, 999, 1_000, 2_000] {
        let fits = format!("\"{}\"", format!("{size}:").repeat(1_000)[..998].to_owned()).into_bytes();
        for (body, expected) in [(&fits[..], 200), (&[&fits[..], b" "].concat()[..], 413)] {
            let headers = signing::github(SECRET, "push", &size.to_string(), body);
            let head = format!("POST /in/repo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n{headers}");
            let answer = request(server.address, &head, &chunked(body, size)).await;
            assert_eq!(answer.status, expected, "{} bytes in chunks of {size}", body.len());
        }
        assert_eq!(client.data().await["data"].as_str().unwrap().len(), 998);
    }
    let unread = rejected(&server).await;
    assert_eq!(unread.len(), 5);
    assert_eq!((&unread[0]["cause"], &unread[0]["bytes"]), (&json!("not_read"), &json!(0)));
    let path = format!("/v1/deliveries/{}/replay", unread[0]["id"].as_str().unwrap());
    assert_eq!(post(server.address, &path, "", b"").await.status, 409);
}

#[tokio::test]
async fn what_is_not_text_arrives_as_it_is() {
    let server = broker(GITHUB);
    let mut client = Client::connect(&server).await;
    client.subscribe("webhook:repo").await;
    let body = b"\xff\xfe{\"a\":\"\xc3\"}\0";
    let headers = signing::github(SECRET, "push", "d-1", body);
    assert_eq!(post(server.address, "/in/repo", &headers, body).await.status, 200);
    let envelope = client.data().await;
    assert_eq!(envelope["raw_b64"], data_encoding::BASE64.encode(body));
    // JSON whose texts are not UTF-8 is no JSON.
    let broken = b"{\"a\":\"\xc3\"}";
    let headers = signing::github(SECRET, "push", "d-2", broken);
    assert_eq!(post(server.address, "/in/repo", &headers, broken).await.status, 200);
    assert_eq!(client.data().await["raw_b64"], data_encoding::BASE64.encode(broken));
    // Bytes in headers that are signed by nobody are left out, and are no reason to refuse.
    let body = b"{\"a\":1}";
    let headers = signing::github(SECRET, "push", "d-3", body);
    let head =
        format!("POST /in/repo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 7\r\n{headers}");
    let bytes = [head.as_bytes(), b"X-Odd: \xff\xfe\r\n\r\n", body].concat();
    let answer = String::from_utf8_lossy(&exchange(&server, &bytes).await).into_owned();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert_eq!(client.data().await["data"]["a"], 1);
}

#[tokio::test]
async fn of_several_signatures_any_will_do_but_not_any_number() {
    let server = broker(GITHUB);
    let good = |id: &str, body: &[u8]| signing::github(SECRET, "push", id, body);
    let wrong = |count: usize| format!("X-Hub-Signature-256: sha256={}\r\n", "ab".repeat(32)).repeat(count);
    for (id, before, after, expected) in
        [("1", 1, 0, 200), ("2", 0, 1, 200), ("3", 7, 0, 200), ("4", 8, 0, 401), ("5", 60, 0, 401)]
    {
        let body = format!("{{\"id\":{id}}}");
        let headers = format!("{}{}{}", wrong(before), good(id, body.as_bytes()), wrong(after));
        let answer = post(server.address, "/in/repo", &headers, body.as_bytes()).await;
        assert_eq!(answer.status, expected, "{before} and {after}: {}", answer.body);
    }
    // One header with two signatures in it is none of either.
    let body = b"{}";
    let signature = signing::hex(SECRET, &[body]);
    let joined = format!("X-Hub-Signature-256: sha256={signature}, sha256={signature}\r\n");
    assert_eq!(post(server.address, "/in/repo", &joined, body).await.status, 401);
}

#[tokio::test]
async fn names_of_sources_that_there_are_not_leave_nothing_behind() {
    let server = broker(GITHUB);
    let before = server.resident_bytes();
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    let mut answers = Vec::new();
    for hundred in 0..100 {
        let request = |n: usize| {
            let last = if hundred * 100 + n == 9_999 { "Connection: close\r\n" } else { "" };
            format!("POST /in/name-{hundred}-{n} HTTP/1.1\r\nHost: x\r\n{last}Content-Length: 2\r\n\r\n{{}}")
        };
        let requests: String = (0..100).map(request).collect();
        stream.write_all(requests.as_bytes()).await.unwrap();
        let mut part = vec![0; 1 << 20];
        // Enough is read that neither side waits for the other.
        let length = within(PATIENCE, stream.read(&mut part)).await.unwrap();
        answers.extend_from_slice(&part[..length]);
    }
    within(PATIENCE, stream.read_to_end(&mut answers)).await.unwrap();
    let answers = String::from_utf8_lossy(&answers).into_owned();
    assert_eq!(answers.matches("HTTP/1.1 404").count(), 10_000);
    assert!(!get(server.address, "/metrics").await.body.contains("name-"));
    assert!(rejected(&server).await.is_empty());
    let grown = server.resident_bytes().saturating_sub(before);
    assert!(grown < 16 * 1024 * 1024, "{grown} bytes");
}

#[tokio::test]
async fn compressed_bodies_are_refused_and_noted() {
    let server = broker(GITHUB);
    let body = b"{}";
    for encoding in ["gzip", "br", "identity, gzip"] {
        let headers =
            signing::github(SECRET, "push", "d-1", body) + &format!("Content-Encoding: {encoding}\r\n");
        let answer = post(server.address, "/in/repo", &headers, body).await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (415, &json!("unsupported_media_type")),
            "{encoding}"
        );
    }
    let noted = rejected(&server).await;
    assert_eq!(noted.len(), 3);
    assert!(noted[0]["detail"].as_str().unwrap().contains("Content-Encoding"), "{}", noted[0]);
    let headers = signing::github(SECRET, "push", "d-1", body) + "Content-Encoding: identity\r\n";
    assert_eq!(post(server.address, "/in/repo", &headers, body).await.status, 200);
}

#[tokio::test]
async fn who_expects_to_be_told_to_go_on_is_told() {
    let server = broker(&format!("{GITHUB}max_body_bytes = 1000\n"));
    let send = async |length: usize, body: &[u8]| {
        let headers = signing::github(SECRET, "push", "d-1", body);
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        let head = format!(
            "POST /in/repo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n{headers}\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut first = [0; 4096];
        let read = within(PATIENCE, stream.read(&mut first)).await.unwrap();
        let mut answer = String::from_utf8_lossy(&first[..read]).into_owned();
        if answer.starts_with("HTTP/1.1 100") {
            stream.write_all(body).await.unwrap();
            within(PATIENCE, stream.read_to_string(&mut answer)).await.unwrap();
        }
        answer
    };
    let answer = send(2, b"{}").await;
    assert!(
        answer.starts_with("HTTP/1.1 100 Continue\r\n") && answer.contains("HTTP/1.1 200 OK"),
        "{answer}"
    );
    // Nobody sends what will be refused.
    let answer = send(1_001, b"{}").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn slow_bodies_and_huge_heads_end() {
    let server = Launch::default()
        .config(&format!("handshake_timeout_ms = 500\n{GITHUB}"))
        .env("HOOK_SECRET", SECRET)
        .start();
    let slow = b"POST /in/repo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{";
    let answer = String::from_utf8_lossy(&exchange(&server, slow).await).into_owned();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(rejected(&server).await[0]["detail"].as_str().unwrap().contains("too long"));
    let huge = format!("POST /in/repo HTTP/1.1\r\nX-Hub-Signature-256: {}\r\n", "a".repeat(1_000_000));
    let answer = exchange(&server, huge.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
    let many = (0..1_000).map(|n| format!("X-{n}: y\r\n")).collect::<String>();
    assert_eq!(request(server.address, &format!("POST /in/repo HTTP/1.1\r\n{many}"), b"").await.status, 431);
    assert_eq!(get(server.address, "/healthz").await.status, 200);
}

#[tokio::test]
async fn other_methods_are_told_which_there_are() {
    let server = broker(GITHUB);
    for method in ["GET", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let answer = request(server.address, &format!("{method} /in/repo HTTP/1.1\r\n"), b"").await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("post")), "{method}");
    }
}

/// Before anybody has shown a signature, by senders whose providers put theirs into the body.
#[tokio::test]
async fn nested_bodies_that_nobody_signed_end_nothing() {
    let source = |name: &str, needs: &str| {
        format!("[[source]]\nname = '{name}'\nprovider = '{name}'\nsecret_env = 'HOOK_SECRET'\n{needs}\n")
    };
    let sources = [
        source("mailgun", ""),
        source("linear", ""),
        "[[source]]\nname = 'sns'\nprovider = 'sns'\nexpect = 'arn:aws:sns:eu-west-1:1:t'\n".into(),
        "[[source]]\nname = 'salesforce'\nprovider = 'salesforce'\nexpect = '00D'\nallow_unsigned = true\n"
            .into(),
    ];
    let server = broker(&sources.concat());
    let xml = [
        "<a><!--</a>-->",
        "<a><![CDATA[</a>]]>",
        "<a><?x </a>?>",
        "<a b='</a>'>",
        "<a b=\"</a>\" c='/>'>",
        "<a>",
        "<a ><b/>",
    ];
    let json = ["[", "{\"a\":", "[{\"type\":", "{\"signature\":"];
    let bodies =
        xml.map(|tag| ("text/xml", tag)).into_iter().chain(json.map(|open| ("application/json", open)));
    for (media_type, open) in bodies {
        let body = open.repeat(144_000 / open.len());
        for name in ["mailgun", "linear", "sns", "salesforce"] {
            let signature =
                format!("Content-Type: {media_type}\r\nLinear-Signature: {}\r\n", "ab".repeat(32));
            let answer = post(server.address, &format!("/in/{name}"), &signature, body.as_bytes()).await;
            assert!((400..500).contains(&answer.status), "{name} {open}: {}", answer.body);
        }
    }
    assert_eq!(get(server.address, "/healthz").await.status, 200);
}
