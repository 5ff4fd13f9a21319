//! Webhooks: each decoder by itself, and the whole way from a body to messages.

use std::io::Write;

use axum::http::{HeaderMap, HeaderValue, header::CONTENT_TYPE};
use fanwire::provider::{Fate, Naming, NoCertificates, Request, Source, Verified, decoders::DECODERS};
use flate2::{Compression, write};

use super::{
    Decode,
    bombs::{Bombs, bomb},
    configuration, files, root,
};
use crate::{json, random::Random};

/// One of those that the crate lists.
pub(super) fn part(name: &str) -> Decode {
    let (_, decode) = DECODERS.iter().find(|(known, _)| *known == name).unwrap();
    Box::new(move |bytes| _ = decode(bytes))
}

pub(super) const FORM: &[&str] = &["%", "&", "=", "+", "payload=", "%00", "%C3"];

pub(super) fn forms() -> Vec<Vec<u8>> {
    vec![b"a=1&b=%C3%A9&a=2&payload=%7B%7D".into()]
}

pub(super) const XML: &[&str] = &[
    "<a>",
    "</a>",
    "<a/>",
    "<!--",
    "-->",
    "<![CDATA[",
    "]]>",
    "<?x ",
    "?>",
    "<!DOCTYPE a [<!ENTITY b \"c\">]>",
    "&b;",
    "&#0;",
    "&#x10ffff;",
    "xmlns:x='y'",
    " a='1'",
    "<x:",
    "\u{feff}",
];

pub(super) fn xml_bodies() -> Vec<Vec<u8>> {
    vec![
        br#"<Envelope xmlns:x="y"><Body><n><OrganizationId>o</OrganizationId><Notification><Id>1</Id><s x:type="sf:Lead"><a x:nil="true"/></s></Notification></n></Body></Envelope>"#.into(),
        b"<?xml version='1.0'?><a><!-- </a> --><b><![CDATA[</b>]]></b></a>".into(),
    ]
}

pub(super) fn xml(random: &mut Random) -> Vec<u8> {
    let depth = random.size(30_000);
    let text = match random.below(7) {
        0 => json::nested("<a>", "</a>", random),
        // Closing tags that close nothing.
        1 => format!("{}{}", "<a><!--</a>-->".repeat(depth), "</a>".repeat(depth)),
        2 => format!("{}{}", "<a><![CDATA[</a>]]>".repeat(depth), "</a>".repeat(depth)),
        3 => format!("{}{}", "<a b='</a>'>".repeat(depth), "</a>".repeat(depth)),
        4 => format!("{}{}", "<a><?p </a>?>".repeat(depth), "</a>".repeat(depth)),
        5 => format!(
            "<a {}/>",
            (0..depth).map(|at| format!("xmlns:n{at}='u{at}'")).collect::<Vec<_>>().join(" ")
        ),
        _ => format!("<r>{}</r>", "<a/><b>1</b>".repeat(depth)),
    };
    text.into_bytes()
}

pub(super) fn json_bodies() -> Vec<Vec<u8>> {
    let bodies = files("fuzz/seeds/webhook").into_iter().filter_map(|seed| {
        let at = seed.windows(2).position(|pair| pair == b"\n\n")?;
        Some(seed[at + 2..].to_vec())
    });
    bodies.filter(|body| body.starts_with(b"{") || body.starts_with(b"[")).collect()
}

pub(super) fn form(random: &mut Random) -> Vec<u8> {
    let text = match random.below(3) {
        0 => "a=1&".repeat(random.size(50_000)),
        1 => format!("payload={}", "%5B".repeat(random.size(50_000))),
        _ => "%C3".repeat(random.size(50_000)),
    };
    text.into_bytes()
}

pub(super) const MULTIPART: &[&str] = &[
    "\r\n--b\r\n",
    "\r\n--b--",
    "Content-Disposition: form-data; name=\"a\"; filename=\"b\"\r\n",
    "\r\n\r\n",
    "--",
    "\\\"",
    ";",
    "Content-Type: application/json\r\n",
    "boundary=",
];

/// A content type, a line feed, and a body.
pub(super) fn multiparts() -> Vec<Vec<u8>> {
    let field = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n";
    let file = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"n\"\r\nContent-Type: text/plain\r\n\r\ny\r\n";
    vec![format!("multipart/form-data; boundary=b\n{field}{file}--b--\r\n").into_bytes()]
}

pub(super) fn multipart(random: &mut Random) -> Vec<u8> {
    let times = random.size(10_000);
    let body = match random.below(5) {
        0 => "--b\r\n\r\n\r\n".repeat(times),
        1 => "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n".repeat(times),
        2 => format!("--b\r\n{}\r\n", "A: b\r\n".repeat(times)),
        3 => format!("--b\r\nContent-Disposition: form-data{}\r\n\r\n", "; name=\"a\\\"".repeat(times)),
        _ => "\r\n--".repeat(times),
    };
    let boundary = if random.one_in(4) { "-".repeat(random.size(5_000)) } else { "b".into() };
    format!("multipart/form-data; boundary={boundary}\n{body}").into_bytes()
}

