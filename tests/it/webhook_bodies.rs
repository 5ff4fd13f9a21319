//! What providers really send: JSON that is legal but awkward, forms with files, and bodies that come compressed.

use std::io::Write;

use flate2::{
    Compression,
    write::{DeflateEncoder, GzEncoder, ZlibEncoder},
};
use serde_json::{Value, json};

use crate::{
    support::{Client, Connect, Encoding, Server, get, now_s, post, signing},
    webhooks::broker,
};

const SECRET: &str = "It's a Secret to Everybody";

const STRIPE: &str = r#"
[[source]]
name = 'pay'
provider = 'stripe'
secret_env = 'HOOK_SECRET'
filter = { body = { type = { "$startsWith" = "a." } } }
"#;

async fn listener(server: &Server, topic: &str) -> Client {
    let mut client = Client::connect(server).await;
    client.subscribe(topic).await;
    client
}

async fn pay(server: &Server, body: &[u8]) {
    let headers = signing::stripe(SECRET, now_s(), body);
    let answer = post(server.address, "/in/pay", &headers, body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
}

#[tokio::test]
async fn awkward_json_is_published_once_with_its_structure() {
    let server = broker(STRIPE);
    let mut client = listener(&server, "webhook:pay").await;
    let mut packed = Connect::to(&server).encoding(Encoding::MsgPack).open().await;
    packed.subscribe("webhook:pay").await;
    for (body, data) in [
        (
            r#"{"id":"1","type":"a.b","s":"\ud800x","\udc00":1}"#.as_bytes(),
            json!({ "id": "1", "type": "a.b", "s": "\u{fffd}x", "\u{fffd}": 1 }),
        ),
        (b"\xef\xbb\xbf{\"id\":\"2\",\"type\":\"a.b\"}", json!({ "id": "2", "type": "a.b" })),
        (
            br#"{"id":"3","type":"a.b","n":1e400,"m":-1E+999}"#,
            json!({ "id": "3", "type": "a.b", "n": "1e400", "m": "-1E+999" }),
        ),
        (br#"{"id":"0","type":"x","id":"4","type":"a.b"}"#, json!({ "id": "4", "type": "a.b" })),
        (
            br#"{"id":12345678901234567890123,"type":"a.b"}"#,
            json!({ "id": 12_345_678_901_234_567_890_123_f64, "type": "a.b" }),
        ),
        // As a double the same number, and another event.
        (
            br#"{"id":12345678901234567890124,"type":"a.b"}"#,
            json!({ "id": 12_345_678_901_234_567_890_123_f64, "type": "a.b" }),
        ),
    ] {
        for _ in 0..2 {
            pay(&server, body).await;
        }
        let envelope = client.data().await;
        assert_eq!((&envelope["data"], &envelope["event"]), (&data, &json!("a.b")), "{envelope}");
        assert_eq!(packed.data().await["data"], data);
    }
    client.expect_nothing().await;
    let page = get(server.address, "/v1/deliveries?outcome=duplicate").await.json();
    assert_eq!(page["deliveries"].as_array().unwrap().len(), 6, "{page}");
}

#[tokio::test]
async fn templates_show_numbers_as_they_came() {
    let server = broker(
        "[[source]]\nname = 'text'\nprovider = 'unsigned'\nallow_unsigned = true\npayload_type = 'text'\n\
         topic = 't:{{ body.n | topic_segment }}'\npayload = '{{ body.n }} {{ body.list | tojson }}'\n\
         [[source]]\nname = 'json'\nprovider = 'unsigned'\nallow_unsigned = true\ntopic = 'j'\n\
         payload = '{\"n\":{{ body.n }},\"more\":{% if body.n > 1 %}true{% else %}false{% endif %}}'\n",
    );
    let mut client = Client::connect(&server).await;
    for number in ["1.10", "12345678901234567890123", "1e400", "2.0", "1E5", "-0.0"] {
        client.subscribe(&format!("t:{number}")).await;
        let body = format!("{{\"n\":{number},\"list\":[{number}]}}");
        assert_eq!(post(server.address, "/in/text", "", body.as_bytes()).await.status, 200);
        let shown = if number == "1e400" { "[\"1e400\"]".to_owned() } else { format!("[{number}]") };
        assert_eq!(client.data().await, format!("{number} {shown}"));
        if number == "1e400" {
            continue;
        }
        assert_eq!(post(server.address, "/in/json", "", body.as_bytes()).await.status, 200);
        let raw = get(server.address, "/v1/topics/j/messages").await.body;
        assert!(raw.contains(&format!("{{\"n\":{number},\"more\":{}}}", number != "-0.0")), "{raw}");
    }
}

/// What Mailgun posts for a message with an attachment.
fn multipart(timestamp: &str, token: &str, signature: &str) -> Vec<u8> {
    let field = |name: &str, value: &str| {
        format!("--xyz\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let fields =
        [("timestamp", timestamp), ("token", token), ("signature", signature), ("subject", "\u{e4} + b")];
    let mut body: Vec<u8> = fields.iter().flat_map(|(name, value)| field(name, value).into_bytes()).collect();
    body.extend(
        b"--xyz\r\nContent-Disposition: form-data; name=\"attachment-1\"; filename=\"a;b.png\"\r\n\
          Content-Type: image/png\r\n\r\n\x89PNG\r\n\x00\r\n--xyz--\r\n",
    );
    body
}

#[tokio::test]
async fn forms_with_files_are_read_and_verified() {
    let server = broker("[[source]]\nname = 'mail'\nprovider = 'mailgun'\nsecret_env = 'HOOK_SECRET'\n");
    let mut client = listener(&server, "webhook:mail").await;
    let (timestamp, token) = (now_s().to_string(), "t".repeat(50));
    let signature = signing::hex(SECRET, &[timestamp.as_bytes(), token.as_bytes()]);
    let headers = "Content-Type: multipart/form-data; boundary=\"xyz\"\r\n";
    let body = multipart(&timestamp, &token, &signature);
    for _ in 0..2 {
        let answer = post(server.address, "/in/mail", headers, &body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
    let envelope = client.data().await;
    assert_eq!(envelope["data"]["subject"], "\u{e4} + b");
    let file = json!({ "filename": "a;b.png", "type": "image/png", "bytes": 7 });
    assert_eq!(envelope["data"]["attachment-1"], file, "{envelope}");
    client.expect_nothing().await;
    for (headers, body) in [
        (headers, multipart(&timestamp, "other", &signature)),
        (headers, body[..body.len() - 12].to_vec()),
        ("Content-Type: multipart/form-data\r\n", body.clone()),
    ] {
        assert_eq!(post(server.address, "/in/mail", headers, &body).await.status, 406);
    }
}

fn compressed(body: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    let mut raw = DeflateEncoder::new(Vec::new(), Compression::default());
    for target in [&mut gzip as &mut dyn Write, &mut zlib, &mut raw] {
        target.write_all(body).unwrap();
    }
    vec![
        ("gzip", gzip.finish().unwrap()),
        ("deflate", zlib.finish().unwrap()),
        ("deflate", raw.finish().unwrap()),
    ]
}

const GITHUB: &str =
    "[[source]]\nname = 'repo'\nprovider = 'github'\nsecret_env = 'HOOK_SECRET'\nmax_body_bytes = 200000\n";

#[tokio::test]
async fn compressed_bodies_are_read_whichever_bytes_are_signed() {
    let server = broker(GITHUB);
    let mut client = listener(&server, "webhook:repo").await;
    for (number, (encoding, sent)) in compressed(br#"{"ref":"main"}"#).into_iter().enumerate() {
        for (signed, name) in [(&b"{\"ref\":\"main\"}"[..], "a"), (&sent, "b")] {
            let id = format!("{number}{name}");
            let headers = signing::github(SECRET, "push", &id, signed);
            let headers = format!("Content-Encoding: {encoding}\r\n{headers}");
            let answer = post(server.address, "/in/repo", &headers, &sent).await;
            assert_eq!(answer.status, 200, "{encoding} {}", answer.body);
        }
    }
    // Signed over what was written, all of them are one.
    for _ in 0..4 {
        assert_eq!(client.data().await["data"], json!({ "ref": "main" }));
    }
    client.expect_nothing().await;
    let page = get(server.address, "/v1/deliveries?outcome=accepted").await.json();
    let first = page["deliveries"].as_array().unwrap().last().unwrap().clone();
    let id = first["id"].as_str().unwrap();
    let raw = get(server.address, &format!("/v1/deliveries/{id}/raw")).await;
    let sent = compressed(br#"{"ref":"main"}"#)[0].1.len().to_string();
    assert_eq!(raw.header("content-length"), Some(sent.as_str()), "as it came");
    let replayed = post(server.address, &format!("/v1/deliveries/{id}/replay"), "", b"").await;
    assert_eq!(replayed.status, 200, "{}", replayed.body);
    assert_eq!(client.data().await["data"], json!({ "ref": "main" }));
}

#[tokio::test]
async fn bombs_and_what_is_no_compression_are_refused() {
    let server = broker(GITHUB);
    let before = server.resident_bytes();
    let large = compressed(&vec![b' '; 200_001]);
    let fits = compressed(format!("\"{}\"", "ab".repeat(30_000)).as_bytes());
    let bomb = compressed(&vec![b' '; 64 * 1024 * 1024]);
    let send = async |encoding: &str, body: &[u8]| {
        let headers = format!("Content-Encoding: {encoding}\r\n");
        post(server.address, "/in/repo", &headers, body).await
    };
    for ((encoding, large), ((_, fits), (_, bomb))) in large.iter().zip(fits.iter().zip(&bomb)) {
        assert_eq!(send(encoding, fits).await.status, 401, "read, and signed by nobody");
        assert_eq!(send(encoding, large).await.status, 413);
        assert_eq!(send(encoding, bomb).await.status, 413);
        assert_eq!(send(encoding, &fits[..fits.len() / 2]).await.status, 415);
    }
    for unknown in ["br", "zstd", "gzip, gzip", "x"] {
        let answer = send(unknown, b"{}").await;
        assert_eq!(
            (answer.status, &answer.json()["code"]),
            (415, &json!("unsupported_media_type")),
            "{unknown}"
        );
    }
    assert!(server.resident_bytes() < before + 64 * 1024 * 1024);
    let page: Value = get(server.address, "/v1/deliveries?outcome=rejected").await.json();
    assert!(page["deliveries"].as_array().unwrap().iter().any(|delivery| {
        delivery["detail"].as_str().unwrap_or_default().contains("when it is decompressed")
    }));
}
