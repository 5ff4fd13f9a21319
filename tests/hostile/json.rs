//! JSON that is well-formed but hostile, or nearly well-formed.

use crate::random::Random;

/// Deepest nesting, in levels; a stack of two megabytes that spends 16 bytes on each would hold it.
const DEPTH_MAX: usize = 100_000;

/// What decoders stumble over.
pub(crate) const WORDS: &[&str] = &[
    "[",
    "]",
    "{",
    "}",
    "\"",
    ":",
    ",",
    "null",
    "true",
    "-0",
    "1e999999",
    "-1e-999999",
    "0.1e+1",
    "123456789012345678901234567890",
    "18446744073709551616",
    "\\ud800",
    "\\udc00\\ud800",
    "\\u0000",
    "\\\\",
    "\u{feff}",
    "{\"a\":",
    "[[[[[[[[",
    "]]]]]]]]",
    "{\"\":{\"\":",
    "\"a\":1,",
    "\u{10ffff}",
    "\\",
    "NaN",
    "//",
    " \t\r\n",
];

/// A whole value.
pub(crate) fn value(random: &mut Random) -> Vec<u8> {
    let text = match random.below(10) {
        0 => nested("[", "]", random),
        1 => nested("{\"a\":", "}", random),
        2 => nested("[{\"a\":[", "]}]", random),
        3 => list(random, |random| random.below(10).to_string()),
        4 => object(random, |_| "a".into()),
        5 => object(random, |random| random.below(1 << 20).to_string()),
        6 => "9".repeat(random.size(50_000)),
        7 => format!("{}e{}", random.below(10), "9".repeat(random.size(20))),
        8 => format!("\"{}\"", "\\ud83d\\ude00\\ud800".repeat(random.size(2_000))),
        _ => any(random, 6),
    };
    text.into_bytes()
}

/// `open` again and again; most often closed as often.
pub(crate) fn nested(open: &str, close: &str, random: &mut Random) -> String {
    let depth = random.size(DEPTH_MAX);
    let closed = if random.one_in(8) { random.below(depth + 1) } else { depth };
    format!("{}1{}", open.repeat(depth), close.repeat(closed))
}

fn list(random: &mut Random, item: fn(&mut Random) -> String) -> String {
    let items: Vec<String> = (0..random.size(20_000)).map(|_| item(random)).collect();
    format!("[{}]", items.join(","))
}

fn object(random: &mut Random, name: fn(&mut Random) -> String) -> String {
    let members: Vec<String> =
        (0..random.size(5_000)).map(|at| format!("\"{}\":{at}", name(random))).collect();
    format!("{{{}}}", members.join(","))
}

/// Of all types, nested in one another.
fn any(random: &mut Random, depth: usize) -> String {
    match random.below(if depth == 0 { 3 } else { 5 }) {
        0 => (*random.of(&[
            "null",
            "true",
            "-0.0",
            "1e400",
            "18446744073709551616",
            "\"\"",
            "\"\\ud800\"",
            "{}",
        ]))
        .into(),
        1 => random.next().to_string(),
        2 => format!("\"{}\"", "é\u{10ffff}".repeat(random.below(20))),
        3 => format!(
            "[{}]",
            (0..random.below(5)).map(|_| any(random, depth - 1)).collect::<Vec<_>>().join(",")
        ),
        _ => {
            let member = |random: &mut Random| format!("\"{}\":{}", random.below(4), any(random, depth - 1));
            format!("{{{}}}", (0..random.below(5)).map(|_| member(random)).collect::<Vec<_>>().join(","))
        }
    }
}
