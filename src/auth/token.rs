//! JSON Web Tokens (RFC 7519): HS256, RS256, ES256 and EdDSA.

use data_encoding::BASE64URL_NOPAD;
use fanwire_proto::Pattern;
use jsonwebtoken::{Algorithm, Header, Validation};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use super::{
    claims::{info_of, numeric_date},
    grant::{Allowed, Credential, Grant},
    keys::{Secret, VerifyingKey},
    server_sub::{SubClaims, subs_of},
};
use crate::defaults;

/// Longest `sub`, in bytes: it is repeated in every message and presence change of the user.
const USER_BYTES_MAX: usize = 200;

/// How far ahead the clock of whoever makes tokens may be: a token that begins when it is made is used at once, and clocks
/// that are kept in step differ by less. Its end is taken as it is, so that nobody may do anything for longer.
const AHEAD_MS_MAX: u64 = 5_000;

/// What tokens must say of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expect {
    /// `aud` must name this.
    pub audience: Option<String>,
    /// `iss` must be this.
    pub issuer: Option<String>,
}

/// What fanwire reads from a token.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Claims {
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub: Option<String>,
    /// End, in seconds since 1970.
    #[serde(default, deserialize_with = "numeric_date", skip_serializing_if = "Option::is_none")]
    pub exp: Option<u64>,
    /// Beginning, in seconds since 1970.
    #[serde(default, deserialize_with = "numeric_date", skip_serializing_if = "Option::is_none")]
    pub nbf: Option<u64>,
    /// The token's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
    /// For whom it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub aud: Option<Audience>,
    /// Who made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub iss: Option<String>,
    /// About the user, for others to see: any JSON of at most a kilobyte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<serde_json::Value>,
    /// Patterns of topics to subscribe to; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subscribe: Option<Vec<String>>,
    /// Patterns of topics to publish to; all of them when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publish: Option<Vec<String>>,
    /// Patterns of topics to read the history of; those of `subscribe` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<Vec<String>>,
    /// Patterns of topics to see the members of; those of `subscribe` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<Vec<String>>,
    /// Patterns of documents to delete, and versions of them; none when absent: who edits a document does not own it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delete: Option<Vec<String>>,
    /// Kind `latest`: most updates a second of a subscription.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<f64>,
    /// Topics that the connection is subscribed to by the broker itself; no other claim has to allow them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subs: Option<SubClaims>,
}

/// One name or several (RFC 7519 §4.1.3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Audience {
    fn names(&self, wanted: &str) -> bool {
        match self {
            Self::One(name) => name == wanted,
            Self::Several(names) => names.iter().any(|name| name == wanted),
        }
    }
}

/// Why a credential is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidToken {
    /// It is no token, its algorithm fits no key, or its signature fits none.
    #[error("the token is malformed or its signature fits no key")]
    Malformed,
    /// Its header says that extensions must be understood (`crit`, RFC 7515 §4.1.11), and none is.
    #[error("the token's header asks for extensions (`crit`) that are not known")]
    Critical,
    /// It has ended.
    #[error("the token has expired")]
    Expired,
    /// It has not begun.
    #[error("the token is not valid yet")]
    NotYet,
    /// It was made for somebody else.
    #[error("the token is for another audience")]
    WrongAudience,
    /// It was made by somebody else.
    #[error("the token is from another issuer")]
    WrongIssuer,
    /// It names an impossible pattern.
    #[error("the token's pattern `{0}` is not one")]
    BadPattern(String),
    /// A claim is of another type than it has to be.
    #[error("the token's claim `{claim}` must be {wanted}")]
    WrongType {
        /// Which.
        claim: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// Another claim makes no sense.
    #[error("the token's claim `{0}` cannot be used")]
    BadClaim(&'static str),
    /// A subscription that it names cannot be made.
    #[error("the token's claim `subs` cannot be used: {0}")]
    BadSub(String),
    /// It was revoked.
    #[error("the token was revoked")]
    Revoked,
    /// Too many from the same address were no tokens at all.
    #[error(
        "too many false tokens came from this address, so this one was not looked at (`max_false_tokens_per_second`: {0})"
    )]
    TooManyFalse(u32),
    /// No API key has this hash.
    #[error("the API key is not known: no `[[key]]` has its hash")]
    UnknownKey,
}

