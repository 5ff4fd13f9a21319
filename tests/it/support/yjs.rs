//! Updates as no Yjs client makes them: well-formed, and as deep, entangled or repetitive as somebody likes.
//!
//! Needs nothing but the standard library, so that other tests can include it.
#![allow(dead_code, reason = "each user needs a part")]

/// As lib0 writes it.
pub(crate) fn number(mut number: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number > 0x7f {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
    bytes
}

pub(crate) fn text(text: &str) -> Vec<u8> {
    [&number(text.len())[..], text.as_bytes()].concat()
}

/// Where something is inserted.
#[derive(Clone, Copy)]
pub(crate) enum At<'a> {
    Root(&'a str),
    /// Under a key of a root.
    Key(&'a str, &'a str),
    /// In the type that this piece is.
    In(usize, usize),
    RightOf(usize, usize),
    LeftOf(usize, usize),
    Between((usize, usize), (usize, usize)),
}

/// A struct: `kind` of content, which is written in `content`.
pub(crate) fn item(at: At<'_>, kind: u8, content: &[u8]) -> Vec<u8> {
    let id = |client, clock| [number(client), number(clock)].concat();
    let (flags, place) = match at {
        At::Root(root) => (0, [&[1], &text(root)[..]].concat()),
        At::Key(root, key) => (0x20, [&[1], &text(root)[..], &text(key)].concat()),
        At::In(client, clock) => (0, [&[0], &id(client, clock)[..]].concat()),
        At::RightOf(client, clock) => (0x80, id(client, clock)),
        At::LeftOf(client, clock) => (0x40, id(client, clock)),
        At::Between(left, right) => (0xc0, [id(left.0, left.1), id(right.0, right.1)].concat()),
    };
    [&[kind | flags], &place[..], content].concat()
}

pub(crate) fn letters(at: At<'_>, letters: &str) -> Vec<u8> {
    item(at, 4, &text(letters))
}

/// A shared array.
pub(crate) fn array(at: At<'_>) -> Vec<u8> {
    item(at, 7, &[0])
}

/// An update: by client its first clock and its structs, and by client ranges that are deleted.
pub(crate) fn update(
    clients: &[(usize, usize, Vec<Vec<u8>>)],
    deleted: &[(usize, Vec<(usize, usize)>)],
) -> Vec<u8> {
    let mut bytes = number(clients.len());
    for (client, clock, structs) in clients {
        bytes.extend([number(structs.len()), number(*client), number(*clock)].concat());
        structs.iter().for_each(|one| bytes.extend(one));
    }
    bytes.extend(number(deleted.len()));
    for (client, ranges) in deleted {
        bytes.extend([number(*client), number(ranges.len())].concat());
        ranges.iter().for_each(|(clock, length)| bytes.extend([number(*clock), number(*length)].concat()));
    }
    bytes
}

/// So many lists, each in the one before.
pub(crate) fn nested(depth: usize) -> Vec<u8> {
    let list = |clock| array(if clock == 0 { At::Root("deep") } else { At::In(1, clock - 1) });
    update(&[(1, 0, (0..depth).map(list).collect())], &[])
}

/// Deletes all of them.
pub(crate) fn deletion(client: usize, length: usize) -> Vec<u8> {
    update(&[], &[(client, vec![(0, length)])])
}

/// So many clients that insert at the same place of a text, or set the same key.
pub(crate) fn conflicts(clients: usize, key: bool) -> Vec<u8> {
    let at = if key { At::Key("map", "key") } else { At::Root("text") };
    let value = |client| (client, 0, vec![if key { item(at, 8, &[1, 126]) } else { letters(at, "x") }]);
    update(&(1..=clients).map(value).collect::<Vec<_>>(), &[])
}

/// Clients that insert a letter each in front of a text, with conflicts that reach over everything of the clients before: the
/// worst that is known.
pub(crate) fn entangled(clients: usize, each: usize) -> Vec<u8> {
    let run = |client| {
        let one = |clock| letters(if clock == 0 { At::Root("text") } else { At::RightOf(client, 0) }, "x");
        (client, 0, (0..each).map(one).collect())
    };
    update(&(1..=clients).map(run).collect::<Vec<_>>(), &[])
}

/// So many roots with a letter each.
pub(crate) fn roots(count: usize) -> Vec<u8> {
    let one = |clock| letters(At::Root(&format!("r{clock}")), "x");
    update(&[(1, 0, (0..count).map(one).collect())], &[])
}

/// Updates that add a letter each to a text, the last one first.
pub(crate) fn backwards(count: usize) -> Vec<Vec<u8>> {
    let one = |clock| {
        let at = if clock == 0 { At::Root("text") } else { At::RightOf(1, clock - 1) };
        update(&[(1, clock, vec![letters(at, "x")])], &[])
    };
    (0..count).rev().map(one).collect()
}

/// A text of which every second letter is deleted.
pub(crate) fn holes(length: usize) -> Vec<u8> {
    let ranges = (0..length / 2).map(|index| (2 * index, 1)).collect();
    update(&[(1, 0, vec![letters(At::Root("text"), &"x".repeat(length))])], &[(1, ranges)])
}

/// A text into which another client inserts behind every letter.
pub(crate) fn interleaved(length: usize) -> Vec<u8> {
    let one = |clock| letters(At::Between((1, clock), (1, clock + 1)), "y");
    let text = letters(At::Root("text"), &"x".repeat(length));
    update(&[(2, 0, (0..length - 1).map(one).collect()), (1, 0, vec![text])], &[])
}

/// A text in which so many names of formatting are added one by one, each in front of a letter.
pub(crate) fn formats(count: usize) -> Vec<u8> {
    let one = |clock: usize| {
        let at = if clock == 0 { At::Root("text") } else { At::RightOf(1, clock - 1) };
        match clock % 2 {
            0 => item(at, 6, &[text(&format!("f{clock}")), text("true")].concat()),
            _ => letters(at, "x"),
        }
    };
    update(&[(1, 0, (0..2 * count).map(one).collect())], &[])
}

/// Items that are to the right of each other, in circles.
pub(crate) fn circles(count: usize) -> Vec<u8> {
    let one = |client, other| {
        (client, 0, (0..count).map(|clock| letters(At::RightOf(other, clock), "x")).collect())
    };
    update(&[one(2, 1), one(1, 2)], &[])
}

/// All of them, with names, at about so many structs each.
pub(crate) fn hostile(size: usize) -> Vec<(&'static str, Vec<Vec<u8>>)> {
    vec![
        ("nested", vec![nested(size)]),
        ("nested and deleted", vec![nested(size), deletion(1, size)]),
        ("conflicts", vec![conflicts(size, false)]),
        ("one key", vec![conflicts(size, true)]),
        ("entangled", vec![entangled(size / 8, 8)]),
        ("roots", vec![roots(size)]),
        ("backwards", backwards(size)),
        ("holes", vec![holes(size)]),
        ("interleaved", vec![interleaved(size)]),
        ("formats", vec![formats(size / 2)]),
        ("circles", vec![circles(size / 2)]),
    ]
}
