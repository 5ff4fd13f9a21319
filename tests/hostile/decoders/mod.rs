//! The decoders, each with what it begins with, what is hostile to it, and how it is called.

mod bombs;
mod collaboration;
mod credentials;
mod http;
mod native;
mod stored;
mod transport;
mod webhooks;

use std::{
    fs,
    path::{Path, PathBuf},
};

use fanwire::config::{Config, Settings, Sources};
use fanwire_proto::Format;

use crate::{documents, json, random::Random};

/// Something that reads foreign bytes.
pub(crate) struct Decoder {
    pub(crate) name: &'static str,
    /// What it is sent in its everyday life.
    pub(crate) seeds: fn() -> Vec<Vec<u8>>,
    /// Something that is whole, but not meant well.
    pub(crate) hostile: fn(&mut Random) -> Vec<u8>,
    /// Words of its language.
    pub(crate) words: &'static [&'static str],
    /// Makes ready what it needs, once in a process.
    pub(crate) decode: fn() -> Decode,
}

pub(crate) type Decode = Box<dyn FnMut(&[u8])>;

/// One line for each; a new decoder of foreign bytes gets one, too.
#[rustfmt::skip]
pub(crate) const ALL: &[Decoder] = &[
    Decoder { name: "json", seeds: native::requests_json, hostile: native::request_json, words: json::WORDS, decode: || native::decoder(Format::Json) },
    Decoder { name: "msgpack", seeds: native::requests_msgpack, hostile: native::request_msgpack, words: native::MARKS, decode: || native::decoder(Format::MsgPack) },
    Decoder { name: "websocket", seeds: transport::frames, hostile: transport::hostile_frames, words: &["\0"], decode: transport::websocket },
    Decoder { name: "inflate", seeds: transport::compressed_messages, hostile: transport::compressed_message, words: &["\0"], decode: transport::inflation },
    Decoder { name: "extensions", seeds: transport::offers, hostile: transport::offer, words: transport::OFFERS, decode: transport::offer_decoder },
    Decoder { name: "own-bytes", seeds: transport::own_bytes, hostile: transport::own, words: &["\n"], decode: transport::own_frames },
    Decoder { name: "http", seeds: http::requests, hostile: http::hostile, words: http::WORDS, decode: http::server },
    Decoder { name: "tls", seeds: transport::tls_records, hostile: transport::tls_record, words: &["\u{16}\u{3}\u{1}"], decode: transport::tls },
    Decoder { name: "yjs-sync", seeds: collaboration::yjs_messages, hostile: collaboration::sync_message, words: &["\0"], decode: collaboration::yjs_sync },
    Decoder { name: "yjs-merge", seeds: collaboration::yjs_updates, hostile: documents::update, words: &["\0"], decode: collaboration::yjs_merge },
    Decoder { name: "awareness", seeds: collaboration::awareness_messages, hostile: collaboration::awareness_message, words: json::WORDS, decode: collaboration::awareness_table },
    Decoder { name: "content", seeds: collaboration::contents, hostile: json::value, words: json::WORDS, decode: collaboration::document_content },
    Decoder { name: "deliveries", seeds: webhooks::bodies, hostile: webhooks::body, words: json::WORDS, decode: webhooks::deliveries },
    Decoder { name: "body-json", seeds: webhooks::json_bodies, hostile: json::value, words: json::WORDS, decode: || webhooks::part("json") },
    Decoder { name: "xml", seeds: webhooks::xml_bodies, hostile: webhooks::xml, words: webhooks::XML, decode: || webhooks::part("xml") },
    Decoder { name: "form", seeds: webhooks::forms, hostile: webhooks::form, words: webhooks::FORM, decode: || webhooks::part("form") },
    Decoder { name: "multipart", seeds: webhooks::multiparts, hostile: webhooks::multipart, words: webhooks::MULTIPART, decode: || webhooks::part("multipart") },
    Decoder { name: "gzip", seeds: || webhooks::packed(webhooks::gzip), hostile: webhooks::gzip_bomb, words: &["\0"], decode: || webhooks::part("gzip") },
    Decoder { name: "deflate", seeds: || webhooks::packed(webhooks::deflate), hostile: webhooks::deflate_bomb, words: &["\0"], decode: || webhooks::part("deflate") },
    Decoder { name: "templates", seeds: webhooks::template_texts, hostile: webhooks::template, words: webhooks::TEMPLATE, decode: || webhooks::part("template") },
    Decoder { name: "filters", seeds: webhooks::filter_values, hostile: webhooks::filter, words: webhooks::FILTER, decode: || webhooks::part("filter") },
    Decoder { name: "certificates", seeds: webhooks::certificates, hostile: webhooks::certificate, words: &["-----BEGIN CERTIFICATE-----\n"], decode: || webhooks::part("certificate") },
    Decoder { name: "jwt", seeds: credentials::tokens, hostile: credentials::claims, words: json::WORDS, decode: credentials::jwt },
    Decoder { name: "jwks", seeds: credentials::key_sets, hostile: json::value, words: json::WORDS, decode: credentials::jwks },
    Decoder { name: "store", seeds: || vec![vec![0; 5]], hostile: stored::damages, words: &["\0"], decode: stored::store },
    Decoder { name: "records", seeds: stored::records, hostile: stored::record, words: native::MARKS, decode: stored::record_decoder },
];

pub(crate) fn named(name: &str) -> &'static Decoder {
    ALL.iter().find(|decoder| decoder.name == name).unwrap_or_else(|| panic!("there is no decoder `{name}`"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The files of a folder, in the order of their names.
fn files(folder: &str) -> Vec<Vec<u8>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// From a configuration file in which FILE is one that holds a secret.
fn configuration(text: &str, secret: &[u8]) -> Config {
    let folder = tempfile::tempdir().unwrap();
    let (held, file) = (folder.path().join("secret"), folder.path().join("fanwire.toml"));
    fs::write(&held, secret).unwrap();
    fs::write(&file, text.replace("FILE", &held.to_string_lossy())).unwrap();
    let loaded = Sources { given: Settings::default(), file: Some(file) }.load();
    loaded.unwrap_or_else(|error| panic!("{error}"))
}
