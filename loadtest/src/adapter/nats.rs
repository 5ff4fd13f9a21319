//! NATS over WebSocket: the NATS text protocol in binary frames. Publications are not acknowledged.

use super::{Adapter, Publication, Subscription};
use crate::error::Result;
use crate::wire::Reply;
use crate::ws::frame;

/// The adapter.
#[derive(Clone, Copy, Debug)]
pub struct Nats;

impl Adapter for Nats {
    fn name(&self) -> &'static str {
        "nats"
    }

    fn opcode(&self) -> u8 {
        frame::BINARY
    }

    fn hello(&self) -> Option<Vec<u8>> {
        let options = r#"{"verbose":false,"pedantic":false,"lang":"loadtest","version":"0","protocol":1}"#;
        Some(format!("CONNECT {options}\r\n").into_bytes())
    }

    fn subscribe(&self, id: u64, subscription: &Subscription) -> Result<Option<Vec<u8>>> {
        // A subscription has no reply of its own; the PONG behind it shows that it was taken.
        Ok(Some(format!("SUB {} {id}\r\nPING\r\n", subscription.topic).into_bytes()))
    }

    fn publish(&self, publication: &Publication<'_>) -> Result<Vec<u8>> {
        let Publication { topic, data, .. } = publication;
        Ok(format!("PUB {topic} {}\r\n{data}\r\n", data.len()).into_bytes())
    }

    fn acknowledges(&self) -> bool {
        false
    }

    fn decode(&self, payload: &[u8]) -> std::result::Result<Vec<Reply>, String> {
        let mut replies = Vec::new();
        let mut rest = payload;
        while !rest.is_empty() {
            let end = memchr::memmem::find(rest, b"\r\n").ok_or("a line that does not end")?;
            let line = std::str::from_utf8(&rest[..end]).map_err(|_| "a line that is not text")?;
            rest = &rest[end + 2..];
            let mut reply = Reply::default();
            let (verb, arguments) = line.split_once(' ').unwrap_or((line, ""));
            reply.kind = match verb {
                "INFO" => "welcome",
                "PONG" => "ok",
                "PING" => {
                    reply.code = Some("PONG\r\n".into());
                    "ping"
                }
                "MSG" => {
                    let mut words = arguments.split(' ');
                    reply.topic = words.next().map(str::to_owned);
                    let length: Option<usize> = words.next_back().and_then(|length| length.parse().ok());
                    let length = length.ok_or("a message without a length")?;
                    rest = rest.get(length + 2..).ok_or("a message that does not end")?;
                    "message"
                }
                "-ERR" => {
                    reply.message = Some(arguments.to_owned());
                    "error"
                }
                _ => "other",
            }
            .into();
            replies.push(reply);
        }
        Ok(replies)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_several_lines_is_read_to_its_end() {
        let frame = b"PONG\r\nMSG a:b 1 5\r\nPING\n\r\nMSG c 7 reply 0\r\n\r\n-ERR 'no'\r\nPING\r\n";
        let replies = Nats.decode(frame).unwrap();
        let kinds: Vec<&str> = replies.iter().map(|reply| reply.kind.as_str()).collect();
        assert_eq!(kinds, ["ok", "message", "message", "error", "ping"]);
        assert_eq!(replies[1].topic.as_deref(), Some("a:b"));
        assert!(Nats.decode(b"MSG a 1 50\r\nabc\r\n").is_err());
    }
}
