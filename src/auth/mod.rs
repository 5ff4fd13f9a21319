//! From a credential to what it allows.

mod grant;
mod jwt;

pub use grant::{Allowed, Grant};
pub use jwt::{Claims, InvalidToken, MintError, Secret};

/// Who may come in.
#[derive(Debug)]
pub enum Authenticator {
    /// Everyone, with everything allowed.
    Open,
    /// Whoever has a token signed with the secret.
    Token {
        /// The key.
        secret: Secret,
        /// Whether those without a token are let in too, with everything allowed.
        anonymous: bool,
    },
}

impl Authenticator {
    /// What somebody without a token may do; `None` if nothing.
    pub fn anonymous(&self) -> Option<Grant> {
        match self {
            Self::Open | Self::Token { anonymous: true, .. } => Some(Grant::everything()),
            Self::Token { anonymous: false, .. } => None,
        }
    }

    /// What a token allows at this time.
    pub fn verify(&self, token: &str, now_ms: u64) -> Result<Grant, InvalidToken> {
        match self {
            Self::Open => Err(InvalidToken::NotConfigured),
            Self::Token { secret, .. } => secret.verify(token, now_ms),
        }
    }
}
