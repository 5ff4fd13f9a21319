//! JSON as a tree, for filters and templates: built with the open lists and objects on a list of its own, within bounds.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

use super::{
    Number,
    ends::{end_of_number, end_of_text},
};

/// Values in one tree: some sixty megabytes of them, and far beyond the 25 MB of text that GitHub sends at most.
const VALUES_MAX: usize = 500_000;

/// Lists and objects inside one another. Dropping a tree and rendering it goes as deep.
const DEPTH_MAX: usize = 120;

/// A value.
#[derive(Clone, PartialEq, Debug, Default)]
pub(in crate::provider) enum Json {
    #[default]
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Self>),
    Object(BTreeMap<String, Self>),
}

/// Why there is no tree of a text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(in crate::provider) enum TooMuch {
    /// It nests too deep.
    #[error("the body nests more than {DEPTH_MAX} deep")]
    Depth,
    /// It has too many parts.
    #[error("the body has more than {VALUES_MAX} values")]
    Values,
}

impl Json {
    /// The tree of a text that was checked.
    pub(in crate::provider) fn read(text: &RawValue) -> Result<Self, TooMuch> {
        let bytes = text.get().as_bytes();
        let mut tree = Builder::default();
        let mut at = 0;
        // The text was checked, so no token is looked at twice, and what is not understood here is space or punctuation.
        while let Some(byte) = bytes.get(at) {
            let end = match byte {
                b'"' => end_of_text(bytes, at),
                b'-' | b'0'..=b'9' => end_of_number(bytes, at),
                _ => at + 1,
            };
            let token = text.get().get(at..end).unwrap_or_default();
            match byte {
                b'{' => tree.open(Open::Object(BTreeMap::new(), None))?,
                b'[' => tree.open(Open::List(Vec::new()))?,
                b'}' | b']' => tree.close(),
                b'"' => tree.text(serde_json::from_str(token).unwrap_or_default())?,
                b'-' | b'0'..=b'9' => tree.place(Self::Number(Number::new(token)))?,
                b't' => tree.place(Self::Bool(true))?,
                b'f' => tree.place(Self::Bool(false))?,
                b'n' => tree.place(Self::Null)?,
                _ => {}
            }
            // The rest of a word has been understood with its first letter.
            at = match byte {
                b't' | b'n' => end + 3,
                b'f' => end + 4,
                _ => end,
            };
        }
        Ok(tree.whole)
    }

    /// A member of an object.
    pub(in crate::provider) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(name),
            _ => None,
        }
    }

    /// An object of these members.
    pub(in crate::provider) fn object<const N: usize>(members: [(&str, Self); N]) -> Self {
        Self::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Option<&str>> for Json {
    fn from(text: Option<&str>) -> Self {
        text.map_or(Self::Null, Self::from)
    }
}

/// A list or object that has begun.
enum Open {
    List(Vec<Json>),
    /// With the name that the next value is for.
    Object(BTreeMap<String, Json>, Option<String>),
}

#[derive(Default)]
struct Builder {
    whole: Json,
    /// The innermost last.
    open: Vec<Open>,
    values: usize,
}

impl Builder {
    fn open(&mut self, open: Open) -> Result<(), TooMuch> {
        if self.open.len() >= DEPTH_MAX {
            return Err(TooMuch::Depth);
        }
        self.count()?;
        self.open.push(open);
        Ok(())
    }

    fn count(&mut self) -> Result<(), TooMuch> {
        self.values += 1;
        if self.values > VALUES_MAX { Err(TooMuch::Values) } else { Ok(()) }
    }

    fn close(&mut self) {
        let closed = match self.open.pop() {
            Some(Open::List(list)) => Json::List(list),
            Some(Open::Object(members, _)) => Json::Object(members),
            None => return,
        };
        self.put(closed);
    }

    fn text(&mut self, text: String) -> Result<(), TooMuch> {
        match self.open.last_mut() {
            // In an object the first of two texts is the name.
            Some(Open::Object(_, name @ None)) => *name = Some(text),
            _ => self.place(Json::Text(text))?,
        }
        Ok(())
    }

    fn place(&mut self, value: Json) -> Result<(), TooMuch> {
        self.count()?;
        self.put(value);
        Ok(())
    }

    fn put(&mut self, value: Json) {
        match self.open.last_mut() {
            Some(Open::List(list)) => list.push(value),
            Some(Open::Object(members, name)) => {
                members.insert(name.take().unwrap_or_default(), value);
            }
            None => self.whole = value,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn read(text: &str) -> Result<Json, TooMuch> {
        Json::read(serde_json::from_str(text).unwrap())
    }

    fn plain(json: &Json) -> Value {
        match json {
            Json::Null => Value::Null,
            Json::Bool(truth) => (*truth).into(),
            Json::Number(number) => serde_json::from_str(number.as_str()).unwrap(),
            Json::Text(text) => text.as_str().into(),
            Json::List(list) => list.iter().map(plain).collect(),
            Json::Object(members) => {
                members.iter().map(|(name, value)| (name.clone(), plain(value))).collect()
            }
        }
    }

    #[test]
    fn digits_are_kept_and_the_last_of_two_counts() {
        let tree = read(r#" {"n":1.10,"a":1,"a":[true,false,null,{}]} "#).unwrap();
        assert_eq!(tree.get("n"), Some(&Json::Number(Number::new("1.10"))));
        let list = [Json::Bool(true), Json::Bool(false), Json::Null, Json::object([])];
        assert_eq!(tree.get("a"), Some(&Json::List(list.to_vec())));
    }

    #[test]
    fn trees_are_bounded() {
        let deep = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(read(&deep(DEPTH_MAX)).is_ok());
        assert_eq!(read(&deep(DEPTH_MAX + 1)), Err(TooMuch::Depth));
        let wide = |count: usize| format!("[{}]", vec!["0"; count].join(","));
        // The list is one, too.
        assert!(read(&wide(VALUES_MAX - 1)).is_ok());
        assert_eq!(read(&wide(VALUES_MAX)), Err(TooMuch::Values));
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
                prop::collection::btree_map("\\PC{0,4}", inner, 0..6)
                    .prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_tree_is_what_others_read(value in any_json()) {
            let text = value.to_string();
            let same: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(plain(&read(&text).unwrap()), same);
        }
    }
}
