//! What becomes of a verified delivery: its events, what each is known by, and the message each becomes.

use axum::http::HeaderMap;
use fanwire_proto::{Payload, TopicName};
use serde_json::{Map, Value, json};

use super::{
    Place, Request,
    content::{Element, elements},
    form,
    json::{self, Json, TooMuch, portable},
    place::View,
    source::{Shape, Source, Verified},
    template::Context,
    verify::{Hash, sha256},
};

/// Longest name of an event that is kept, in bytes.
const EVENT_BYTES_MAX: usize = 100;

/// A message to publish.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Where to.
    pub topic: TopicName,
    /// For topics of kind `latest`.
    pub key: Option<String>,
    /// The content.
    pub payload: Payload,
}

/// What is to be done with one event.
#[derive(Clone, Debug)]
pub enum Fate {
    /// Published.
    Publish(Box<Outgoing>),
    /// The filter does not let it pass.
    Filtered,
    /// A template does not fit it.
    Failed(String),
}

/// One event of a delivery.
#[derive(Clone, Debug)]
pub struct Part {
    /// From 0.
    pub index: usize,
    /// Which kind of event, if the provider says so.
    pub event: Option<String>,
    /// What it is recognised by: it is known if any of these was seen.
    pub seen_as: Vec<Hash>,
    /// What is to be done with it.
    pub fate: Fate,
}

/// A delivery's own name, and how large a message may be.
#[derive(Clone, Copy, Debug)]
pub struct Naming<'a> {
    /// The delivery's.
    pub id: &'a str,
    /// In bytes; a content that does not fit is left out, and the envelope says where it can be read.
    pub max_message_bytes: usize,
}

impl Source {
    /// The events of a verified delivery, at least one.
    pub fn parts(&self, request: &Request<'_>, verified: &Verified, naming: Naming<'_>) -> Vec<Part> {
        let elements = elements(request, self.preset);
        let several = elements.len() > 1;
        let part = |(index, element): (usize, &Element)| {
            let delivery = Delivery { source: self, request, verified, naming, element, index, several };
            delivery.part()
        };
        elements.iter().enumerate().map(part).collect()
    }

    /// Headers that subscribers see: what tells deliveries apart and lets them verify once more, and nothing secret.
    fn selected(&self, headers: &HeaderMap) -> Map<String, Value> {
        let schemes = self.verifiers.iter().filter(|verifier| !verifier.scheme.algorithm.is_bearer());
        let of_schemes = schemes.flat_map(|verifier| {
            let scheme = &verifier.scheme;
            [Some(&scheme.signature), scheme.timestamp.as_ref(), scheme.id.as_ref()].into_iter().flatten()
        });
        let all = of_schemes.chain([&self.preset.event, &self.dedupe]);
        let names = all.flat_map(|places| places.0.iter().flatten()).filter_map(|place| match place {
            Place::Header(name) => Some(name.as_str()),
            _ => None,
        });
        let shown = names.chain(["content-type"]).filter(|name| !self.is_secret_header(name));
        let text = |name: &str| Some((name.to_owned(), headers.get(name)?.to_str().ok()?.into()));
        shown.filter_map(text).collect()
    }
}

/// One event on its way.
struct Delivery<'a> {
    source: &'a Source,
    request: &'a Request<'a>,
    verified: &'a Verified,
    naming: Naming<'a>,
    element: &'a Element,
    index: usize,
    several: bool,
}