/// Why no token could be made.
#[derive(Debug, thiserror::Error)]
#[error("cannot sign the token: {0}")]
pub struct MintError(#[from] jsonwebtoken::errors::Error);

impl Secret {
    /// Signs claims with HS256.
    pub fn mint(&self, claims: &Claims) -> Result<String, MintError> {
        Ok(jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &self.signing_key())?)
    }
}

/// Checks a token against the keys of its algorithm and reads what it allows.
pub(super) fn verify<'k>(
    token: &str,
    keys: impl Iterator<Item = &'k VerifyingKey>,
    expect: &Expect,
    now_ms: u64,
) -> Result<Grant, InvalidToken> {
    let header = jsonwebtoken::decode_header(token).map_err(|_| InvalidToken::Malformed)?;
    if has_critical_extensions(token) {
        return Err(InvalidToken::Critical);
    }
    // A key without a name is tried for every token, and a token without one with every key; only two names that differ
    // exclude.
    let named = |key: &&VerifyingKey| match (&key.id, &header.kid) {
        (Some(id), Some(wanted)) => id == wanted,
        _ => true,
    };
    let fitting = keys.filter(|key| key.algorithm == header.alg).filter(named);
    // Bounded, since a set fetched from a provider may be long, and every try costs a signature before anybody is known.
    let mut candidates = fitting.take(defaults::KEYS_TRIED);
    let claims = candidates.find_map(|key| claims_if_signed(token, key)).ok_or(InvalidToken::Malformed)?;
    // Details of what is wrong only from here on, to somebody whose token was signed: a stranger learns nothing by
    // trying.
    let claims = serde_json::from_str(claims.get()).map_err(|_| mistake_in(claims.get()))?;
    check_names(&claims, expect)?;
    grant_of(claims, now_ms)
}

/// The library passes over fields of the header that it does not know.
fn has_critical_extensions(token: &str) -> bool {
    #[derive(Deserialize)]
    struct Extensions {
        #[serde(default, deserialize_with = "is_there")]
        crit: bool,
    }
    fn is_there<'de, D: Deserializer<'de>>(source: D) -> Result<bool, D::Error> {
        serde::de::IgnoredAny::deserialize(source).map(|_| true)
    }
    let header = token.split('.').next().and_then(|part| BASE64URL_NOPAD.decode(part.as_bytes()).ok());
    let extensions = header.and_then(|header| serde_json::from_slice::<Extensions>(&header).ok());
    // A header that cannot be read here is refused like one with extensions.
    extensions.is_none_or(|extensions| extensions.crit)
}

/// The key that a token says it is signed with.
pub(super) fn key_id(token: &str) -> Option<String> {
    jsonwebtoken::decode_header(token).ok()?.kid
}

fn claims_if_signed(token: &str, key: &VerifyingKey) -> Option<Box<RawValue>> {
    let mut rules = Validation::new(key.algorithm);
    // Times and names are checked afterwards, against the caller's clock and with errors of their own.
    rules.validate_exp = false;
    rules.validate_aud = false;
    rules.required_spec_claims.clear();
    jsonwebtoken::decode(token, &key.key, &rules).ok().map(|token| token.claims)
}

/// Which claim of a token that is signed cannot be read.
fn mistake_in(claims: &str) -> InvalidToken {
    let Ok(claims) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(claims) else {
        return InvalidToken::Malformed;
    };
    // serde's message does not name the claim that it is about, so each is read alone to find out which one it is.
    let is_wrong = |claim: &str, value: &serde_json::Value| {
        let alone = serde_json::Map::from_iter([(claim.to_owned(), value.clone())]);
        Claims::deserialize(serde_json::Value::Object(alone)).is_err()
    };
    let mut shapes = SHAPES.iter();
    let wrong = shapes.find(|(claim, _)| claims.get(*claim).is_some_and(|value| is_wrong(claim, value)));
    wrong.map_or(InvalidToken::Malformed, |&(claim, wanted)| InvalidToken::WrongType { claim, wanted })
}

/// What the claims have to be that can be of another type.
const SHAPES: &[(&str, &str)] = &[
    ("sub", "a text, also where users have numbers"),
    ("exp", "a number of seconds since 1970"),
    ("nbf", "a number of seconds since 1970"),
    ("jti", "a text"),
    ("aud", "a text or a list of texts"),
    ("iss", "a text"),
    ("subscribe", "a list of patterns"),
    ("publish", "a list of patterns"),
    ("history", "a list of patterns"),
    ("presence", "a list of patterns"),
    ("delete", "a list of patterns"),
    ("max_rate", "a number"),
    ("subs", "an object of topics, each an object of options"),
];

