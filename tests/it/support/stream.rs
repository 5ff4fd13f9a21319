//! Reading an endless answer: Server-Sent Events as they come.

use serde_json::Value;
use socket2::{SockFilter, SockRef};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
};

use super::{PATIENCE, Server, within};

/// A stream of events that is being read.
pub(crate) struct EventStream {
    lines: BufReader<TcpStream>,
    /// Status line and header lines, in lower case.
    pub(crate) head: String,
}

impl EventStream {
    /// Asks for a path, with extra header lines, each ending in CR LF.
    pub(crate) async fn open(server: &Server, path: &str, headers: &str) -> Self {
        let mut tcp = TcpStream::connect(server.address).await.unwrap();
        let head = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", server.address);
        let request = format!("{head}{headers}\r\n");
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut stream = Self { lines: BufReader::new(tcp), head: String::new() };
        while let Some(line) = stream.line().await.filter(|line| !line.is_empty()) {
            stream.head.push_str(&line.to_ascii_lowercase());
            stream.head.push('\n');
        }
        stream
    }

    /// From now on this client is as one whose network is gone: whatever comes is thrown away before it is acknowledged.
    pub(crate) fn lose_the_network(&self) {
        const RETURN: u16 = 0x06;
        let nothing = SockFilter::new(RETURN, 0, 0, 0);
        SockRef::from(self.lines.get_ref()).attach_filter(&[nothing]).unwrap();
    }

    async fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        let read = within(PATIENCE, self.lines.read_line(&mut line)).await.unwrap();
        (read > 0).then(|| line.trim_end_matches(['\r', '\n']).to_owned())
    }

    /// Waits for a sign of life.
    pub(crate) async fn heartbeat(&mut self) {
        while self.line().await.expect("the stream goes on") != ":" {}
    }

    /// The next event's name and data; none at the end. Chunk sizes of the transfer look like no field.
    pub(crate) async fn next(&mut self) -> Option<(String, Value)> {
        let (mut name, mut data) = ("message".to_owned(), String::new());
        loop {
            let line = self.line().await?;
            match line.split_once(": ") {
                Some(("event", text)) => name = text.into(),
                Some(("data", text)) => data.push_str(text),
                _ if line.is_empty() && !data.is_empty() => {
                    return Some((name, serde_json::from_str(&data).unwrap()));
                }
                _ => {}
            }
        }
    }

    /// The data of the next event, which has this name.
    pub(crate) async fn named(&mut self, name: &str) -> Value {
        let (found, data) = self.next().await.expect("the stream goes on");
        assert_eq!(found, name, "{data}");
        data
    }
}
