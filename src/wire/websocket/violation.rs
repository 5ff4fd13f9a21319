//! What a peer can do wrong, and how the connection then ends.

use std::fmt;

use fanwire_proto::CloseCode;

/// A violation of RFC 6455, RFC 7692 or of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// RFC 6455 §5.2: a reserved bit that no extension gives a meaning to.
    ReservedBit,
    /// RFC 6455 §5.2: opcodes 3–7 and 11–15.
    ReservedOpcode,
    /// RFC 6455 §5.1.
    Unmasked,
    /// RFC 6455 §5.2: a length is written in the fewest bytes, and has 63 bits at most.
    Length,
    /// RFC 6455 §5.5.
    FragmentedControl,
    /// RFC 6455 §5.5.
    LongControl,
    /// RFC 6455 §5.4.
    NothingToContinue,
    /// RFC 6455 §5.4.
    InsideMessage,
    /// RFC 6455 §5.5.1: one byte cannot be a code.
    CloseBody,
    /// RFC 6455 §7.4.
    CloseCode,
    /// RFC 6455 §8.1.
    NotUtf8,
    /// RFC 7692 §7.2.2.
    Deflate,
    /// RFC 6455 §10.4.
    TooBig,
    /// RFC 6455 §10.4.
    TooManyFragments,
}

impl Violation {
    /// The code of the close frame that answers it (RFC 6455 §7.4.1).
    pub const fn code(self) -> CloseCode {
        match self {
            Self::NotUtf8 => CloseCode::InvalidText,
            Self::TooBig | Self::TooManyFragments => CloseCode::TooBig,
            _ => CloseCode::Protocol,
        }
    }

    /// What the close frame says, at most 123 bytes: what its code means, and what was wrong.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::ReservedBit => "protocol error: a reserved bit is set",
            Self::ReservedOpcode => "protocol error: the opcode is reserved",
            Self::Unmasked => "protocol error: a client's frame must be masked",
            Self::Length => "protocol error: the length of a frame is not in its shortest form",
            Self::FragmentedControl => "protocol error: a control frame is fragmented",
            Self::LongControl => "protocol error: a control frame has more than 125 bytes",
            Self::NothingToContinue => "protocol error: a continuation without a message to continue",
            Self::InsideMessage => "protocol error: a new message inside a fragmented one",
            Self::CloseBody => "protocol error: a close frame has half a code",
            Self::CloseCode => "protocol error: a close frame has a code that may not be sent",
            Self::NotUtf8 => "text is not UTF-8",
            Self::Deflate => "protocol error: a compressed message cannot be inflated",
            Self::TooBig => "message too big",
            Self::TooManyFragments => "message too big: it has more fragments than the limit",
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason())
    }
}

impl std::error::Error for Violation {}