pub(super) fn gzip(body: &[u8]) -> Vec<u8> {
    let mut packer = write::GzEncoder::new(Vec::new(), Compression::best());
    packer.write_all(body).unwrap();
    packer.finish().unwrap()
}

pub(super) fn gzip_bomb(random: &mut Random) -> Vec<u8> {
    static BOMBS: Bombs = Bombs::new();
    bomb(random, &BOMBS, gzip).to_vec()
}

pub(super) fn deflate_bomb(random: &mut Random) -> Vec<u8> {
    static BOMBS: Bombs = Bombs::new();
    bomb(random, &BOMBS, deflate).to_vec()
}

pub(super) fn deflate(body: &[u8]) -> Vec<u8> {
    let mut packer = write::ZlibEncoder::new(Vec::new(), Compression::best());
    packer.write_all(body).unwrap();
    packer.finish().unwrap()
}

pub(super) fn packed(pack: fn(&[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    vec![pack(b""), pack(br#"{"id":7}"#), pack(&b"again and ".repeat(500))]
}

/// Sources with all that an operator may have configured, one of which takes requests apart.
const SOURCES: &str = r#"
[[source]]
name = "plain"
provider = "github"
secret_file = "FILE"
[[source]]
name = "split"
provider = "salesforce"
expect = "o"
allow_unsigned = true
[[source]]
name = "shaped"
provider = "github"
secret_file = "FILE"
topic = "t:{{ body.id | default('none') | topic_segment }}"
key = "{{ body.a | default('k') }}"
payload = '{"all": {{ body }}}'
filter = { body = { a = { "$exist" = true }, "$or" = [{ n = { "$gt" = 1 } }, { s = "x" }] } }
"#;

/// From a content type and a body to the messages that they become, as if they were signed.
pub(super) fn deliveries() -> Decode {
    const MESSAGE_BYTES_MAX: usize = 65_536;
    let sources: Vec<Source> = configuration(SOURCES, b"what nobody guesses").webhooks;
    Box::new(move |bytes| {
        let (content_type, body) = bytes.split_at(bytes.iter().position(|byte| *byte == b'\n').unwrap_or(0));
        let mut headers = HeaderMap::new();
        if let Ok(value) = HeaderValue::from_bytes(content_type) {
            headers.insert(CONTENT_TYPE, value);
        }
        for source in &sources {
            let request = Request::new("POST", "https://h/in/it", &headers, body, 1_700_000_000_000);
            let _ =
                (source.greet(&request), source.verify(&request, &NoCertificates), source.reply(&request));
            let naming = Naming { id: "it-00", max_message_bytes: MESSAGE_BYTES_MAX };
            for part in source.parts(&request, &Verified::before(true), naming) {
                if let Fate::Publish(outgoing) = &part.fate {
                    assert!(outgoing.payload.len() <= MESSAGE_BYTES_MAX);
                }
            }
        }
    })
}

/// In the content type and the body of everything that is sent.
pub(super) fn bodies() -> Vec<Vec<u8>> {
    let typed = |kind: &str, bodies: Vec<Vec<u8>>| {
        bodies.into_iter().map(|body| [kind.as_bytes(), b"\n", &body].concat()).collect::<Vec<_>>()
    };
    [
        typed("application/json", json_bodies()),
        typed("text/xml", xml_bodies()),
        typed("application/x-www-form-urlencoded", forms()),
        multiparts(),
    ]
    .concat()
}

pub(super) fn body(random: &mut Random) -> Vec<u8> {
    let (kind, body) = match random.below(4) {
        0 => ("text/xml", xml(random)),
        1 => ("application/x-www-form-urlencoded", form(random)),
        2 => return multipart(random),
        _ => ("application/json", json::value(random)),
    };
    [kind.as_bytes(), b"\n", &body].concat()
}

pub(super) const TEMPLATE: &[&str] = &[
    "{{ ",
    " }}",
    "{% for a in body %}",
    "{% endfor %}",
    "{% if body %}",
    "{% endif %}",
    "{% macro m() %}",
    "{% endmacro %}",
    "body",
    ".a",
    "[0]",
    "|",
    "default('x')",
    "upper",
    "replace('a', 'aaaaaaaa')",
    "*",
    "~",
    "range(1000000)",
    "(",
    ")",
    "'",
];

pub(super) fn template_texts() -> Vec<Vec<u8>> {
    let texts = [
        "a:{{ body.id }}",
        "{% for a in body.list %}{{ a }},{% endfor %}",
        "{{ body.a | default('x') | upper }}",
    ];
    texts
        .iter()
        .map(|text| format!("{text}\0{{\"id\":7,\"list\":[1,\"2\",null],\"a\":\"x\"}}").into_bytes())
        .collect()
}

/// Deep and long ones, some of which are rendered with bodies that are, too.
pub(super) fn template(random: &mut Random) -> Vec<u8> {
    let links =
        ["+ 1 ", "~ 1 ", "| upper ", "if 1 else 1 ", "and 1 ", "is defined ", "** 1 ", ".a", "[0]", "(1)"];
    let text = match random.below(7) {
        0 => json::nested("{{ (", ") }}", random),
        5 => format!("{{{{ 1 {}}}}}", random.of(&links).repeat(random.size(20_000))),
        1 => format!("{{{{ {}1{} }}}}", "(".repeat(random.size(50_000)), ")".repeat(random.size(50_000))),
        2 => json::nested("{% if 1 %}", "{% endif %}", random),
        // Each of these runs until its fuel is spent, a tenth of a second: a few thousand of them are enough.
        3 if random.one_in(10) => json::nested("{% for a in range(1000) %}", "{% endfor %}", random),
        3 => json::nested("{% for a in body %}", "{% endfor %}", random),
        4 => format!("{{{{ {}1 }}}}", "- ".repeat(random.size(50_000))),
        _ => format!("{{{{ 'a'{} }}}}", " * 1000".repeat(random.size(20))),
    };
    match random.below(3) {
        0 => [text.as_bytes(), b"\0", &json::value(random)].concat(),
        _ => text.into_bytes(),
    }
}

pub(super) const FILTER: &[&str] = &[
    "\"$or\":[",
    "\"$and\":[",
    "\"$not\":{",
    "\"$exist\":",
    "\"$gt\":",
    "\"$eq\":",
    "\"body\":{",
    "]",
    "}",
    ",",
    "1",
    "\"a\"",
];

pub(super) fn filter_values() -> Vec<Vec<u8>> {
    let values = [
        r#"{"body":{"a":{"$exist":true},"$or":[{"n":{"$gt":1}},{"s":"x"}]}}"#,
        r#"{"$not":{"body":{"a":[1,2]}}}"#,
        r#"{"body":{"n":{"$gte":1,"$lt":3},"s":{"$startsWith":"x"},"a":{"$in":[1,"1",null]}}}"#,
    ];
    values.iter().map(|text| format!("{text}\0{{\"a\":[1,2],\"n\":2,\"s\":\"xy\"}}").into_bytes()).collect()
}

/// Deep and wide ones, and bodies that are, too.
pub(super) fn filter(random: &mut Random) -> Vec<u8> {
    let filter = match random.below(6) {
        0 => json::nested("{\"$not\":", "}", random).into_bytes(),
        1 => json::nested("{\"$or\":[", "]}", random).into_bytes(),
        2 => json::nested("{\"body\":", "}", random).into_bytes(),
        3 => doubled(random).into_bytes(),
        4 => format!(
            r#"{{"body":{{"$or":[{}{{"a":1}}]}}}}"#,
            r#"{"a":{"b":{"$eq":0}}},"#.repeat(random.size(8_000))
        )
        .into_bytes(),
        _ => json::value(random),
    };
    let body = match random.below(3) {
        0 => json::nested(r#"{"a":"#, "}", random).into_bytes(),
        1 => format!(r#"{{"a":{{"b":"{}"}}}}"#, "x".repeat(random.size(50_000))).into_bytes(),
        _ => json::value(random),
    };
    [&filter[..], b"\0", &body].concat()
}

/// Each level has the one below twice.
fn doubled(random: &mut Random) -> String {
    let levels = random.size(11);
    let inner = (0..levels)
        .fold(r#"{"a":{"$neq":1}}"#.to_owned(), |inner, _| format!(r#"{{"$or":[{inner},{inner}]}}"#));
    format!(r#"{{"body":{inner}}}"#)
}

pub(super) fn certificates() -> Vec<Vec<u8>> {
    vec![std::fs::read(root().join("tests/webhooks/certificate.pem")).unwrap()]
}

/// DER in which lengths and nesting are not what they say.
pub(super) fn certificate(random: &mut Random) -> Vec<u8> {
    let der = match random.below(3) {
        0 => [0x30, 0x80].repeat(random.size(20_000)),
        1 => [0x30, 0x84, 0xff, 0xff, 0xff, 0xff].repeat(random.size(5_000)),
        _ => [0xa0, 0x03].repeat(random.size(20_000)),
    };
    let text = data_encoding::BASE64.encode(&der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n").into_bytes()
}
