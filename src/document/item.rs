//! The structs of an update: what each client inserted, borrowed from the bytes they came in.
//!
//! Read and written as `UpdateEncoderV1` does: <https://github.com/yjs/yjs>, `structs/Item.js`, `structs/GC.js`,
//! `structs/Skip.js`, `structs/Content*.js`. A struct counts `length` pieces (letters, values); cutting it and joining its
//! parts again gives what it was, since the second part is written as inserted right after the first.

use std::borrow::Cow;

use super::lib0::{Malformed, Reader, put_bytes, put_uint};

/// Names a piece of content: the client that inserted it, and that client's clock.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Id {
    pub(super) client: u64,
    pub(super) clock: u32,
}

/// `length` pieces that a client inserted at once, from its clock `clock` on.
#[derive(Clone, Debug)]
pub(super) struct Struct<'a> {
    pub(super) clock: u32,
    pub(super) length: u32,
    pub(super) body: Body<'a>,
}

#[derive(Clone, Debug)]
pub(super) enum Body<'a> {
    /// Deleted, together with what it was in.
    Gone,
    /// Not known: a gap.
    Gap,
    Item(Item<'a>),
}

/// Content, and where it was inserted.
#[derive(Clone, Debug)]
pub(super) struct Item<'a> {
    /// The piece that was on its left when it was inserted.
    pub(super) left: Option<Id>,
    /// The piece on its right.
    pub(super) right: Option<Id>,
    /// Written only without neighbours, which know it otherwise.
    pub(super) parent: Parent<'a>,
    /// The key, in a map; likewise.
    pub(super) key: Option<&'a str>,
    pub(super) content: Content<'a>,
}

/// What an item is in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Parent<'a> {
    /// Whatever its neighbours are in.
    Neighbours,
    Root(&'a str),
    Item(Id),
}

