//! A broker of its own, at its socket: heads and bodies of HTTP, event streams, handshakes and what comes behind them.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use fanwire::server::Server;
use socket2::SockRef;

use super::{Decode, configuration, files, transport};
use crate::{child, json, random::Random};

/// After which a client goes that cannot send on.
const SENDING: Duration = Duration::from_millis(200);

/// Within which an answer ends once the client has said all that it will.
const PATIENCE: Duration = Duration::from_secs(10);

/// Most bytes that are sent of one input: whole heads and some bodies, and never more than the kernel takes.
const BYTES_MAX: usize = 96 * 1024;

/// Topics of all kinds, and sources that take nothing without a secret.
const CONFIGURATION: &str = "
listen = '127.0.0.1:0'
shards = 1
[[rule]]
pattern = 'note:**'
kind = 'document'
[[rule]]
pattern = 'now:**'
kind = 'latest'
[[source]]
name = 'github'
provider = 'github'
secret_file = 'FILE'
[[source]]
name = 'stripe'
provider = 'stripe'
secret_file = 'FILE'
[[source]]
name = 'mailgun'
provider = 'mailgun'
secret_file = 'FILE'
[[source]]
name = 'twilio'
provider = 'twilio'
secret_file = 'FILE'
";

pub(super) const WORDS: &[&str] = &[
    "\r\n",
    "\r\n\r\n",
    "GET /v1/topics?limit=1 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "Host: localhost\r\n",
    "Content-Length: 5\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Expect: 100-continue\r\n",
    "Connection: upgrade\r\n",
    "Content-Encoding: gzip\r\n",
    "X-Forwarded-For: 1.2.3.4, 5.6.7.8\r\n",
    "Forwarded: for=\"[::1]:9\"\r\n",
    "Origin: null\r\n",
    "If-Match: \"1\"\r\n",
    "Idempotency-Key: a\r\n",
    "Last-Event-ID: chat%3Aa=1:2\r\n",
    "%00",
    "%2f",
    "%ff",
    "?",
    "&",
    "=",
    ";",
    "\"",
    "\t",
    " HTTP/1.0\r\n",
];

