//! SOAP bodies (Salesforce outbound messages) as JSON: elements by their local names, texts as strings, repeated
//! elements as arrays, `xsi:nil` as null.
//!
//! Read event by event, with the open elements on a list of our own: what is nested too deep is refused at the tag that
//! does it, and no call goes deeper with the text.

use quick_xml::{
    Reader,
    escape::resolve_xml_entity,
    events::{BytesStart, Event},
};
use serde_json::{Map, Value};

/// Tags, texts and references of a document; a hundred notifications of a hundred fields have some 30 000.
const EVENTS_MAX: usize = 200_000;

/// Elements inside elements. Outbound messages nest six deep.
const DEPTH_MAX: usize = 32;

/// A credential of the sender's, which is nobody else's business.
const SESSION: &str = "SessionId";

/// The content of the first element in the `Body`, or the root where there is none; `None` if the text is no XML, has a
/// DTD, or is too deep.
pub(super) fn to_json(body: &[u8]) -> Option<Value> {
    let mut reader = Reader::from_str(std::str::from_utf8(body).ok()?);
    let mut document = Document::default();
    for _ in 0..EVENTS_MAX {
        match reader.read_event().ok()? {
            Event::Start(start) => document.open(&start)?,
            Event::Empty(start) => {
                document.open(&start)?;
                document.close()?;
            }
            Event::End(_) => document.close()?,
            Event::Text(text) => document.text(&text.xml10_content())?,
            Event::CData(text) => document.text(&text.xml10_content())?,
            Event::GeneralRef(reference) => match reference.resolve_char_ref().ok()? {
                Some(character) => document.text(character.encode_utf8(&mut [0; 4]))?,
                None => document.text(resolve_xml_entity(&reference)?)?,
            },
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            // A DTD could define entities that grow without bound, or name files.
            Event::DocType(_) => return None,
            Event::Eof => return document.end(),
        }
    }
    None
}

/// What was read so far.
#[derive(Default)]
struct Document {
    /// The innermost last.
    open: Vec<Element>,
    /// What stands first in the `Body`.
    content: Option<Value>,
    root: Option<Value>,
}

/// An element that has begun.
struct Element {
    name: String,
    nil: bool,
    members: Map<String, Value>,
    has_elements: bool,
    text: String,
}

impl Element {
    fn new(start: &BytesStart<'_>) -> Option<Self> {
        let (mut nil, mut kind) = (false, None);
        // Looking for repeated attributes takes a square of their number.
        for attribute in start.attributes().with_checks(false) {
            let attribute = attribute.ok()?;
            let key = attribute.key;
            match key.local_name().as_ref() {
                "nil" => nil = nil || &*attribute.value == "true",
                "type" if key.prefix().is_some() && kind.is_none() => kind = Some(attribute.value),
                _ => {}
            }
        }
        // `sf:Lead` is a Lead.
        let kind = kind.map(|kind| kind.rsplit(':').next().unwrap_or_default().to_owned());
        let members = kind.into_iter().map(|kind| ("type".to_owned(), kind.into())).collect();
        let name = start.local_name().as_ref().to_owned();
        Some(Self { name, nil, members, has_elements: false, text: String::new() })
    }

    fn add(&mut self, name: String, value: Value) {
        self.has_elements = true;
        match self.members.get_mut(&name) {
            _ if name == SESSION => {}
            None => {
                self.members.insert(name, value);
            }
            Some(Value::Array(list)) => list.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }

    fn value(self) -> Value {
        match (self.nil, self.has_elements) {
            (true, _) => Value::Null,
            (_, true) => Value::Object(self.members),
            (_, false) => Value::String(self.text),
        }
    }
}

impl Document {
    fn open(&mut self, start: &BytesStart<'_>) -> Option<()> {
        let is_second_root = self.open.is_empty() && self.root.is_some();
        // At the tag: dropping a value that nests deeper would recurse as deep.
        if self.open.len() >= DEPTH_MAX || is_second_root {
            return None;
        }
        self.open.push(Element::new(start)?);
        Some(())
    }

