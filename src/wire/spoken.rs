//! Dialects by number, and what one connection speaks.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use bytes::Bytes;
use fanwire_proto::{Delivery, Message};

use super::{Body, Dialect, DialectId, Encoded, Encoding, Frame, Framing, Notice, Variant};

/// Gives every dialect its number. One per broker, since messages are shared by all its connections.
#[derive(Debug, Default)]
pub struct Dialects(AtomicU32);

impl Dialects {
    /// Takes in a dialect, once for all connections that will speak it: every shard keeps a place for each that ever was.
    pub fn register(&self, dialect: impl Dialect + 'static, framing: Framing) -> Spoken {
        // Relaxed: a number of its own is all that is asked for, and nothing is published along with it.
        let id = DialectId(self.0.fetch_add(1, Ordering::Relaxed));
        let encoding = Encoding { dialect: id, variant: Variant::default(), framing };
        Spoken { encoding, dialect: Arc::new(dialect) }
    }
}

/// What a connection speaks.
#[derive(Clone)]
pub struct Spoken {
    encoding: Encoding,
    dialect: Arc<dyn Dialect>,
}

impl Spoken {
    /// A registered dialect in one of its encodings.
    pub(crate) fn new(encoding: Encoding, dialect: Arc<dyn Dialect>) -> Self {
        Self { encoding, dialect }
    }

    /// The dialect by itself.
    pub fn dialect(&self) -> &Arc<dyn Dialect> {
        &self.dialect
    }

    /// What decides about its bytes.
    pub fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// The same dialect in another framing.
    #[must_use]
    pub fn framed(mut self, framing: Framing) -> Self {
        self.encoding.framing = framing;
        self
    }

    /// For encoding.
    pub fn speaker(&self) -> Speaker<'_> {
        Speaker { encoding: self.encoding, dialect: &*self.dialect }
    }
}

/// Makes the bytes of one encoding.
#[derive(Clone, Copy)]
pub struct Speaker<'a> {
    encoding: Encoding,
    dialect: &'a dyn Dialect,
}

impl<'a> Speaker<'a> {
    /// A registered dialect in one of its encodings.
    pub(crate) fn new(encoding: Encoding, dialect: &'a dyn Dialect) -> Self {
        Self { encoding, dialect }
    }

    /// Which encoding.
    pub fn encoding(self) -> Encoding {
        self.encoding
    }

    /// Whose words.
    pub fn dialect(self) -> &'a dyn Dialect {
        self.dialect
    }

    /// What every subscriber with this encoding gets of a message.
    pub fn delivery<'m>(self, message: &'m Message, encoded: &'m Encoded) -> &'m Frame {
        encoded.get(self.encoding, || self.encode(Delivery { message, skipped: 0 }))
    }

    /// The same behind `skipped` conflated values; not kept where that makes a difference.
    pub fn delivery_after(self, message: &Message, encoded: &Encoded, skipped: u64) -> Frame {
        match skipped > 0 && self.dialect.tells_skipped() {
            true => self.encode(Delivery { message, skipped }),
            false => self.delivery(message, encoded).clone(),
        }
    }

    /// What every subscriber with this encoding is told.
    pub fn shared_notice<'m>(self, notice: &Notice<'_>, encoded: &'m Encoded) -> &'m Frame {
        encoded.get(self.encoding, || self.notice(notice))
    }

    /// What one client is told.
    pub fn notice(self, notice: &Notice<'_>) -> Frame {
        self.encoding.framing.frame(self.dialect.notice(notice))
    }

    /// What a door has to say itself.
    pub fn say(self, body: Body) -> Bytes {
        self.encoding.framing.frame_for_one(&body)
    }

    fn encode(self, delivery: Delivery<'_>) -> Frame {
        self.encoding.framing.frame(self.dialect.delivery(delivery, self.encoding.variant))
    }
}
