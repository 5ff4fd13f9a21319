//! A value of a frame in some format, read only when somebody wants it, and the fields of an object.

use std::{borrow::Cow, fmt};

use crate::{Epoch, Offset, Payload, Position, Tags, TopicName};

/// A value as it stands in a frame, not yet interpreted. That it is well-formed is known; what it holds is not.
pub(super) trait Value<'a>: Copy {
    fn is_null(self) -> bool;
    fn text(self) -> Result<Cow<'a, str>, Mismatch>;
    fn unsigned(self) -> Result<u64, Mismatch>;
    fn number(self) -> Result<f64, Mismatch>;
    fn boolean(self) -> Result<bool, Mismatch>;
    fn payload(self) -> Result<Payload, Mismatch>;
    /// The elements of an array.
    fn elements(self) -> Result<Vec<Self>, Mismatch>;
    /// The entries of an object in the order written; a name is `None` when it is no Unicode string.
    fn entries(self, each: impl FnMut(Option<Cow<'a, str>>, Self)) -> Result<(), Mismatch>;
}

/// What a value is not.
#[derive(Debug)]
pub(super) struct Mismatch(pub(super) Cow<'static, str>);

impl Mismatch {
    pub(super) fn expected(what: &str) -> Self {
        Self(Cow::Owned(format!("must be {what}")))
    }
}

impl<T: fmt::Display> From<T> for Mismatch {
    fn from(error: T) -> Self {
        Self(Cow::Owned(error.to_string()))
    }
}

/// A field that is missing or wrong, in words that name it.
#[derive(Debug)]
pub(super) struct Problem(pub(super) String);

impl From<Problem> for Mismatch {
    fn from(Problem(what): Problem) -> Self {
        Self(Cow::Owned(what))
    }
}

/// A field that some reader knows by name.
pub(super) struct Field<V> {
    name: &'static str,
    value: Option<V>,
    twice: bool,
}

impl<V> Field<V> {
    pub(super) const fn named(name: &'static str) -> Self {
        Self { name, value: None, twice: false }
    }

    pub(super) fn set(&mut self, value: V) {
        self.twice = self.value.replace(value).is_some();
    }
}

impl<'a, V: Value<'a>> Field<V> {
    /// The field's value, null included: `"data":null` is a payload.
    pub(super) fn or_null(&self) -> Result<Option<V>, Problem> {
        if self.twice {
            return Err(Problem(format!("`{}` is given twice", self.name)));
        }
        Ok(self.value)
    }

    /// The field's value; null counts as absent.
    pub(super) fn given(&self) -> Result<Option<V>, Problem> {
        Ok(self.or_null()?.filter(|value| !value.is_null()))
    }

    pub(super) fn optional<T>(
        &self,
        read: impl FnOnce(V) -> Result<T, Mismatch>,
    ) -> Result<Option<T>, Problem> {
        let read = |value| read(value).map_err(|Mismatch(what)| Problem(format!("`{}` {what}", self.name)));
        self.given()?.map(read).transpose()
    }

    pub(super) fn required<T>(&self, read: impl FnOnce(V) -> Result<T, Mismatch>) -> Result<T, Problem> {
        self.optional(read)?.ok_or_else(|| Problem(format!("`{}` is missing", self.name)))
    }
}

/// Declares a struct with one [`Field`] per name. Names it does not list are ignored, whatever they hold.
macro_rules! fields {
    ($(#[$doc:meta])* $visibility:vis struct $Fields:ident { $($field:ident = $name:literal,)* }) => {
        $(#[$doc])*
        $visibility struct $Fields<V> { $($field: $crate::codec::value::Field<V>,)* }

        impl<'a, V: $crate::codec::value::Value<'a>> $Fields<V> {
            $visibility fn read(object: V) -> Result<Self, $crate::codec::value::Mismatch> {
                let mut fields = Self { $($field: $crate::codec::value::Field::named($name),)* };
                object.entries(|name, value| match name.as_deref() {
                    $(Some($name) => fields.$field.set(value),)*
                    _ => {}
                })?;
                Ok(fields)
            }
        }
    };
}
pub(super) use fields;

fields! {
    struct PositionFields {
        epoch = "epoch",
        offset = "offset",
    }
}

pub(super) fn position<'a, V: Value<'a>>(value: V) -> Result<Position, Mismatch> {
    let fields = PositionFields::read(value)?;
    let within = |Problem(what)| Mismatch(Cow::Owned(format!("is no position: {what}")));
    Ok(Position {
        epoch: fields.epoch.required(epoch).map_err(within)?,
        offset: fields.offset.required(offset).map_err(within)?,
    })
}

pub(super) fn epoch<'a, V: Value<'a>>(value: V) -> Result<Epoch, Mismatch> {
    value.text().map(|text| Epoch::read(&text))
}

pub(super) fn offset<'a, V: Value<'a>>(value: V) -> Result<Offset, Mismatch> {
    value.unsigned().map(Offset)
}

pub(super) fn topic<'a, V: Value<'a>>(value: V) -> Result<TopicName, Mismatch> {
    Ok(TopicName::new(&value.text()?)?)
}

/// An object whose values are strings.
pub(super) fn tags<'a, V: Value<'a>>(value: V) -> Result<Tags, Mismatch> {
    let mut tags = Tags::new();
    let mut problem = None;
    let entries = value.entries(|name, value| match (name, value.text()) {
        (Some(name), Ok(text)) => {
            if tags.insert(name.into_owned(), text.into_owned()).is_some() {
                problem = Some(Mismatch(Cow::Borrowed("has a name twice")));
            }
        }
        _ => problem = Some(Mismatch::expected("an object whose values are strings")),
    });
    entries?;
    problem.map_or(Ok(tags), Err)
}

pub(super) fn base64<'a, V: Value<'a>>(value: V) -> Result<Payload, Mismatch> {
    let bytes = data_encoding::BASE64.decode(value.text()?.as_bytes())?;
    Ok(Payload::Bytes(bytes.into()))
}
