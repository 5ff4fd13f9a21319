//! JSON Web Tokens (RFC 7519) signed with HMAC-SHA256.

use std::fmt;

use fanwire_proto::Pattern;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};

use super::grant::{Allowed, Grant};

/// Shortest secret, in bytes: the size of the hash (RFC 7518 §3.2).
const SECRET_BYTES_MIN: usize = 32;

/// A signing key that never shows itself.
#[derive(Clone)]
pub struct Secret(Box<[u8]>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(hidden)")
    }
}

/// What fanwire reads from a token.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Claims {
    /// The user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// End, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exp: Option<u64>,
    /// Beginning, in seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// Patterns of topics to subscribe to; all of them when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<Vec<String>>,
    /// Patterns of topics to publish to; all of them when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publish: Option<Vec<String>>,
}

/// Why a token is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// Nobody can check tokens here.
    #[error("this broker has no authentication configured")]
    NotConfigured,
    /// It is no token, has another algorithm, or its signature does not fit.
    #[error("the token is malformed or its signature does not fit")]
    Malformed,
    /// It has ended.
    #[error("the token has expired")]
    Expired,
    /// It has not begun.
    #[error("the token is not valid yet")]
    NotYet,
    /// It names an impossible pattern.
    #[error("the token's pattern `{0}` is not one")]
    BadPattern(String),
}

/// Why no token could be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot sign the token: {0}")]
pub struct MintError(#[from] jsonwebtoken::errors::Error);

impl Secret {
    /// Takes a secret of at least 32 bytes.
    pub fn new(secret: &[u8]) -> Option<Self> {
        (secret.len() >= SECRET_BYTES_MIN).then(|| Self(secret.into()))
    }

    /// Signs claims.
    pub fn mint(&self, claims: &Claims) -> Result<String, MintError> {
        let key = EncodingKey::from_secret(&self.0);
        Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key)?)
    }

    /// Checks a token and reads what it allows.
    pub fn verify(&self, token: &str, now_ms: u64) -> Result<Grant, InvalidToken> {
        let mut rules = Validation::new(Algorithm::HS256);
        // The times are checked below, against the caller's clock.
        rules.validate_exp = false;
        rules.validate_aud = false;
        rules.required_spec_claims.clear();
        let key = DecodingKey::from_secret(&self.0);
        let token =
            jsonwebtoken::decode::<Claims>(token, &key, &rules).map_err(|_| InvalidToken::Malformed)?;
        grant_of(token.claims, now_ms)
    }
}

fn grant_of(claims: Claims, now_ms: u64) -> Result<Grant, InvalidToken> {
    let expires_ms = claims.exp.map(|seconds| seconds.saturating_mul(1_000));
    if claims.nbf.is_some_and(|begin| begin.saturating_mul(1_000) > now_ms) {
        return Err(InvalidToken::NotYet);
    }
    let grant = Grant {
        user: claims.sub.map(Into::into),
        expires_ms,
        subscribe: allowed(claims.subscribe)?,
        publish: allowed(claims.publish)?,
    };
    if grant.is_expired(now_ms) { Err(InvalidToken::Expired) } else { Ok(grant) }
}

fn allowed(patterns: Option<Vec<String>>) -> Result<Allowed, InvalidToken> {
    let Some(patterns) = patterns else { return Ok(Allowed::All) };
    let parse = |text: &String| Pattern::new(text).map_err(|_| InvalidToken::BadPattern(text.clone()));
    Ok(Allowed::Some(patterns.iter().map(parse).collect::<Result<_, _>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_MS: u64 = 1_800_000_000_000;

    fn secret() -> Secret {
        Secret::new(b"0123456789abcdef0123456789abcdef").unwrap()
    }

    fn check(claims: &Claims) -> Result<Grant, InvalidToken> {
        secret().verify(&secret().mint(claims).unwrap(), NOW_MS)
    }

    #[test]
    fn a_token_grants_what_it_says() {
        let claims = Claims {
            sub: Some("alice".into()),
            exp: Some(1_800_000_001),
            publish: Some(vec!["chat:*".into()]),
            ..Claims::default()
        };
        let grant = check(&claims).unwrap();
        assert_eq!(grant.user.as_deref(), Some("alice"));
        assert!(grant.publish.includes(&"chat:a".parse().unwrap()));
        assert!(!grant.publish.includes(&"ticker:a".parse().unwrap()));
        assert!(grant.subscribe.includes(&"ticker:a".parse().unwrap()));
    }

    #[test]
    fn times_and_patterns_are_checked() {
        let exp = |exp| check(&Claims { exp: Some(exp), ..Claims::default() }).map(drop);
        assert_eq!(exp(1_800_000_000), Err(InvalidToken::Expired));
        assert_eq!(exp(1_800_000_001), Ok(()));
        let nbf = check(&Claims { nbf: Some(1_800_000_001), ..Claims::default() });
        assert_eq!(nbf, Err(InvalidToken::NotYet));
        let pattern = check(&Claims { publish: Some(vec!["a**".into()]), ..Claims::default() });
        assert_eq!(pattern, Err(InvalidToken::BadPattern("a**".into())));
    }

    #[test]
    fn other_signatures_and_algorithms_are_refused() {
        let token = secret().mint(&Claims::default()).unwrap();
        let other = Secret::new(&[7; 32]).unwrap();
        assert_eq!(other.verify(&token, NOW_MS), Err(InvalidToken::Malformed));
        // {"alg":"none","typ":"JWT"}.{}.
        assert_eq!(
            secret().verify("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.e30.", NOW_MS),
            Err(InvalidToken::Malformed)
        );
        assert!(Secret::new(b"short").is_none());
    }
}
