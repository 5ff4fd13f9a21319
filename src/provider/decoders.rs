//! Each decoder of foreign bytes by itself, for those who look for inputs that stop one: `fuzz/` and `tests/hostile`. Each takes
//! any bytes and says whether it could read them.

use std::borrow::Cow;

use fanwire_proto::Payload;

use super::{
    Certificate, Filter, certificates_from_pem, coding, form,
    json::{self, Json},
    multipart,
    template::{Context, Output, Template},
    xml,
};

/// A decoder with its name.
pub type Decoder = (&'static str, fn(&[u8]) -> bool);

/// Most bytes that a body may become.
const BODY_BYTES_MAX: usize = 1024 * 1024;

/// All of them.
pub const DECODERS: &[Decoder] = &[
    ("xml", |bytes| xml::to_json(bytes).is_some()),
    ("json", read_json),
    ("form", |bytes| form::sorted(bytes).is_some_and(|sorted| !sorted.is_empty())),
    ("multipart", |bytes| {
        let (content_type, body) = split(bytes, b'\n');
        multipart::parts(&String::from_utf8_lossy(content_type), body).is_some()
    }),
    ("gzip", |bytes| coding::decode(Some(b"gzip"), bytes, BODY_BYTES_MAX).is_ok()),
    ("deflate", |bytes| coding::decode(Some(b"deflate"), bytes, BODY_BYTES_MAX).is_ok()),
    ("template", render),
    ("filter", filter),
    ("certificate", |bytes| Certificate::from_pem(bytes).is_ok() && certificates_from_pem(bytes).is_some()),
];

fn split(bytes: &[u8], at: u8) -> (&[u8], &[u8]) {
    let mut halves = bytes.splitn(2, |byte| *byte == at);
    (halves.next().unwrap_or_default(), halves.next().unwrap_or_default())
}

/// Read, looked up in, taken apart, made into a tree, and published.
fn read_json(bytes: &[u8]) -> bool {
    let Some(text) = json::read(Cow::Borrowed(bytes)) else { return false };
    let _ = json::scalars(&text, "/a/*/b/*/c");
    let _ = json::split(&text, "/entry/*/changes/*");
    let _ = Json::read(&text);
    Payload::json(text.get()).is_ok()
}

/// `{"body":…}` of JSON, or nothing.
fn context(body: &[u8]) -> Option<Json> {
    let text = json::read(Cow::Borrowed(body))?;
    Some(Json::object([("body", Json::read(&text).ok()?), ("event", "push".into())]))
}

/// A template, a zero byte, and the JSON it is rendered with.
fn render(bytes: &[u8]) -> bool {
    let (template, body) = split(bytes, 0);
    let context = context(body).unwrap_or_default();
    let text = String::from_utf8_lossy(template);
    let rendered = [Output::Text, Output::Json].map(|output| {
        Template::read(&text, output).and_then(|template| template.render(&Context::new(&context)))
    });
    rendered.iter().any(Result::is_ok)
}

/// A filter, a zero byte, and the JSON it is tried on.
fn filter(bytes: &[u8]) -> bool {
    let (filter, body) = split(bytes, 0);
    let Ok(filter) = serde_json::from_slice(filter) else { return false };
    let Ok(filter) = Filter::read(&filter) else { return false };
    context(body).is_some_and(|context| filter.passes(&context))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_decoder_reads_something() {
        let read = |name: &str, bytes: &[u8]| {
            let (_, decoder) = DECODERS.iter().find(|(known, _)| *known == name).unwrap();
            decoder(bytes)
        };
        assert!(read("xml", b"<a/>") && !read("xml", b"<a>"));
        assert!(read("json", b"{\"a\":1e999}") && !read("json", b"{"));
        assert!(read("form", b"a=b") && !read("form", b""));
        assert!(read("multipart", b"multipart/form-data; boundary=b\n--b--") && !read("multipart", b""));
        assert!(read("template", b"{{ body.a }}\0{\"a\":1}") && !read("template", b"{{ body.a }}\0{}"));
        assert!(
            read("filter", b"{\"body\":{\"a\":1}}\0{\"a\":1}")
                && !read("filter", b"{\"body\":{\"a\":1}}\0{\"a\":2}")
        );
        assert!(read("certificate", include_bytes!("../../tests/webhooks/certificate.pem")));
        assert!(!read("gzip", b"x") && !read("deflate", b"x"));
    }
}