/// Requests as they should be.
pub(super) fn requests() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = files("fuzz/seeds/door").iter().map(|seed| with_line_ends(seed)).collect();
    let paths = [
        "/v1/topics?match=chat:**&limit=10&cursor=chat:a",
        "/v1/topics/chat:a/messages?after=1:2&limit=5&reverse=true",
        "/v1/topics/chat:a/presence",
        "/v1/documents/note:a?root=text",
        "/v1/documents/note:a/versions",
        "/v1/events?topic=chat:a&topic=chat:b&last=3&presence=1&lastEventId=chat%3Aa%3D1:2",
        "/v1/connections?limit=5",
        "/v1/stats",
        "/v1/config",
        "/v1/openapi.json",
    ];
    seeds.extend(paths.iter().map(|path| request("GET", path, "", b"")));
    seeds.extend([
        request("POST", "/v1/topics/chat:a/messages", "Idempotency-Key: k\r\n", br#"{"a":[1,2.5,null]}"#),
        request(
            "POST",
            "/v1/publish",
            "",
            br#"{"messages":[{"topic":"chat:a","data":1},{"topic":"now:b","data":{},"key":"k"}],"atomic":true}"#,
        ),
        request(
            "POST",
            "/v1/publish/stream",
            "",
            b"{\"topic\":\"chat:a\",\"data\":1}\n{\"topic\":\"chat:a\",\"data\":2}\n",
        ),
        request("PUT", "/v1/documents/note:a", "If-None-Match: *\r\n", br#"{"text":"x"}"#),
        request("POST", "/v1/disconnect", "", br#"{"user":"ann"}"#),
        [handshake(""), transport::frame(0x81, br#"{"type":"subscribe","id":1,"topic":"chat:a"}"#)].concat(),
    ]);
    seeds
}

/// Whole, and not meant well.
pub(super) fn hostile(random: &mut Random) -> Vec<u8> {
    let many = random.size(2_000);
    match random.below(11) {
        0 => request("GET", "/v1/topics", &"A: b\r\n".repeat(many), b""),
        1 => request("GET", &format!("/v1/topics?{}", "match=%C3**&".repeat(many)), "", b""),
        2 => request("GET", &format!("/v1/topics/{}", "a%2f../".repeat(many)), "", b""),
        3 => request("GET", "/v1/stats", "", b"").repeat(random.size(100)),
        4 => chunked(random),
        5 => request("POST", "/v1/topics/chat:a/messages", "", &json::value(random)),
        6 => request(
            "POST",
            "/v1/publish",
            "",
            format!("{{\"messages\":[{}1]}}", "{\"topic\":\"chat:a\",\"data\":1},".repeat(many)).as_bytes(),
        ),
        7 => request("PUT", "/v1/documents/note:a", "", &json::value(random)),
        8 => {
            let position =
                format!("Last-Event-ID: {}\r\n", "chat%3Aa=zz:18446744073709551615&".repeat(many / 10));
            request("GET", &format!("/v1/events?{}", "topic=chat:a&".repeat(many)), &position, b"")
        }
        9 => {
            let offers = format!(
                "Sec-WebSocket-Extensions: {}\r\n",
                "permessage-deflate; server_max_window_bits=9, ".repeat(many / 10)
            );
            [handshake(&offers), transport::hostile_frames(random)].concat()
        }
        _ => request(
            "GET",
            "/v1/connections",
            &format!("X-Forwarded-For: {}\r\n", "1.2.3.4, ".repeat(many)),
            b"",
        ),
    }
}

fn chunked(random: &mut Random) -> Vec<u8> {
    let head =
        "POST /v1/topics/chat:a/messages HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let body = match random.below(4) {
        0 => "1\r\n1\r\n".repeat(random.size(5_000)),
        1 => format!("{}\r\nx", "f".repeat(random.size(40))),
        2 => format!("1;{}\r\n1\r\n", "a=b;".repeat(random.size(5_000))),
        _ => format!("1\r\n1\r\n0\r\n{}", "Trailer: a\r\n".repeat(random.size(5_000))),
    };
    format!("{head}{body}0\r\n\r\n").into_bytes()
}

fn request(method: &str, target: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = if body.is_empty() {
        String::new()
    } else {
        format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len())
    };
    [format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n{headers}{length}\r\n").as_bytes(), body]
        .concat()
}

fn handshake(headers: &str) -> Vec<u8> {
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    request("GET", "/ws", &format!("{upgrade}{headers}"), b"")
}

/// Seeds of `fuzz/` have line feeds, up to the body.
fn with_line_ends(seed: &[u8]) -> Vec<u8> {
    let end = seed.windows(2).position(|pair| pair == b"\n\n").map_or(seed.len(), |end| end + 2);
    let head = String::from_utf8_lossy(&seed[..end]).replace("\r\n", "\n").replace('\n', "\r\n");
    [head.as_bytes(), &seed[end..]].concat()
}

/// Each input is all that a client sends before it hangs up. A panic is one, whoever catches it; an answer ends, and never says 500.
pub(super) fn server() -> Decode {
    let address = start();
    Box::new(move |bytes| {
        let answer = answer(address, &bytes[..bytes.len().min(BYTES_MAX)]);
        assert!(!answer.starts_with(b"HTTP/1.1 500"), "it does not know what to say");
        assert_eq!(child::panics(), 0, "something in the broker panicked");
    })
}

fn start() -> SocketAddr {
    let config = configuration(CONFIGURATION, b"what nobody guesses");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let runtime = Box::leak(Box::new(runtime));
    let server = runtime.block_on(async { Server::start(&config) }).unwrap_or_else(|error| panic!("{error}"));
    Box::leak(Box::new(server)).address()
}

fn answer(address: SocketAddr, sent: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    // Closed by a reset: a million connections must not wait for their ports.
    SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    stream.set_write_timeout(Some(SENDING)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let _ = stream.write_all(sent);
    let _ = stream.shutdown(Shutdown::Write);
    let (start, mut answer, mut buffer) = (Instant::now(), Vec::new(), [0; 16 * 1024]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return answer,
            // What decides is how it begins.
            Ok(count) if answer.is_empty() => answer.extend(&buffer[..count]),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => panic!("its answer does not end"),
            Err(_) => return answer,
        }
        assert!(start.elapsed() < PATIENCE, "its answer does not end");
    }
}
