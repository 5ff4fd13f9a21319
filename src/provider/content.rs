//! What a delivery says: its body as JSON, taken apart where a provider sends several events at once.

use std::borrow::Cow;

use data_encoding::BASE64;
use serde_json::{Map, Value, json, value::RawValue};

use super::{
    Request, form,
    json::{self, Json, TooMuch},
    multipart::Part,
    preset::Preset,
};

/// One event of a delivery.
#[derive(Clone, Debug)]
pub(super) struct Element {
    /// As it was written, where it was JSON.
    json: Option<Box<RawValue>>,
    /// For what was not.
    text: Option<String>,
    base64: Option<String>,
}

impl Element {
    fn of_json(json: Box<RawValue>) -> Self {
        Self { json: Some(json), text: None, base64: None }
    }

    /// The member of the envelope that carries it, as JSON.
    pub(super) fn member(&self) -> Cow<'_, str> {
        let quoted = |text: &String| serde_json::to_string(text).unwrap_or_default();
        match (&self.json, &self.text, &self.base64) {
            (Some(json), ..) => format!("\"data\":{}", json.get()).into(),
            (_, Some(text), _) => format!("\"data\":{}", quoted(text)).into(),
            (.., Some(base64)) => format!("\"raw_b64\":\"{base64}\"").into(),
            _ => "\"data\":null".into(),
        }
    }

    /// Its bytes, to tell it from others.
    pub(super) fn bytes(&self) -> &[u8] {
        let json = self.json.as_ref().map(|json| json.get());
        let text = json.or(self.text.as_deref()).or(self.base64.as_deref());
        text.unwrap_or_default().as_bytes()
    }

    /// Its value, for filters and templates.
    pub(super) fn value(&self) -> Result<Json, TooMuch> {
        match (&self.json, &self.text) {
            (Some(json), _) => Json::read(json),
            (_, text) => Ok(text.as_deref().into()),
        }
    }

    /// As JSON, to look something up in.
    pub(super) fn json(&self) -> Option<&RawValue> {
        self.json.as_deref()
    }
}

/// The events of a delivery, at least one.
pub(super) fn elements(request: &Request<'_>, preset: &Preset) -> Vec<Element> {
    let Some(whole) = request.json() else { return vec![not_json(request)] };
    let wanted_type = preset.split_type.as_deref();
    let split = wanted_type.is_none_or(|wanted| request.media_type() == wanted);
    let paths = preset.split.iter().filter(|_| split);
    // Where nothing is found, the whole is one event: what a provider changes must not make a delivery vanish.
    let parts = paths.filter_map(|path| json::split(whole, path)).next().unwrap_or_else(|| vec![whole]);
    parts.into_iter().map(|part| Element::of_json(part.to_owned())).collect()
}

/// Fields of a form as an object, text as text, everything else in base64.
fn not_json(request: &Request<'_>) -> Element {
    let nothing = Element { json: None, text: None, base64: None };
    if request.body.is_empty() {
        return nothing;
    }
    let fields = match request.is_multipart() {
        false if request.is_form() => form_value(request.body),
        false => None,
        true => request.parts().map(parts_value),
    };
    if let Some(fields) = fields {
        return Element { json: serde_json::value::to_raw_value(&fields).ok(), ..nothing };
    }
    match std::str::from_utf8(request.body) {
        Ok(text) => Element { text: Some(text.to_owned()), ..nothing },
        Err(_) => Element { base64: Some(BASE64.encode(request.body)), ..nothing },
    }
}

/// A field that is given several times is a list; `None` if any of it is not text.
fn form_value(body: &[u8]) -> Option<Value> {
    // Each becomes a node of a tree, and a body of a megabyte can name half a million.
    if form::has_too_many_fields(body) {
        return None;
    }
    let mut map = Map::new();
    for (name, value) in form::fields(body) {
        let name = String::from_utf8(name.into_owned()).ok()?;
        add(&mut map, name, Value::String(String::from_utf8(value.into_owned()).ok()?));
    }
    Some(Value::Object(map))
}

/// Of a file its name, type and size: its content stays where the whole delivery is kept.
fn parts_value(parts: Vec<Part<'_>>) -> Value {
    let mut map = Map::new();
    for part in parts {
        let text = std::str::from_utf8(part.content).ok().filter(|_| part.file.is_none());
        let value = match text {
            Some(text) => text.into(),
            None => json!({ "filename": part.file, "type": part.media_type, "bytes": part.content.len() }),
        };
        add(&mut map, part.name, value);
    }
    Value::Object(map)
}

/// What is given several times is a list.
fn add(map: &mut Map<String, Value>, name: String, value: Value) {
    match map.get_mut(&name) {
        None => {
            map.insert(name, value);
        }
        Some(Value::Array(list)) => list.push(value),
        // An array is ours at this point: fields are texts, and files objects.
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}
