//! From a credential to what it allows. Pure: keys and times come in as arguments.
//!
//! Two kinds of credentials: *tokens* (JWTs) for clients, signed by the application's back end, and *API keys* for back
//! ends themselves. Both become a [`Grant`], which is all the rest of the broker knows.

mod api_key;
mod attempts;
mod claims;
mod grant;
mod keys;
mod network;
mod server_sub;
mod token;

use std::sync::Arc;

pub use api_key::{ApiKey, KEY_PREFIX, KeyHash, NewKey};
pub use attempts::Attempts;
pub use grant::{Allowed, Credential, Grant, Verb};
pub use keys::{InvalidKey, KeySet, Published, Secret, VerifyingKey};
pub use network::network;
pub use server_sub::{BadOption, ServerSub, SubClaim, SubOptions};
pub use token::{Audience, Claims, Expect, InvalidToken, MintError};

/// Who may come in.
#[derive(Clone, Debug, Default)]
pub struct Authenticator {
    /// Keys that tokens are checked with.
    pub keys: KeySet,
    /// Keys that are fetched from an identity provider, if one is configured.
    pub published: Option<Arc<Published>>,
    /// Where they are fetched from.
    pub published_at: Option<String>,
    /// What tokens must say of themselves.
    pub expect: Expect,
    /// Keys of back ends.
    pub api_keys: Vec<ApiKey>,
    /// Whether somebody without a credential may do everything.
    pub anonymous: bool,
}

impl Authenticator {
    /// Whether there is any credential that would be taken.
    pub fn is_configured(&self) -> bool {
        !self.keys.is_empty() || self.published.is_some() || !self.api_keys.is_empty()
    }

    /// What somebody without a credential may do; `None` if nothing.
    pub fn anonymous(&self) -> Option<Grant> {
        // Where there are credentials, control over others takes one.
        let admin = !self.is_configured();
        self.anonymous.then(|| Grant { admin, ..Grant::everything() })
    }

    /// What a credential allows at this time, whichever kind it is.
    pub fn verify(&self, credential: &str, now_ms: u64) -> Result<Grant, InvalidToken> {
        if !self.is_configured() {
            // Everybody may do everything; so the same client works in development, token or not.
            return Ok(Grant::everything());
        }
        if credential.starts_with(KEY_PREFIX) {
            let hash = KeyHash::of(credential);
            let found = self.api_keys.iter().find(|key| key.hash.matches(&hash));
            return found.map(ApiKey::grant).ok_or(InvalidToken::UnknownKey);
        }
        let published = self.published.as_ref().map(|published| published.keys());
        let keys = self.keys.iter().chain(published.iter().flat_map(|keys| keys.iter()));
        let verified = token::verify(credential, keys, &self.expect, now_ms);
        // Only when no key fitted: a provider that rotates its keys signs with one that we have not fetched yet.
        if let (Err(InvalidToken::Malformed), Some(published)) = (&verified, &self.published) {
            published.look_for(token::key_id(credential).as_deref());
        }
        verified
    }
}
