//! The messages of y-websocket: <https://github.com/yjs/y-protocols>, `sync.js`, `awareness.js`, `auth.js`.

use super::{
    lib0::{Malformed, Reader, put_bytes, put_uint},
    update::EMPTY,
};

/// What a client says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message<'a> {
    /// "This is what I have": a state vector. Wants to be told the rest.
    Step1(&'a [u8]),
    /// "This is what you lack": an update.
    Step2(&'a [u8]),
    /// "This has just changed": an update.
    Update(&'a [u8]),
    /// States of clients, see [`awareness`](super::awareness).
    Awareness(&'a [u8]),
    /// Wants to be told everybody's awareness.
    QueryAwareness,
    /// A type that other servers have; clients expect it to be ignored.
    Other,
}

impl<'a> Message<'a> {
    /// Reads one message; its content is not looked into yet.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let message = match reader.uint()? {
            0 => match reader.uint()? {
                0 => Self::Step1(reader.bytes()?),
                1 => Self::Step2(reader.bytes()?),
                2 => Self::Update(reader.bytes()?),
                _ => return Err(reader.wrong("a sync message of no known kind")),
            },
            1 => Self::Awareness(reader.bytes()?),
            // Some clients put something behind it.
            3 => return Ok(Self::QueryAwareness),
            _ => return Ok(Self::Other),
        };
        reader.end()?;
        Ok(message)
    }
}

/// An awareness message without entries: something to hear for a client that else would take the connection for dead.
pub const KEEPALIVE: &[u8] = &[1, 1, 0];

/// "This is what I have."
pub fn step1(vector: &[u8]) -> Vec<u8> {
    message(&[0, 0], vector)
}

/// "You have everything now." An empty step 2, which makes a client `synced`.
pub fn synced() -> Vec<u8> {
    message(&[0, 1], EMPTY)
}

/// "This has changed."
pub fn update(update: &[u8]) -> Vec<u8> {
    message(&[0, 2], update)
}

/// "You may not do that." A client writes it to its console and goes on.
pub fn denied(reason: &str) -> Vec<u8> {
    message(&[2, 0], reason.as_bytes())
}

fn message(head: &[u8], content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(head.len() + content.len() + 10);
    head.iter().for_each(|&number| put_uint(&mut bytes, u64::from(number)));
    put_bytes(&mut bytes, content);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// First frames of a y-websocket 3.1.0 provider, and others that were seen on the wire.
    #[test]
    fn frames_of_clients_are_understood() {
        assert_eq!(Message::decode(&[0, 0, 1, 0]), Ok(Message::Step1(&[0])));
        assert_eq!(Message::decode(&[0, 1, 2, 0, 0]), Ok(Message::Step2(EMPTY)));
        assert_eq!(Message::decode(KEEPALIVE), Ok(Message::Awareness(&[0])));
        assert_eq!(Message::decode(&[3, 9]), Ok(Message::QueryAwareness));
        assert_eq!(Message::decode(&[0x66, 1, 0]), Ok(Message::Other));
        assert!(Message::decode(&[]).is_err());
        assert!(Message::decode(&[0, 2, 9, 1]).is_err(), "a length over what is left");
        assert!(Message::decode(&[0, 0, 1, 0, 0]).is_err(), "two messages in one frame");
        assert_eq!(synced(), [0, 1, 2, 0, 0]);
        assert_eq!(step1(&[0]), [0, 0, 1, 0]);
    }
}
