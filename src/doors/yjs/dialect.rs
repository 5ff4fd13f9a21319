//! What the protocol of y-websocket says: messages of a document, and nothing else.

use bytes::Bytes;
use fanwire_proto::{CloseCode, Delivery, ErrorCode, Payload};

use crate::{
    document::message,
    wire::{Body, Closing, Dialect, Ending, Limits, Notice, Variant},
};

/// What a message has beside an update: two types and a length.
const ENVELOPE_BYTES: usize = 16;

/// Providers stay away after it.
const DELETED: Closing = Closing { code: 4404, reason: "the document was deleted" };

/// The protocol, which knows no formats.
pub struct YjsDialect;

impl Dialect for YjsDialect {
    fn name(&self) -> &'static str {
        "yjs"
    }

    fn reads(&self, limits: &Limits) -> usize {
        limits.max_update_bytes.saturating_add(ENVELOPE_BYTES)
    }

    /// A document is as large as it is, and a client gets it once or twice before it is read from again.
    fn outbox(&self, _: &Limits) -> Option<usize> {
        None
    }

    /// An awareness message as it is, which is what messages with a key are here; anything else that is bytes as an
    /// update.
    fn delivery(&self, Delivery { message, .. }: Delivery<'_>, _: Variant) -> Body {
        match &message.payload {
            Payload::Bytes(bytes) if message.key.is_some() => said(bytes.clone()),
            Payload::Bytes(bytes) => said(message::update(bytes)),
            _ => Body::Nothing,
        }
    }

    fn tells_skipped(&self) -> bool {
        false
    }

    fn notice(&self, _: &Notice<'_>) -> Body {
        Body::Nothing
    }

    /// A provider reconnects after every code but those from 4400 to 4499.
    fn closing(&self, code: CloseCode) -> Closing {
        let closing = Closing::from(code);
        let number = match code {
            CloseCode::Protocol | CloseCode::Unsupported | CloseCode::InvalidText => 4400,
            CloseCode::TokenMissing => 4401,
            CloseCode::Disconnected => 4403,
            CloseCode::TooBig => 4413,
            CloseCode::OutboxFull => 1013,
            // It reads its token anew before it comes back.
            CloseCode::TokenExpired | CloseCode::PingTimeout => closing.code,
            CloseCode::Normal | CloseCode::GoingAway | CloseCode::Internal => closing.code,
        };
        Closing { code: number, ..closing }
    }

    /// The connection is for the document and nothing else.
    fn ending(&self, code: ErrorCode) -> Ending {
        Ending::Connection(match code {
            ErrorCode::Deleted => DELETED,
            _ => self.closing(CloseCode::Disconnected),
        })
    }
}

/// A message in a frame of its own, since a provider reads one message per frame.
pub(super) fn said(message: impl Into<Bytes>) -> Body {
    Body::binary(message)
}