    fn close(&mut self) -> Option<()> {
        let mut element = self.open.pop()?;
        let name = std::mem::take(&mut element.name);
        let value = element.value();
        let in_body = self.open.len() == 2 && self.open.last().is_some_and(|parent| parent.name == "Body");
        match self.open.last_mut() {
            Some(_) if in_body && self.content.is_none() => self.content = Some(value),
            Some(parent) => parent.add(name, value),
            None => self.root = Some(value),
        }
        Some(())
    }

    /// Outside of the root there is only space.
    fn text(&mut self, text: &str) -> Option<()> {
        match self.open.last_mut() {
            Some(element) => element.text.push_str(text),
            None if text.trim_ascii().is_empty() => {}
            None => return None,
        }
        Some(())
    }

    fn end(self) -> Option<Value> {
        if self.open.is_empty() { self.content.or(self.root) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const MESSAGE: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<soapenv:Envelope xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
 <soapenv:Body><notifications xmlns="http://soap.sforce.com/2005/09/outbound">
  <OrganizationId>00Dx0000000oXYZEA2</OrganizationId><ActionId>04k1</ActionId><SessionId>secret</SessionId>
  <Notification><Id>04l1</Id><sObject xsi:type="sf:Lead" xmlns:sf="urn:sobject.enterprise.soap.sforce.com">
    <sf:Id>00Q1</sf:Id><sf:LastName>Doe &amp; Co</sf:LastName><sf:Phone xsi:nil="true"/></sObject></Notification>
 </notifications></soapenv:Body></soapenv:Envelope>"#;

    #[test]
    fn outbound_messages_are_read_without_their_session() {
        let expected = json!({
            "OrganizationId": "00Dx0000000oXYZEA2", "ActionId": "04k1",
            "Notification": { "Id": "04l1",
                "sObject": { "type": "Lead", "Id": "00Q1", "LastName": "Doe & Co", "Phone": null } },
        });
        assert_eq!(to_json(MESSAGE.as_bytes()), Some(expected));
    }

    #[test]
    fn bombs_are_refused() {
        let dtd = r#"<!DOCTYPE a [<!ENTITY b "bbbb"><!ENTITY c "&b;&b;">]><a>&c;</a>"#;
        assert_eq!(to_json(dtd.as_bytes()), None);
        let deep = format!("{}{}", "<a>".repeat(100_000), "</a>".repeat(100_000));
        assert_eq!(to_json(deep.as_bytes()), None);
        assert_eq!(to_json(b"\xff"), None);
    }

    /// Nesting that looks flat to whoever counts closing tags in the text.
    #[test]
    fn depth_is_counted_by_tags_and_not_by_what_looks_like_them() {
        let nested = |tag: &str| format!("<r>{}", tag.repeat(20_000));
        for tag in [
            "<a><!--</a>-->",
            "<a><![CDATA[</a>]]>",
            "<a><?x </a>?>",
            "<a b='</a>'>",
            "<a b=\"</a>\" c='/>'>",
            "<a b='/'>",
            "<a ><b/>",
        ] {
            assert_eq!(to_json(nested(tag).as_bytes()), None, "{tag}");
        }
        let at = |depth: usize| format!("{}x{}", "<a>".repeat(depth), "</a>".repeat(depth));
        assert!(to_json(at(DEPTH_MAX - 1).as_bytes()).is_some());
        assert!(to_json(at(DEPTH_MAX).as_bytes()).is_some());
        assert!(to_json(at(DEPTH_MAX + 1).as_bytes()).is_none());
        let events = |count: usize| format!("<r>{}</r>", "<a/>".repeat(count));
        // The root's two tags and the end of the text count, too.
        assert!(to_json(events(EVENTS_MAX - 3).as_bytes()).is_some());
        assert!(to_json(events(EVENTS_MAX - 2).as_bytes()).is_none());
    }

    #[test]
    fn texts_are_whole_and_what_is_no_document_is_refused() {
        let text = to_json(b"<a>1 &lt; <!-- no -->&#x32;<![CDATA[ & 3]]></a>");
        assert_eq!(text, Some(json!("1 < 2 & 3")));
        for wrong in
            ["", "x", "<a>", "<a></b>", "<a/><b/>", "<a/>x", "</a>", "<a>&unknown;</a>", "<a", "<a b></a"]
        {
            assert_eq!(to_json(wrong.as_bytes()), None, "{wrong}");
        }
    }
}
