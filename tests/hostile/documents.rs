//! Updates of documents that are whole but hostile: types inside types, all clients at one place, one key set by
//! everybody, structs that stand for themselves, gigantic lengths.

use fanwire::document::lib0::put_uint;

use crate::random::Random;

/// The byte that a struct begins with: what it holds, and which neighbours it names.
const DELETED: u8 = 1;
const JSON: u8 = 2;
const STRING: u8 = 4;
const FORMAT: u8 = 6;
const TYPE: u8 = 7;
const ANY: u8 = 8;
const SKIP: u8 = 10;
const HAS_KEY: u8 = 0x20;
const HAS_RIGHT: u8 = 0x40;
const HAS_LEFT: u8 = 0x80;

/// Most structs of an update.
const STRUCTS_MAX: usize = 6_000;

/// A client's structs, which begin at clock 0.
struct Client {
    id: u64,
    structs: Vec<Vec<u8>>,
}

/// One whole update.
pub(crate) fn update(random: &mut Random) -> Vec<u8> {
    let count = random.size(STRUCTS_MAX);
    let clients = match random.below(9) {
        0 => vec![Client { id: 1, structs: (0..count as u64).map(|at| within(1, at, random)).collect() }],
        1 => one_each(count, |_| root(STRING, "a", None, &text("x"))),
        2 => one_each(count, |_| root(ANY, "a", Some("key"), &[1, 120])),
        3 => vec![Client {
            id: 7,
            structs: (0..count).map(|at| root(STRING, &at.to_string(), None, &text("y"))).collect(),
        }],
        4 => vec![Client { id: 9, structs: (0..count as u64).map(|at| before(9, at)).collect() }],
        5 => one_each(count, |at| beside(at, random.next() % count as u64)),
        6 => one_each(count.min(50), |_| root(STRING, "a", None, &text(&"z".repeat(random.size(2_000))))),
        7 => one_each(count.min(200), |_| deep(random)),
        _ => one_each(count.min(20), |_| gigantic(random)),
    };
    let mut bytes = Vec::new();
    put_uint(&mut bytes, clients.len() as u64);
    for client in clients.iter().rev() {
        put_uint(&mut bytes, client.structs.len() as u64);
        put_uint(&mut bytes, client.id);
        put_uint(&mut bytes, 0);
        client.structs.iter().for_each(|one| bytes.extend(one));
    }
    deletions(&mut bytes, &clients, random);
    bytes
}

fn one_each(count: usize, mut make: impl FnMut(u64) -> Vec<u8>) -> Vec<Client> {
    (0..count as u64).map(|at| Client { id: at + 1, structs: vec![make(at)] }).collect()
}

/// In a root type.
fn root(content: u8, name: &str, key: Option<&str>, rest: &[u8]) -> Vec<u8> {
    let mut bytes = vec![content | if key.is_some() { HAS_KEY } else { 0 }, 1];
    bytes.extend(text(name));
    key.into_iter().for_each(|key| bytes.extend(text(key)));
    bytes.extend(rest);
    bytes
}

/// A type inside the one before it; now and then inside itself or one that comes later.
fn within(client: u64, at: u64, random: &mut Random) -> Vec<u8> {
    let kind = *random.of(&[0_u8, 1, 2]);
    if at == 0 {
        return root(TYPE, "a", None, &[kind]);
    }
    let parent = if random.one_in(2_000) { at + random.next() % 3 } else { at - 1 };
    // What a map holds has a key.
    let key = if random.one_in(2) { HAS_KEY } else { 0 };
    let mut bytes = vec![TYPE | key, 0];
    put_uint(&mut bytes, client);
    put_uint(&mut bytes, parent);
    if key != 0 {
        bytes.extend(text("k"));
    }
    bytes.push(kind);
    bytes
}

/// Left of the one before it.
fn before(client: u64, at: u64) -> Vec<u8> {
    if at == 0 {
        return root(STRING, "a", None, &text("x"));
    }
    let mut bytes = vec![STRING | HAS_RIGHT];
    put_uint(&mut bytes, client);
    put_uint(&mut bytes, at - 1);
    bytes.extend(text("x"));
    bytes
}

/// Between two of others', which may come later.
fn beside(at: u64, other: u64) -> Vec<u8> {
    if at == 0 {
        return root(STRING, "a", None, &text("x"));
    }
    let mut bytes = vec![STRING | HAS_LEFT | HAS_RIGHT];
    for client in [1, other + 1] {
        put_uint(&mut bytes, client);
        put_uint(&mut bytes, 0);
    }
    bytes.extend(text("x"));
    bytes
}

/// Values inside values.
fn deep(random: &mut Random) -> Vec<u8> {
    let depth = random.size(2_000);
    if random.one_in(2) {
        let json = format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let content = if random.one_in(2) { JSON } else { FORMAT };
        let mut rest = if content == JSON { vec![1] } else { text("bold") };
        rest.extend(text(&json));
        return root(content, "a", None, &rest);
    }
    // A list of one, or a map of one, as lib0 writes them.
    let open: &[u8] = if random.one_in(2) { &[117, 1] } else { &[118, 1, 1, b'k'] };
    let mut rest = vec![1];
    rest.extend(open.repeat(depth));
    rest.push(126);
    root(ANY, "a", None, &rest)
}

/// Lengths and counts that nothing bears out.
fn gigantic(random: &mut Random) -> Vec<u8> {
    let kind = *random.of(&[0, DELETED, SKIP, ANY, JSON, STRING]);
    let number = *random.of(&[0x7fff_fffe_u64, 0x7fff_ffff, 0xffff_ffff, 1 << 40, u64::MAX]);
    let mut length = Vec::new();
    put_uint(&mut length, number);
    match kind {
        0 | SKIP => [vec![kind], length].concat(),
        _ => root(kind, "a", None, &length),
    }
}

fn deletions(bytes: &mut Vec<u8>, clients: &[Client], random: &mut Random) {
    if random.one_in(2) {
        return bytes.push(0);
    }
    let chosen: Vec<&Client> = clients.iter().filter(|_| random.one_in(2)).collect();
    put_uint(bytes, chosen.len() as u64);
    for client in chosen {
        put_uint(bytes, client.id);
        let ranges = random.size(client.structs.len());
        put_uint(bytes, ranges as u64);
        for _ in 0..ranges {
            put_uint(bytes, random.below(client.structs.len()) as u64);
            put_uint(bytes, random.size(client.structs.len()) as u64);
        }
    }
}

fn text(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_uint(&mut bytes, text.len() as u64);
    bytes.extend(text.as_bytes());
    bytes
}
