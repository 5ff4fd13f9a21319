//! One HTTP request per connection, written by hand.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{PATIENCE, within};

/// What came back.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Status line and header lines, in lower case.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, &format!("GET {path} HTTP/1.1\r\n"), b"").await
}

/// Posts a body with extra header lines, each ending in CR LF.
pub(crate) async fn post(address: SocketAddr, path: &str, headers: &str, body: &[u8]) -> Answer {
    let head = format!("POST {path} HTTP/1.1\r\nContent-Length: {}\r\n{headers}", body.len());
    request(address, &head, body).await
}

/// Sends a request whose head lacks only `Host` and the blank line, and reads until the server closes.
pub(crate) async fn request(address: SocketAddr, head: &str, body: &[u8]) -> Answer {
    raw_request(address, &format!("{head}Host: {address}\r\nConnection: close\r\n"), body).await
}

/// Sends a request whose head lacks only the blank line, and reads until its answer is there or the server closes.
pub(crate) async fn raw_request(address: SocketAddr, head: &str, body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("{head}\r\n");
    // A server that refuses early may close before it has read everything; its answer still counts.
    let _ = stream.write_all(&[head.as_bytes(), body].concat()).await;
    let mut bytes = Vec::new();
    let read =
        async { while !is_whole(&bytes) && stream.read_buf(&mut bytes).await.is_ok_and(|read| read > 0) {} };
    within(PATIENCE, read).await;
    parse(&bytes)
}

/// Whether an answer to a request that did not ask for the end of the connection has come.
fn is_whole(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length = length.and_then(|length| length.trim().parse::<usize>().ok());
    head.starts_with("http/1.1 101") || length.is_some_and(|length| body.len() >= length)
}

fn parse(bytes: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no HTTP answer: {text:?}"));
    let head = head.to_ascii_lowercase();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let body = if head.contains("transfer-encoding: chunked") { join_chunks(body) } else { body.to_owned() };
    Answer { status, head, body }
}

fn join_chunks(mut rest: &str) -> String {
    let mut body = String::new();
    while let Some((size, tail)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size == 0 {
            break;
        }
        body.push_str(&tail[..size]);
        rest = &tail[size + 2..];
    }
    body
}
