//! A source: one place at which one provider's webhooks arrive, with everything that is done with them.

use std::time::Duration;

use super::{
    Certificate, Certificates, Request,
    filter::Filter,
    handshake::{Answer, Handshake, Refused},
    key::Key,
    place::Places,
    place::View,
    preset::Preset,
    scheme::Scheme,
    secret::{Secret, is_one_of},
    template::Template,
    verify::{Attempt, Fresh, NoCertificates, Unverified},
};

/// How long, how many and how much of a source's deliveries is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Keep {
    /// Deliveries.
    pub count: usize,
    /// Age.
    pub age: Duration,
    /// Bytes of bodies.
    pub bytes: usize,
}

/// What subscribers get.
#[derive(Clone, Debug)]
pub(super) enum Shape {
    /// The content with where it comes from.
    Envelope,
    /// The content alone, as it was sent.
    Body,
    /// What a template makes of it.
    Json(Template),
    /// The same as text.
    Text(Template),
}

/// A scheme with the secrets that fit it.
#[derive(Clone, Debug)]
pub(super) struct Verifier {
    pub(super) scheme: Scheme,
    pub(super) keys: Vec<Key>,
}

/// A source that can be used.
#[derive(Clone, Debug)]
pub struct Source {
    /// Its name, in its address.
    pub name: String,
    /// The provider.
    pub preset: &'static Preset,
    /// False: it answers that it is gone.
    pub enabled: bool,
    /// Its address as the provider knows it, without a query.
    pub public_url: Option<String>,
    /// Methods it takes.
    pub methods: Vec<String>,
    /// Largest body, in bytes.
    pub max_body_bytes: usize,
    /// How long a delivery is recognised when it comes again.
    pub dedupe_for: Duration,
    /// What is kept of its deliveries.
    pub keep: Keep,
    /// What accepted deliveries are answered with.
    pub answer: Answer,
    pub(super) verifiers: Vec<Verifier>,
    pub(super) pinned: Option<Certificate>,
    pub(super) provider_hosts: Vec<String>,
    pub(super) authorities: Vec<Vec<u8>>,
    pub(super) expect: Vec<String>,
    pub(super) path_tokens: Vec<Secret>,
    pub(super) challenge_tokens: Vec<Secret>,
    pub(super) tolerance_s: Option<u64>,
    pub(super) dedupe: Places,
    pub(super) dedupe_signed: Option<bool>,
    pub(super) topic: Template,
    pub(super) key: Option<Template>,
    pub(super) shape: Shape,
    pub(super) filter: Option<Filter>,
}

/// What verifying has shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verified {
    /// Whether there was anything to verify.
    pub signed: bool,
    /// When it was signed and what.
    pub fresh: Fresh,
    /// Whether the name of the delivery is part of what was signed.
    pub(super) id_is_signed: bool,
}

impl Verified {
    /// For a delivery that was verified when it came, if there was anything to verify.
    pub fn before(signed: bool) -> Self {
        Self { signed, fresh: Fresh { signed_ms: None, signed: None }, id_is_signed: true }
    }
}

impl Source {
    /// Whether the address names a secret that this source knows, or needs none.
    pub fn opens(&self, token: Option<&str>) -> bool {
        match token {
            None => self.path_tokens.is_empty(),
            Some(token) => is_one_of(token.as_bytes(), &self.path_tokens),
        }
    }

    /// Whether the address ends in a secret.
    pub fn has_path_tokens(&self) -> bool {
        !self.path_tokens.is_empty()
    }

