//! Where in a request something stands: `header:X-Signature`, `query:token`, `json:/data/id`, `form:id`, `list:t`.

use std::{borrow::Cow, fmt, str::FromStr};

use axum::http::HeaderName;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use serde_json::value::RawValue;

use super::{Request, form, json, one_or_many::one_or_many};

/// One place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// A header.
    Header(HeaderName),
    /// A parameter of the address.
    Query(String),
    /// A member of the JSON body, by pointer (RFC 6901); `*` stands for every element of an array. For a delivery that
    /// was split, of the element.
    Json(String),
    /// A field of a form.
    Form(String),
    /// An entry of the list in the signature's header.
    List(String),
}

/// A text is no place. It is not repeated: it may be a secret in the wrong place.
#[derive(Debug, thiserror::Error)]
#[error("must be a place: `header:NAME`, `query:NAME`, `json:/POINTER`, `form:NAME` or `list:NAME`")]
pub struct InvalidPlace;

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        let (kind, name) = text.trim().split_once(':').ok_or(InvalidPlace)?;
        match (kind, name) {
            (_, "") => Err(InvalidPlace),
            ("header", name) => name.parse().map(Self::Header).map_err(|_| InvalidPlace),
            ("query", name) => Ok(Self::Query(name.into())),
            ("json", pointer) if pointer.starts_with('/') => Ok(Self::Json(pointer.into())),
            ("form", name) => Ok(Self::Form(name.into())),
            ("list", name) => Ok(Self::List(name.into())),
            _ => Err(InvalidPlace),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Query(name) => write!(f, "query:{name}"),
            Self::Json(pointer) => write!(f, "json:{pointer}"),
            Self::Form(name) => write!(f, "form:{name}"),
            Self::List(name) => write!(f, "list:{name}"),
        }
    }
}

/// What is looked at: a request, the element of its body at hand, and the entries of the signature's header.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) request: &'a Request<'a>,
    pub(super) element: Option<&'a RawValue>,
    pub(super) list: &'a [(&'a str, &'a str)],
}

impl<'a> View<'a> {
    /// The request as a whole.
    pub(super) fn whole(request: &'a Request<'a>) -> Self {
        Self { request, element: None, list: &[] }
    }

    fn json(&self) -> Option<&'a RawValue> {
        self.element.or_else(|| self.request.json())
    }
}

impl Place {
    /// What stands there; the first one if there are several. Something empty is nothing.
    pub(super) fn find<'a>(&self, view: View<'a>) -> Option<Cow<'a, [u8]>> {
        let request = view.request;
        let found: Option<Cow<'a, [u8]>> = match self {
            Self::Header(name) => request.headers.get(name).map(|value| value.as_bytes().into()),
            Self::Query(name) => form::field(request.query().as_bytes(), name),
            Self::Form(name) => request.form_field(name),
            Self::Json(pointer) => Some(json::scalars(view.json()?, pointer)?.into_bytes().into()),
            Self::List(name) => {
                let entry = view.list.iter().find(|(known, _)| *known == name.as_str());
                entry.map(|(_, value)| value.as_bytes().into())
            }
        };
        found.filter(|found| !found.is_empty())
    }

    /// Whether it is outside of what a signature over the body covers.
    pub(super) fn is_beside_body(&self) -> bool {
        matches!(self, Self::Header(_) | Self::Query(_))
    }
}

/// Alternatives, each of one or several places whose values are joined by `:`. Written as a text or a list of texts,
/// with ` + ` between the places of one alternative.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Places(pub Vec<Vec<Place>>);

impl Places {
    /// The first alternative that the request has.
    pub(super) fn find<'a>(&self, view: View<'a>) -> Option<Cow<'a, [u8]>> {
        self.0.iter().find_map(|places| match places.as_slice() {
            [one] => one.find(view),
            several => {
                let parts: Option<Vec<_>> = several.iter().map(|place| place.find(view)).collect();
                // All parts or none: half a name would be shared by deliveries that have nothing to do with each other.
                Some(parts?.join(&b':').into())
            }
        })
    }

    /// The same as text, unless it is none.
    pub(super) fn text(&self, view: View<'_>) -> Option<String> {
        String::from_utf8(self.find(view)?.into_owned()).ok()
    }

    /// Whether any part of any alternative is outside of what a signature over the body covers.
    pub(super) fn are_beside_body(&self) -> bool {
        self.0.iter().flatten().any(Place::is_beside_body)
    }
}

impl<'de> Deserialize<'de> for Places {
    fn deserialize<D: Deserializer<'de>>(source: D) -> Result<Self, D::Error> {
        let texts = one_or_many(source)?;
        let read = |text: &String| text.split(" + ").map(Place::from_str).collect::<Result<Vec<_>, _>>();
        texts.iter().map(read).collect::<Result<_, _>>().map(Self).map_err(D::Error::custom)
    }
}

impl Serialize for Places {
    fn serialize<S: Serializer>(&self, target: S) -> Result<S::Ok, S::Error> {
        let joined =
            |places: &Vec<Place>| places.iter().map(ToString::to_string).collect::<Vec<_>>().join(" + ");
        self.0.iter().map(joined).collect::<Vec<_>>().serialize(target)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderMap;

    use super::*;

    #[test]
    fn places_are_found() {
        let mut headers = HeaderMap::new();
        headers.insert("x-a", "1".parse().unwrap());
        let body = br#"{"a":{"b":[{"id":7},{"id":"x"}]},"t":true}"#;
        let request = Request::new("POST", "https://h/p?q=a+b", &headers, body, 0);
        let find = |places: &str| {
            let places: Places = serde_json::from_value(places.into()).unwrap();
            places.text(View::whole(&request))
        };
        assert_eq!(find("header:X-A").as_deref(), Some("1"));
        assert_eq!(find("query:q").as_deref(), Some("a b"));
        assert_eq!(find("json:/a/b/*/id").as_deref(), Some("7,x"));
        assert_eq!(find("json:/t + header:x-a").as_deref(), Some("true:1"));
        assert_eq!(find("json:/t + header:x-b"), None);
        assert_eq!(find("form:a"), None);
    }

    #[test]
    fn what_is_no_place_is_refused() {
        for wrong in ["", "x-a", "header:", "header:a b", "json:a", "cookie:a"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
