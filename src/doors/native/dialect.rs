//! What the native protocol says, in either of its formats.

use fanwire_proto::{Delivery, EncodeError, Event, Format};

use crate::doors::notices::event_of;
use crate::wire::{Body, Dialect, Limits, Notice, Variant};

/// The native protocol in one format.
pub struct NativeDialect {
    format: Format,
}

impl NativeDialect {
    /// The protocol in this format.
    pub fn new(format: Format) -> Self {
        Self { format }
    }
}

impl Dialect for NativeDialect {
    fn name(&self) -> &'static str {
        match self.format {
            Format::Json => "json",
            Format::MsgPack => "msgpack",
        }
    }

    fn reads(&self, limits: &Limits) -> usize {
        limits.max_message_bytes
    }

    fn delivery(&self, delivery: Delivery<'_>, _: Variant) -> Body {
        body_of(self.format, self.format.encode_delivery(delivery))
    }

    fn tells_skipped(&self) -> bool {
        true
    }

    fn notice(&self, notice: &Notice<'_>) -> Body {
        say(self.format, &event_of(notice))
    }
}

/// An event as a message of the protocol.
pub(super) fn say(format: Format, event: &Event) -> Body {
    body_of(format, format.encode_event(event))
}

fn body_of(format: Format, encoded: Result<Vec<u8>, EncodeError>) -> Body {
    match (encoded, format) {
        (Ok(bytes), Format::Json) => Body::text(bytes),
        (Ok(bytes), Format::MsgPack) => Body::binary(bytes),
        (Err(error), _) => {
            tracing::error!(%error, "a message was not sent");
            Body::Nothing
        }
    }
}