    /// A path without the secret at its end.
    pub fn without_path_token<'a>(&self, path: &'a str) -> &'a str {
        let last = path.rsplit_once('/').filter(|(_, last)| is_one_of(last.as_bytes(), &self.path_tokens));
        last.map_or(path, |(before, _)| before)
    }

    /// What an address that was recorded without its secret may have been.
    pub fn with_path_tokens(&self, url: &str) -> Vec<String> {
        if !self.has_path_tokens() {
            return vec![url.to_owned()];
        }
        let (path, query) = url.split_once('?').map_or((url, ""), |(path, query)| (path, query));
        let mark = if query.is_empty() { "" } else { "?" };
        let tokens = self.path_tokens.iter().map(|token| String::from_utf8_lossy(token.bytes()));
        tokens.map(|token| format!("{path}/{token}{mark}{query}")).collect()
    }

    /// The answer to a question that comes without a signature, if it is one.
    pub fn greet(&self, request: &Request<'_>) -> Option<Result<Answer, Refused>> {
        let asked = |handshake: &&Handshake| match handshake {
            // Who tries it with the documented secret for a secret of their own wants to see deliveries.
            Handshake::ZendeskTest => {
                matches!(self.verify_signature(request, &NoCertificates), Err(Unverified::Mismatch))
            }
            _ => true,
        };
        let mut known = self.preset.handshake.iter().filter(asked);
        known.find_map(|handshake| handshake.before_verifying(request, &self.challenge_tokens))
    }

    /// The answer to a question in a verified body, if it is one.
    pub fn reply(&self, request: &Request<'_>) -> Option<Result<Answer, Refused>> {
        let mut known = self.preset.handshake.iter();
        known.find_map(|handshake| handshake.after_verifying(request, &self.provider_hosts))
    }

    /// Authorities (in DER) to trust instead of this machine's when something is fetched for this source.
    pub fn authorities(&self) -> &[Vec<u8>] {
        &self.authorities
    }

    /// Proves where a request comes from.
    pub fn verify(
        &self,
        request: &Request<'_>,
        certificates: &dyn Certificates,
    ) -> Result<Verified, Unverified> {
        let verified = self.verify_signature(request, certificates)?;
        self.check_expected(request)?;
        Ok(verified)
    }

    fn verify_signature(
        &self,
        request: &Request<'_>,
        certificates: &dyn Certificates,
    ) -> Result<Verified, Unverified> {
        if self.verifiers.is_empty() {
            let fresh = Fresh { signed_ms: None, signed: None };
            return Ok(Verified { signed: false, fresh, id_is_signed: false });
        }
        let mut told: Option<Unverified> = None;
        for Verifier { scheme, keys } in &self.verifiers {
            let attempt = Attempt {
                scheme,
                keys,
                pinned: self.pinned.as_ref(),
                certificates,
                expected: &self.expect,
                tolerance_s: self.tolerance_s.or(scheme.tolerance_s),
            };
            if !attempt.applies(request) {
                continue;
            }
            match attempt.verify(request) {
                Ok(fresh) => {
                    let id_is_signed = scheme.covers_id(&self.dedupe);
                    return Ok(Verified { signed: true, fresh, id_is_signed });
                }
                // Of several schemes the one that came farthest was meant; "there is no signature" of the others would
                // only mislead.
                Err(error) if told.as_ref().is_none_or(|told| told.progress() < error.progress()) => {
                    told = Some(error);
                }
                Err(_) => {}
            }
        }
        Err(told.unwrap_or(Unverified::Incomplete("version of the signature")))
    }

    fn check_expected(&self, request: &Request<'_>) -> Result<(), Unverified> {
        let Some(place) = &self.preset.expect_at else { return Ok(()) };
        let found = place.text(View::whole(request)).ok_or(Unverified::Unexpected)?;
        // Without this, whoever has an account of their own at the provider could have it sign whatever they like, and
        // send that here.
        match self.expect.contains(&found) {
            true => Ok(()),
            false => Err(Unverified::Unexpected),
        }
    }

    /// Names of headers that are credentials, or hold them.
    pub fn is_secret_header(&self, name: &str) -> bool {
        let bearer = self.verifiers.iter().filter(|verifier| verifier.scheme.algorithm.is_bearer());
        let mut places = bearer.flat_map(|verifier| verifier.scheme.signature.0.iter().flatten());
        matches!(name, "authorization" | "proxy-authorization" | "cookie")
            || places.any(|place| matches!(place, super::Place::Header(known) if known.as_str() == name))
    }

    /// Whether a parameter of the address is a credential.
    pub fn is_secret_parameter(&self, name: &str) -> bool {
        let bearer = self.verifiers.iter().filter(|verifier| verifier.scheme.algorithm.is_bearer());
        let mut places = bearer.flat_map(|verifier| verifier.scheme.signature.0.iter().flatten());
        matches!(name, "hub.verify_token" | "access_token")
            || places.any(|place| matches!(place, super::Place::Query(known) if known == name))
    }
}