#[derive(Clone, PartialEq, Debug)]
pub(super) enum Content<'a> {
    Deleted,
    Binary(&'a [u8]),
    Text(Cow<'a, str>),
    /// A JSON value within text.
    Embed(&'a str),
    /// From here on text is formatted so, or no longer: a JSON value by name.
    Format(&'a str, &'a str),
    Type(Type<'a>),
    /// Values as `writeAny` has them, one per piece.
    Values(Cow<'a, [u8]>),
    /// A document of its own: its name, and options as `writeAny` has them.
    Document(&'a [u8]),
}

/// A shared type within another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Type<'a> {
    Array,
    Map,
    Text,
    Element(&'a str),
    Fragment,
    Hook(&'a str),
    XmlText,
}

/// Bits of a struct's first byte.
const CONTENT: u8 = 0b1_1111;
const HAS_LEFT: u8 = 0x80;
const HAS_RIGHT: u8 = 0x40;
const HAS_KEY: u8 = 0x20;

/// Its values for structs that are no items.
const GONE: u8 = 0;
const GAP: u8 = 10;

impl<'a> Struct<'a> {
    /// Reads the struct of a client that begins at a clock. Everything in it is checked, see [`check`](super::check).
    pub(super) fn read(reader: &mut Reader<'a>, clock: u32) -> Result<Self, Malformed> {
        let info = reader.byte()?;
        match info & CONTENT {
            GONE => return Ok(Self { clock, length: not_empty(reader)?, body: Body::Gone }),
            GAP => return Ok(Self { clock, length: not_empty(reader)?, body: Body::Gap }),
            _ => {}
        }
        let left = if info & HAS_LEFT == 0 { None } else { Some(Id::read(reader)?) };
        let right = if info & HAS_RIGHT == 0 { None } else { Some(Id::read(reader)?) };
        let (mut parent, mut key) = (Parent::Neighbours, None);
        // Otherwise nothing is written of it, whatever `HAS_KEY` says, which Yjs sets all the same.
        if left.is_none() && right.is_none() {
            parent = match reader.uint()? {
                1 => Parent::Root(reader.text()?),
                0 => Parent::Item(Id::read(reader)?),
                _ => return Err(reader.wrong("a parent that is neither a name nor an item")),
            };
            if info & HAS_KEY != 0 {
                key = Some(reader.text()?);
            }
        }
        let (length, content) = Content::read(info & CONTENT, reader)?;
        Ok(Self { clock, length, body: Body::Item(Item { left, right, parent, key, content }) })
    }

    pub(super) fn write(&self, buffer: &mut Vec<u8>) {
        let item = match &self.body {
            Body::Gone | Body::Gap => {
                buffer.push(if matches!(self.body, Body::Gone) { GONE } else { GAP });
                return put_uint(buffer, self.length.into());
            }
            Body::Item(item) => item,
        };
        let mut info = item.content.number();
        for (is_set, flag) in [
            (item.left.is_some(), HAS_LEFT),
            (item.right.is_some(), HAS_RIGHT),
            (item.key.is_some(), HAS_KEY),
        ] {
            info |= if is_set { flag } else { 0 };
        }
        buffer.push(info);
        item.left.into_iter().chain(item.right).for_each(|id| id.write(buffer));
        if item.left.is_none() && item.right.is_none() {
            match item.parent {
                Parent::Root(name) => {
                    put_uint(buffer, 1);
                    put_bytes(buffer, name.as_bytes());
                }
                Parent::Item(id) => {
                    put_uint(buffer, 0);
                    id.write(buffer);
                }
                // Cannot be: what has no neighbours was read, or made, with a parent.
                Parent::Neighbours => {
                    put_uint(buffer, 1);
                    put_bytes(buffer, b"");
                }
            }
            if let Some(key) = item.key {
                put_bytes(buffer, key.as_bytes());
            }
        }
        item.content.write(self.length, buffer);
    }

    pub(super) fn end(&self) -> u32 {
        self.clock.saturating_add(self.length)
    }

    pub(super) fn is_deleted(&self) -> bool {
        matches!(self.body, Body::Gone | Body::Item(Item { content: Content::Deleted, .. }))
    }

    /// Cuts it at clocks that lie within it, in order, and hands out the parts. Takes as long as it is large, however
    /// many cuts there are.
    pub(super) fn cut(self, client: u64, clocks: &[u32], mut part: impl FnMut(Self)) {
        if clocks.is_empty() {
            return part(self);
        }
        let is_gap = matches!(self.body, Body::Gap);
        let (start, end) = (self.clock, self.end());
        let item = match self.body {
            Body::Item(item) => Some(item),
            Body::Gone | Body::Gap => None,
        };
        let mut ends = clocks.iter().copied().chain([end]);
        let mut clock = start;
        let mut next = || {
            let start = clock;
            clock = ends.next()?;
            Some((start, clock - start))
        };
        let Some(Item { left, right, parent, key, content }) = item else {
            while let Some((clock, length)) = next() {
                part(Self { clock, length, body: if is_gap { Body::Gap } else { Body::Gone } });
            }
            return;
        };
        let mut content = Cutter::of(content);
        while let Some((clock, length)) = next() {
            let is_first = clock == start;
            let item = Item {
                left: if is_first { left } else { Some(Id { client, clock: clock - 1 }) },
                right,
                parent: if is_first { parent } else { Parent::Neighbours },
                key: if is_first { key } else { None },
                content: content.take(length),
            };
            part(Self { clock, length, body: Body::Item(item) });
        }
    }

    /// Takes in the struct that follows it in the same client's, if both are parts of one; otherwise gives it back.
    pub(super) fn join(&mut self, client: u64, next: Self) -> Option<Self> {
        let last = Id { client, clock: self.end().wrapping_sub(1) };
        let (mine, its) = match (&mut self.body, &next.body) {
            (Body::Gone, Body::Gone) | (Body::Gap, Body::Gap) => {
                self.length += next.length;
                return None;
            }
            // As `Item.mergeWith` has it: inserted one right behind the other, and between the same neighbours.
            (Body::Item(mine), Body::Item(its)) if its.left == Some(last) && its.right == mine.right => {
                (&mut mine.content, &its.content)
            }
            _ => return Some(next),
        };
        match (mine, its) {
            (Content::Deleted, Content::Deleted) => {}
            (Content::Text(mine), Content::Text(its)) => mine.to_mut().push_str(its),
            (Content::Values(mine), Content::Values(its)) => mine.to_mut().extend_from_slice(its),
            _ => return Some(next),
        }
        self.length += next.length;
        None
    }
}

impl Id {
    fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Self { client: reader.uint()?, clock: reader.clock()? })
    }

    fn write(self, buffer: &mut Vec<u8>) {
        put_uint(buffer, self.client);
        put_uint(buffer, self.clock.into());
    }
}

impl<'a> Content<'a> {
    fn read(kind: u8, reader: &mut Reader<'a>) -> Result<(u32, Self), Malformed> {
        let content = match kind {
            1 => return Ok((not_empty(reader)?, Self::Deleted)),
            3 => Self::Binary(reader.bytes()?),
            4 => {
                let text = reader.text()?;
                // Counted in UTF-16 units, as JavaScript has it.
                let units = text.chars().map(char::len_utf16).sum::<usize>();
                let length = u32::try_from(units).map_err(|_| reader.wrong("text that is too long"))?;
                return Ok((length, Self::Text(text.into())));
            }
            5 => Self::Embed(reader.json()?),
            6 => Self::Format(reader.text()?, reader.json()?),
            7 => Self::Type(Type::read(reader)?),
            8 => {
                let count = reader.count(1)?;
                let length = u32::try_from(count).ok().filter(|length| *length > 0);
                let length = length.ok_or_else(|| reader.wrong("content without length"))?;
                return Ok((length, Self::Values(skip_values(reader, count)?.into())));
            }
            9 => {
                let before = reader.rest();
                reader.text()?;
                reader.skip_any(0)?;
                Self::Document(&before[..before.len() - reader.left()])
            }
            // 2 is what Yjs before version 13 wrote.
            _ => return Err(reader.wrong("content of no known kind")),
        };
        Ok((1, content))
    }

    fn number(&self) -> u8 {
        match self {
            Self::Deleted => 1,
            Self::Binary(_) => 3,
            Self::Text(_) => 4,
            Self::Embed(_) => 5,
            Self::Format(..) => 6,
            Self::Type(_) => 7,
            Self::Values(_) => 8,
            Self::Document(_) => 9,
        }
    }

    fn write(&self, length: u32, buffer: &mut Vec<u8>) {
        match self {
            Self::Deleted => put_uint(buffer, length.into()),
            Self::Binary(bytes) => put_bytes(buffer, bytes),
            Self::Text(text) => put_bytes(buffer, text.as_bytes()),
            Self::Embed(json) => put_bytes(buffer, json.as_bytes()),
            Self::Format(name, json) => {
                put_bytes(buffer, name.as_bytes());
                put_bytes(buffer, json.as_bytes());
            }
            Self::Type(kind) => kind.write(buffer),
            Self::Values(values) => {
                put_uint(buffer, length.into());
                buffer.extend_from_slice(values);
            }
            Self::Document(bytes) => buffer.extend_from_slice(bytes),
        }
    }
}

fn skip_values<'a>(reader: &mut Reader<'a>, count: usize) -> Result<&'a [u8], Malformed> {
    let before = reader.rest();
    for _ in 0..count {
        reader.skip_any(0)?;
    }
    Ok(&before[..before.len() - reader.left()])
}

impl<'a> Type<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(match reader.uint()? {
            0 => Self::Array,
            1 => Self::Map,
            2 => Self::Text,
            3 => Self::Element(reader.text()?),
            4 => Self::Fragment,
            5 => Self::Hook(reader.text()?),
            6 => Self::XmlText,
            _ => return Err(reader.wrong("a shared type of no known kind")),
        })
    }

    fn write(self, buffer: &mut Vec<u8>) {
        let (number, name) = match self {
            Self::Array => (0, None),
            Self::Map => (1, None),
            Self::Text => (2, None),
            Self::Element(name) => (3, Some(name)),
            Self::Fragment => (4, None),
            Self::Hook(name) => (5, Some(name)),
            Self::XmlText => (6, None),
        };
        put_uint(buffer, number);
        name.into_iter().for_each(|name| put_bytes(buffer, name.as_bytes()));
    }
}