impl Delivery<'_> {
    fn part(&self) -> Part {
        let view = View { request: self.request, element: self.element.json(), list: &[] };
        let mut event = self.source.preset.event.text(view);
        if let Some(event) = &mut event {
            let end = (0..=EVENT_BYTES_MAX.min(event.len())).rev().find(|at| event.is_char_boundary(*at));
            event.truncate(end.unwrap_or(0));
        }
        let seen_as = self.seen_as(view);
        let fate = self.fate(event.as_deref());
        Part { index: self.index, event, seen_as, fate }
    }

    fn needs_context(&self) -> bool {
        let source = self.source;
        source.filter.is_some()
            || source.topic.constant().is_none()
            || source.key.as_ref().is_some_and(|key| key.constant().is_none())
            || matches!(source.shape, Shape::Json(_) | Shape::Text(_))
    }

    /// The provider's name for it, if it has one; and what was signed, where that name is not part of it.
    fn seen_as(&self, view: View<'_>) -> Vec<Hash> {
        let name = self.source.name.as_bytes();
        let mut seen = Vec::new();
        let id = self.source.dedupe.find(view);
        if let Some(id) = &id {
            // By source, and apart from what is signed: the same bytes at another source are another delivery.
            seen.push(sha256(&[name, b"\0id\0", id]));
        }
        let id_is_signed = id.is_some() && self.verified.id_is_signed;
        // An id that is not signed can be changed by whoever has captured a request; what is signed cannot, so it is
        // remembered as well.
        let wanted = self.source.dedupe_signed.unwrap_or(self.verified.signed && !id_is_signed);
        match self.verified.fresh.signed {
            // With several events in a delivery one signature is over all of them; known by it, they would be taken for
            // each other.
            Some(signed) if wanted && !self.several => seen.push(sha256(&[name, b"\0signed\0", &signed])),
            Some(_) if wanted && id.is_none() => {
                seen.push(sha256(&[name, b"\0element\0", self.element.bytes()]));
            }
            _ => {}
        }
        seen
    }

    fn fate(&self, event: Option<&str>) -> Fate {
        // A tree of the value is only worth it where something depends on it.
        let context = match self.needs_context().then(|| self.context(event)).transpose() {
            Ok(context) => context,
            Err(too_much) => return Fate::Failed(too_much.to_string()),
        };
        if let (Some(filter), Some(context)) = (&self.source.filter, &context)
            && !filter.passes(context)
        {
            return Fate::Filtered;
        }
        let context = context.as_ref().map_or_else(Context::default, Context::new);
        match self.outgoing(event, &context) {
            Ok(outgoing) => Fate::Publish(Box::new(outgoing)),
            Err(why) => Fate::Failed(why),
        }
    }

    fn context(&self, event: Option<&str>) -> Result<Json, TooMuch> {
        let headers = (self.request.headers.iter())
            .filter(|(name, _)| !self.source.is_secret_header(name.as_str()))
            .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.into())))
            .collect();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let query = form::fields(self.request.query().as_bytes())
            .map(|(name, value)| (text(&name), text(&value)))
            .filter(|(name, _)| !self.source.is_secret_parameter(name))
            .map(|(name, value)| (name, Json::Text(value)))
            .collect();
        Ok(Json::object([
            ("id", self.naming.id.into()),
            ("source", self.source.name.as_str().into()),
            ("provider", self.source.preset.name.as_str().into()),
            ("event", event.into()),
            ("method", self.request.method.into()),
            ("received_at", Json::Number(self.request.received_ms.into())),
            ("body", self.element.value()?),
            ("headers", Json::Object(headers)),
            ("query", Json::Object(query)),
        ]))
    }

    fn outgoing(&self, event: Option<&str>, context: &Context) -> Result<Outgoing, String> {
        let source = self.source;
        let render = |what: &str, template: &super::Template| match template.constant() {
            Some(constant) => Ok(constant.to_owned()),
            None => template.render(context).map_err(|error| format!("`{what}`: {error}")),
        };
        let topic = render("topic", &source.topic)?;
        let topic = TopicName::new(&topic).map_err(|error| format!("`topic`: {error}"))?;
        let key = source.key.as_ref().map(|key| render("key", key)).transpose()?;
        let payload = match &source.shape {
            Shape::Envelope => self.envelope(event)?,
            Shape::Body => self.body()?,
            Shape::Json(template) => {
                let text = render("payload", template)?;
                Payload::json(&portable(&text))
                    .map_err(|error| format!("`payload` renders no JSON: {error}"))?
            }
            Shape::Text(template) => {
                Payload::text(&render("payload", template)?).map_err(|error| error.to_string())?
            }
        };
        let (bytes, limit) = (payload.len(), self.naming.max_message_bytes);
        if bytes > limit {
            return Err(format!("the message has {bytes} bytes; `max_message_bytes` is {limit}"));
        }
        Ok(Outgoing { topic, key, payload })
    }

    fn body(&self) -> Result<Payload, String> {
        let bytes = if self.several { self.element.bytes() } else { self.request.body };
        let text = std::str::from_utf8(bytes).ok();
        let json = json::read(bytes.into()).and_then(|json| Payload::json(json.get()).ok());
        let payload = json.or_else(|| Payload::text(text?).ok());
        Ok(payload.unwrap_or_else(|| Payload::Bytes(bytes::Bytes::copy_from_slice(bytes))))
    }

    fn envelope(&self, event: Option<&str>) -> Result<Payload, String> {
        let source = self.source;
        let head = json!({
            "id": self.naming.id, "index": self.index, "source": source.name, "provider": source.preset.name,
            "event": event, "received_at": self.request.received_ms, "verified": self.verified.signed,
            "headers": source.selected(self.request.headers),
        });
        let head = head.to_string();
        // The content goes in as it was written, before the end of the object.
        let head = head.strip_suffix('}').unwrap_or_default();
        let whole = format!("{head},{}}}", self.element.member());
        // Without the content where it is too long, rather than not at all: subscribers learn that it came and where it
        // can be read.
        if whole.len() <= self.naming.max_message_bytes
            && let Ok(payload) = Payload::json(&whole)
        {
            return Ok(payload);
        }
        let bytes = self.element.bytes().len();
        let reference = format!("/v1/deliveries/{}/raw", self.naming.id);
        let short = format!("{head},\"bytes\":{bytes},\"ref\":\"{reference}\"}}");
        Payload::json(&short).map_err(|error| error.to_string())
    }
}