fn check_names(claims: &Claims, expect: &Expect) -> Result<(), InvalidToken> {
    if let Some(audience) = &expect.audience
        && !claims.aud.as_ref().is_some_and(|names| names.names(audience))
    {
        return Err(InvalidToken::WrongAudience);
    }
    if expect.issuer.is_some() && claims.iss != expect.issuer {
        return Err(InvalidToken::WrongIssuer);
    }
    Ok(())
}

fn grant_of(claims: Claims, now_ms: u64) -> Result<Grant, InvalidToken> {
    if claims.nbf.is_some_and(|begin| begin.saturating_mul(1_000) > now_ms + AHEAD_MS_MAX) {
        return Err(InvalidToken::NotYet);
    }
    if claims.max_rate.is_some_and(|rate| !rate.is_finite() || rate < fanwire_proto::MAX_RATE_MIN) {
        return Err(InvalidToken::BadClaim("max_rate"));
    }
    if claims.sub.as_ref().is_some_and(|user| user.len() > USER_BYTES_MAX) {
        return Err(InvalidToken::BadClaim("sub"));
    }
    let subscribe = allowed(claims.subscribe)?.unwrap_or(Allowed::All);
    let grant = Grant {
        user: claims.sub.map(Into::into),
        info: claims.info.map(|info| info_of(&info).ok_or(InvalidToken::BadClaim("info"))).transpose()?,
        credential: claims.jti.map(|id| Credential::Token(id.into())),
        expires_ms: claims.exp.map(|seconds| seconds.saturating_mul(1_000)),
        publish: allowed(claims.publish)?.unwrap_or(Allowed::All),
        history: allowed(claims.history)?.unwrap_or_else(|| subscribe.clone()),
        presence: allowed(claims.presence)?.unwrap_or_else(|| subscribe.clone()),
        delete: allowed(claims.delete)?.unwrap_or_else(Allowed::none),
        subscribe,
        max_rate: claims.max_rate,
        subs: claims.subs.map(subs_of).transpose().map_err(InvalidToken::BadSub)?,
        admin: false,
    };
    if grant.is_expired(now_ms) { Err(InvalidToken::Expired) } else { Ok(grant) }
}