/// A length of nothing: Yjs cannot write such a deletion again, and throws where it has to.
pub(super) fn not_empty(reader: &mut Reader<'_>) -> Result<u32, Malformed> {
    match reader.clock()? {
        0 => Err(reader.wrong("content without length")),
        length => Ok(length),
    }
}

/// Content that is handed out from the front.
enum Cutter<'a> {
    Whole(Option<Content<'a>>),
    Text { text: Cow<'a, str>, at: usize, half: bool },
    Values { values: Cow<'a, [u8]>, at: usize },
}

impl<'a> Cutter<'a> {
    fn of(content: Content<'a>) -> Self {
        match content {
            Content::Text(text) => Self::Text { text, at: 0, half: false },
            Content::Values(values) => Self::Values { values, at: 0 },
            other => Self::Whole(Some(other)),
        }
    }

    fn take(&mut self, length: u32) -> Content<'a> {
        match self {
            Self::Whole(content) => content.take().unwrap_or(Content::Deleted),
            Self::Text { text, at, half } => {
                let mut units = usize::try_from(length).unwrap_or(usize::MAX);
                // The second half of a pair, whose first half was cut off.
                let was_half = std::mem::take(half);
                units -= usize::from(was_half && units > 0);
                let mut end = *at;
                let mut is_half = false;
                for c in text[*at..].chars() {
                    if units == 0 {
                        break;
                    }
                    end += c.len_utf8();
                    is_half = c.len_utf16() > units;
                    units = units.saturating_sub(c.len_utf16());
                }
                let whole_end = if is_half { end - 4 } else { end };
                let part = slice(text, *at, whole_end);
                (*at, *half) = (end, is_half);
                Content::Text(match (was_half, is_half) {
                    (false, false) => part,
                    // As Yjs has it: halves of a pair become replacement characters.
                    (before, after) => {
                        let mark = |is| if is { "\u{fffd}" } else { "" };
                        format!("{}{part}{}", mark(before), mark(after)).into()
                    }
                })
            }
            Self::Values { values, at } => {
                let mut reader = Reader::new(&values[*at..]);
                for _ in 0..length {
                    // They were read once before.
                    let _ = reader.skip_any(0);
                }
                let end = values.len() - reader.left();
                let part = match values {
                    Cow::Borrowed(values) => Cow::Borrowed(&values[*at..end]),
                    Cow::Owned(values) => Cow::Owned(values[*at..end].to_vec()),
                };
                *at = end;
                Content::Values(part)
            }
        }
    }
}

fn slice<'a>(text: &Cow<'a, str>, start: usize, end: usize) -> Cow<'a, str> {
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[start..end]),
        Cow::Owned(text) => Cow::Owned(text[start..end].to_owned()),
    }
}
