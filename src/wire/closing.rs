//! How the end of a connection is put.

use fanwire_proto::CloseCode;

/// What a close frame says (RFC 6455 §5.5.1).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Closing {
    /// The number.
    pub code: u16,
    /// At most 123 bytes.
    pub reason: &'static str,
}

impl From<CloseCode> for Closing {
    fn from(code: CloseCode) -> Self {
        Self { code: code.as_u16(), reason: code.reason() }
    }
}
