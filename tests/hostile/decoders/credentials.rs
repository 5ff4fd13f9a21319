//! Tokens, and the keys that an identity provider publishes.

use fanwire::auth::{Claims, KeySet};

use super::{Decode, configuration};
use crate::{json, random::Random};

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

pub(super) fn tokens() -> Vec<Vec<u8>> {
    let secret = fanwire::auth::Secret::new(SECRET).unwrap();
    let claims = Claims {
        sub: Some("ann".into()),
        exp: Some(2_000_000_000),
        info: Some(serde_json::json!({ "name": "Ann" })),
        subscribe: Some(vec!["chat:*".into()]),
        ..Claims::default()
    };
    vec![secret.mint(&claims).unwrap().into_bytes()]
}

/// Signed, whatever it says.
pub(super) fn claims(random: &mut Random) -> Vec<u8> {
    let value = json::value(random);
    let claims = match random.below(4) {
        0 => value,
        1 => [&b"{\"exp\":2000000000,\"info\":"[..], &value, b"}"].concat(),
        2 => [&b"{\"exp\":2000000000,\"unknown\":"[..], &value, b"}"].concat(),
        _ => format!("{{\"subscribe\":[{}\"a\"]}}", "\"a:**\",".repeat(random.size(20_000))).into_bytes(),
    };
    let header = if random.one_in(4) { json::value(random) } else { br#"{"alg":"HS256"}"#.to_vec() };
    let encode = |bytes: &[u8]| data_encoding::BASE64URL_NOPAD.encode(bytes);
    let signed = format!("{}.{}", encode(&header), encode(&claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET);
    let signature = ring::hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", encode(signature.as_ref())).into_bytes()
}

pub(super) fn jwt() -> Decode {
    let authenticator = configuration("auth_hmac_secret_file = \"FILE\"\n", SECRET).authenticator;
    Box::new(move |bytes| {
        if let Ok(token) = std::str::from_utf8(bytes) {
            let _ = authenticator.verify(token, 1_700_000_000_000);
        }
    })
}

pub(super) fn key_sets() -> Vec<Vec<u8>> {
    vec![br#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"a","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#.into()]
}

pub(super) fn jwks() -> Decode {
    Box::new(|bytes| drop(KeySet::from_jwks(bytes)))
}
