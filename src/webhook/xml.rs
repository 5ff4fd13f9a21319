//! SOAP bodies (Salesforce outbound messages) as JSON: elements by their local names, texts as strings, repeated
//! elements as arrays, `xsi:nil` as null.

use roxmltree::{Document, Node, ParsingOptions};
use serde_json::{Map, Value};

/// Elements of a document; a hundred notifications of a hundred fields.
const NODES_MAX: u32 = 100_000;

/// Elements inside elements.
const DEPTH_MAX: usize = 32;

/// A credential of the sender's, which is nobody else's business.
const SESSION: &str = "SessionId";

/// The content of the first element in the `Body`; `None` if the text is no XML, has a DTD, or is too deep.
pub(super) fn to_json(body: &[u8]) -> Option<Value> {
    let text = std::str::from_utf8(body).ok()?;
    if nests_too_deep(text) {
        return None;
    }
    let options = ParsingOptions { allow_dtd: false, nodes_limit: NODES_MAX, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).ok()?;
    let root = document.root_element();
    let body = root.children().find(|child| child.tag_name().name() == "Body");
    let content = body.and_then(|body| body.first_element_child()).unwrap_or(root);
    value(content)
}

/// Before it is parsed, since parsers recurse, too.
fn nests_too_deep(text: &str) -> bool {
    let (mut depth, mut deepest) = (0_usize, 0_usize);
    for tag in text.split('<').skip(1) {
        let closed_at_once = tag.split('>').next().is_some_and(|inside| inside.ends_with('/'));
        match tag.as_bytes().first() {
            Some(b'/') => depth = depth.saturating_sub(1),
            Some(b'!' | b'?') | None => {}
            Some(_) if closed_at_once => {}
            Some(_) => depth += 1,
        }
        deepest = deepest.max(depth);
    }
    deepest > DEPTH_MAX
}

fn value(node: Node<'_, '_>) -> Option<Value> {
    let elements = || node.children().filter(Node::is_element);
    let nil = node.attributes().any(|attribute| attribute.name() == "nil" && attribute.value() == "true");
    if nil {
        return Some(Value::Null);
    }
    let kind =
        node.attributes().find(|attribute| attribute.name() == "type" && attribute.namespace().is_some());
    if elements().next().is_none() {
        return Some(node.text().unwrap_or_default().into());
    }
    let mut map = Map::new();
    if let Some(kind) = kind {
        // `sf:Lead` is a Lead.
        map.insert("type".into(), kind.value().rsplit(':').next().unwrap_or_default().into());
    }
    for child in elements().filter(|child| child.tag_name().name() != SESSION) {
        let name = child.tag_name().name();
        let content = value(child)?;
        match map.get_mut(name) {
            None => {
                map.insert(name.to_owned(), content);
            }
            Some(Value::Array(list)) => list.push(content),
            Some(first) => *first = Value::Array(vec![first.take(), content]),
        }
    }
    Some(Value::Object(map))
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
}