fn allowed(patterns: Option<Vec<String>>) -> Result<Option<Allowed>, InvalidToken> {
    let Some(patterns) = patterns else { return Ok(None) };
    let parse = |text: &String| Pattern::new(text).map_err(|_| InvalidToken::BadPattern(text.clone()));
    Ok(Some(Allowed::Some(patterns.iter().map(parse).collect::<Result<_, _>>()?)))
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::EncodingKey;

    use super::*;
    use crate::auth::{Authenticator, KeySet, Verb};

    const NOW_MS: u64 = 1_800_000_000_000;

    fn secret() -> Secret {
        Secret::new(b"0123456789abcdef0123456789abcdef").unwrap()
    }

    fn authenticator(keys: Vec<VerifyingKey>, expect: Expect) -> Authenticator {
        let mut set = KeySet::default();
        keys.into_iter().for_each(|key| set.push(key));
        Authenticator { keys: set, expect, ..Authenticator::default() }
    }

    fn check(claims: &Claims) -> Result<Grant, InvalidToken> {
        let authenticator = authenticator(vec![(&secret()).into()], Expect::default());
        authenticator.verify(&secret().mint(claims).unwrap(), NOW_MS)
    }

    #[test]
    fn a_token_grants_what_it_says() {
        let claims = Claims {
            sub: Some("alice".into()),
            exp: Some(1_800_000_001),
            publish: Some(vec!["chat:*".into()]),
            subscribe: Some(vec!["chat:**".into()]),
            presence: Some(vec![]),
            ..Claims::default()
        };
        let grant = check(&claims).unwrap();
        let may = |verb, topic: &str| grant.allows(verb, &topic.parse().unwrap());
        assert_eq!(grant.user.as_deref(), Some("alice"));
        assert!(may(Verb::Publish, "chat:a") && !may(Verb::Publish, "ticker:a"));
        assert!(may(Verb::Subscribe, "chat:a:b") && may(Verb::History, "chat:a:b"));
        assert!(!may(Verb::Presence, "chat:a"));
        assert!(!grant.admin);
    }

    #[test]
    fn times_and_claims_are_checked() {
        let exp = |exp| check(&Claims { exp: Some(exp), ..Claims::default() }).map(drop);
        assert_eq!(exp(1_800_000_000), Err(InvalidToken::Expired));
        assert_eq!(exp(1_800_000_001), Ok(()));
        let refused = |claims| check(&claims).map(drop).unwrap_err();
        let begins = |nbf| check(&Claims { nbf: Some(nbf), ..Claims::default() }).map(drop);
        assert_eq!(begins(1_800_000_005), Ok(()));
        assert_eq!(begins(1_800_000_006), Err(InvalidToken::NotYet));
        let pattern = Claims { publish: Some(vec!["a**".into()]), ..Claims::default() };
        assert_eq!(refused(pattern), InvalidToken::BadPattern("a**".into()));
        let rate = Claims { max_rate: Some(-1.0), ..Claims::default() };
        assert_eq!(refused(rate), InvalidToken::BadClaim("max_rate"));
    }

    #[test]
    fn a_claim_of_another_type_is_named() {
        let authenticator = authenticator(vec![(&secret()).into()], Expect::default());
        let check = |claims: serde_json::Value| {
            let token =
                jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &secret().signing_key());
            authenticator.verify(&token.unwrap(), NOW_MS).map(drop)
        };
        assert_eq!(check(serde_json::json!({ "sub": "7", "other": 7 })), Ok(()));
        for (claim, value) in [
            ("sub", serde_json::json!(7)),
            ("exp", serde_json::json!("tomorrow")),
            ("aud", serde_json::json!(7)),
            ("publish", serde_json::json!("chat:*")),
            ("delete", serde_json::json!([7])),
            ("max_rate", serde_json::json!("fast")),
            ("subs", serde_json::json!(["chat:a"])),
        ] {
            let told = check(serde_json::json!({ claim: value })).unwrap_err().to_string();
            assert!(told.starts_with(&format!("the token's claim `{claim}` must be a")), "{told}");
        }
        assert_eq!(check(serde_json::json!([])), Err(InvalidToken::Malformed));
    }

    #[test]
    fn a_token_names_subscriptions_with_their_options() {
        let subs = serde_json::json!({
            "b": {},
            "a": { "last": 3, "presence": true, "expire_at": 1_800_000_007, "since": null, "more": 1 },
        });
        let grant =
            check(&Claims { subs: serde_json::from_value(subs).unwrap(), ..Claims::default() }).unwrap();
        let named = grant.subs.clone().unwrap();
        let [a, b] = named.as_slice() else { panic!("{named:?}") };
        assert_eq!((a.topic.as_str(), a.last, a.presence, a.echo), ("a", Some(3), true, true));
        assert_eq!((a.expires_ms, b.expires_ms), (Some(1_800_000_007_000), None));
        assert!(!b.wants_past() && !b.presence);
        let redated = grant.redated(1_800_000_000_000, 100);
        assert_eq!(redated.named(&a.topic, 7_099).unwrap().expires_ms, Some(7_100));
        assert_eq!(redated.named(&a.topic, 7_100), None);
    }

    #[test]
    fn dates_may_have_fractions() {
        let claims: Claims = serde_json::from_str(r#"{"exp":1800000001.75}"#).unwrap();
        assert_eq!(claims.exp, Some(1_800_000_001));
        assert!(serde_json::from_str::<Claims>(r#"{"exp":-1}"#).is_err());
        assert!(serde_json::from_str::<Claims>(r#"{"exp":"soon"}"#).is_err());
    }

    #[test]
    fn audience_and_issuer_are_checked_when_expected() {
        let expect = Expect { audience: Some("us".into()), issuer: Some("them".into()) };
        let authenticator = authenticator(vec![(&secret()).into()], expect);
        let check = |aud: Option<Audience>, iss: &str| {
            let claims = Claims { aud, iss: Some(iss.into()), ..Claims::default() };
            authenticator.verify(&secret().mint(&claims).unwrap(), NOW_MS).map(drop)
        };
        assert_eq!(check(Some(Audience::One("us".into())), "them"), Ok(()));
        let several = Audience::Several(vec!["x".into(), "us".into()]);
        assert_eq!(check(Some(several), "them"), Ok(()));
        assert_eq!(check(Some(Audience::One("x".into())), "them"), Err(InvalidToken::WrongAudience));
        assert_eq!(check(None, "them"), Err(InvalidToken::WrongAudience));
        assert_eq!(check(Some(Audience::One("us".into())), "x"), Err(InvalidToken::WrongIssuer));
    }

    #[test]
    fn extensions_that_must_be_understood_are_refused() {
        let signed = |header: &str| {
            let part = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
            let message = format!("{}.{}", part(header), part(r#"{"sub":"alice"}"#));
            let signature =
                jsonwebtoken::crypto::sign(message.as_bytes(), &secret().signing_key(), Algorithm::HS256);
            let authenticator = authenticator(vec![(&secret()).into()], Expect::default());
            authenticator.verify(&format!("{message}.{}", signature.unwrap()), NOW_MS).map(drop)
        };
        assert_eq!(signed(r#"{"alg":"HS256","exp":1}"#), Ok(()));
        assert_eq!(signed(r#"{"alg":"HS256","exp":1,"crit":["exp"]}"#), Err(InvalidToken::Critical));
        assert_eq!(signed(r#"{"alg":"HS256","crit":null}"#), Err(InvalidToken::Critical));
    }

    #[test]
    fn other_signatures_and_no_algorithm_are_refused() {
        let token = secret().mint(&Claims::default()).unwrap();
        let other = Secret::new(&[7; 32]).unwrap();
        let other = authenticator(vec![(&other).into()], Expect::default());
        assert_eq!(other.verify(&token, NOW_MS).map(drop), Err(InvalidToken::Malformed));
        // {"alg":"none","typ":"JWT"}.{}.
        let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.e30.";
        assert_eq!(other.verify(none, NOW_MS).map(drop), Err(InvalidToken::Malformed));
        assert!(Secret::new(b"short").is_err());
    }

    /// Keys of every kind, as (algorithm, private PEM, public PEM).
    fn key_pairs() -> Vec<(Algorithm, String, String)> {
        let kinds =
            [(Algorithm::ES256, &rcgen::PKCS_ECDSA_P256_SHA256), (Algorithm::EdDSA, &rcgen::PKCS_ED25519)];
        let generate = |(algorithm, kind)| {
            let pair = rcgen::KeyPair::generate_for(kind).unwrap();
            (algorithm, pair.serialize_pem(), pair.public_key_pem())
        };
        let mut pairs: Vec<_> = kinds.into_iter().map(generate).collect();
        pairs.push((
            Algorithm::RS256,
            include_str!("../../tests/data/rsa-private.pem").into(),
            include_str!("../../tests/data/rsa-public.pem").into(),
        ));
        pairs
    }

    fn sign(algorithm: Algorithm, pem: &str) -> String {
        let key = match algorithm {
            Algorithm::ES256 => EncodingKey::from_ec_pem(pem.as_bytes()),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()),
            _ => EncodingKey::from_rsa_pem(pem.as_bytes()),
        };
        let claims = Claims { sub: Some("bob".into()), ..Claims::default() };
        jsonwebtoken::encode(&Header::new(algorithm), &claims, &key.unwrap()).unwrap()
    }

    #[test]
    fn public_keys_check_their_own_algorithm_only() {
        let pairs = key_pairs();
        for (algorithm, private, public) in &pairs {
            let key = VerifyingKey::from_pem(public.as_bytes()).unwrap();
            assert_eq!(key.algorithm, *algorithm);
            let authenticator = authenticator(vec![key], Expect::default());
            assert!(authenticator.verify(&sign(*algorithm, private), NOW_MS).is_ok(), "{algorithm:?}");
            for (other, foreign, _) in pairs.iter().filter(|(other, ..)| other != algorithm) {
                assert!(authenticator.verify(&sign(*other, foreign), NOW_MS).is_err(), "{other:?}");
            }
            // The classic confusion: the public key, known to all, used as a shared secret.
            let forged = Secret::new(public.as_bytes()).unwrap().mint(&Claims::default()).unwrap();
            assert_eq!(authenticator.verify(&forged, NOW_MS).map(drop), Err(InvalidToken::Malformed));
            assert!(VerifyingKey::from_pem(private.as_bytes()).is_err(), "a private key is not configured");
        }
    }
}
