//! What publishing over HTTP costs the broker. A measurement, not a check:
//!
//! ```sh
//! cargo test --release --test it http_cost -- --ignored --nocapture
//! ```

use std::time::Instant;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::support::Server;

const MESSAGES: usize = 20_000;
const BATCH: usize = 1_000;
const DATA: &str = r#"{"text":"a message of a common size, which is to say about a hundred and thirty bytes or so","n":123456,"more":"abcdefgh"}"#;

/// A connection that is kept.
struct KeepAlive {
    stream: TcpStream,
    read: Vec<u8>,
}

impl KeepAlive {
    async fn open(server: &Server) -> Self {
        let stream = TcpStream::connect(server.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, read: Vec::new() }
    }

    /// Sends requests and reads as many answers, which must all be 200.
    async fn exchange(&mut self, requests: &[u8], answers: usize) {
        self.stream.write_all(requests).await.unwrap();
        for _ in 0..answers {
            while !self.take_answer() {
                assert!(self.stream.read_buf(&mut self.read).await.unwrap() > 0);
            }
        }
    }

    fn take_answer(&mut self) -> bool {
        let Some(head) = self.read.windows(4).position(|bytes| bytes == b"\r\n\r\n") else { return false };
        let text = std::str::from_utf8(&self.read[..head]).unwrap();
        assert!(text.starts_with("HTTP/1.1 200 "), "{text}");
        let length = text.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let end = head + 4 + length.parse::<usize>().unwrap();
        let complete = self.read.len() >= end;
        if complete {
            self.read.drain(..end);
        }
        complete
    }
}

fn post(path: &str, body: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

async fn measure(what: &str, requests: &[u8], per_exchange: usize, messages: usize) -> f64 {
    let server = Server::development();
    let mut connection = KeepAlive::open(&server).await;
    connection.exchange(requests, per_exchange).await;
    let (cpu, started) = (server.cpu_seconds(), Instant::now());
    for _ in 0..MESSAGES / messages {
        connection.exchange(requests, per_exchange).await;
    }
    let (cpu, wall) = (server.cpu_seconds() - cpu, started.elapsed().as_secs_f64());
    let count = u32::try_from(MESSAGES).unwrap();
    let each = cpu / f64::from(count) * 1e6;
    println!("{what:<36} {each:7.2} µs CPU a message, {:9.0} messages/s", f64::from(count) / wall);
    each
}

#[tokio::test]
#[ignore = "a measurement"]
async fn single_batched_and_streamed() {
    let single = post("/v1/topics/chat:a/messages", DATA);
    let alone = measure("single, one by one", &single, 1, 1).await;
    measure("single, 16 in flight", &single.repeat(16), 16, 16).await;
    let message = format!(r#"{{"topic":"chat:a","data":{DATA}}}"#);
    let batch = format!(r#"{{"messages":[{}]}}"#, vec![message; BATCH].join(","));
    let batched = measure("in batches of 1000", &post("/v1/publish", &batch), 1, BATCH).await;
    println!("a batch of 1000 costs 1/{:.0} of 1000 single requests", alone / batched);
}
