//! Webhooks of others: what each provider signs, how it introduces itself, what identifies a delivery, and what message
//! it becomes. Pure: no clock, no sockets, no files.
//!
//! A request goes through a [`Source`] in this order, and the order matters:
//! 1. [`Source::opens`]: the secret in the address, if it has one;
//! 2. [`Source::greet`]: questions that come without a signature (Meta's `GET`, CloudEvents' `OPTIONS`);
//! 3. [`Source::verify`]: over the raw bytes, before anything parses them, fresh as of the moment of receipt;
//! 4. [`Source::reply`]: questions inside a verified body (Slack, Discord, SNS);
//! 5. [`Source::parts`]: taken apart, named, filtered, and made into messages.
//!
//! Recognising, keeping and publishing are the door's business (`doors::webhook`).
//!
//! A provider is data ([`presets.toml`](presets)): one [`Scheme`] serves them all.

mod address;
mod blueprint;
mod build;
mod certificate;
mod checks;
mod coding;
mod content;
pub mod decoders;
mod filter;
mod form;
#[cfg(test)]
mod garbage;
mod handshake;
mod json;
mod key;
mod multipart;
mod one_or_many;
mod parts;
mod place;
mod preset;
mod request;
mod scheme;
mod secret;
mod signed;
mod sns;
mod source;
mod template;
mod time;
#[cfg(test)]
pub(crate) mod vectors;
mod verify;
mod xml;

pub use blueprint::{Blueprint, Mistake, Payload};
pub use certificate::{
    CERTIFICATE_BYTES_MAX, Certificate, CertificateError, certificates_from_pem, check_address,
};
pub use coding::{Uncodable, decode};
pub use filter::{Filter, from_table as filter_from_table};
pub use handshake::{Answer, Handshake, Refused};
pub use key::{Algorithm, Encoding, KeyFormat, PublicKey};
pub use one_or_many::one_or_many;
pub use parts::{Fate, Naming, Outgoing, Part};
pub use place::{InvalidPlace, Place, Places};
pub use preset::{Preset, preset, presets};
pub use request::Request;
pub use scheme::Scheme;
pub use secret::{Secret, is_one_of};
pub use signed::Signed;
pub use source::{Keep, Source, Verified};
pub use template::{Output, Template};
pub use time::TimeFormat;
pub use verify::{Certificates, Fresh, Hash, NoCertificates, Unverified};
