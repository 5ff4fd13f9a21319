//! Which module may name which: the arrows of the design, held against the code.
#![expect(clippy::unwrap_used, reason = "a test that cannot read the code has failed")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Each module of the crate with the modules it may name. `defaults` and `metrics` name nothing of the crate but what
/// is listed, and `defaults` may be named by anyone.
const ARROWS: &[(&str, &[&str])] = &[
    ("auth", &[]),
    (
        "broker",
        &["auth", "document", "durable", "memory", "metrics", "shard", "store", "tap", "topic", "worker"],
    ),
    // Part of the command, which uses the crate from outside.
    ("cli", &[]),
    ("clock", &[]),
    ("config", &["auth", "broker", "memory", "shard", "store", "topic", "provider", "wire"]),
    ("defaults", &[]),
    (
        "doors",
        &[
            "auth", "broker", "clock", "document", "durable", "fetch", "memory", "session", "shard", "store",
            "tap", "topic", "provider", "wire",
        ],
    ),
    ("document", &[]),
    ("durable", &["clock", "shard", "store", "tap", "topic"]),
    ("fetch", &[]),
    // Budgets and who uses them; below everything that keeps something.
    ("memory", &[]),
    // The sink for the shards' counts.
    ("metrics", &["shard"]),
    (
        "server",
        &[
            "auth", "broker", "clock", "config", "doors", "durable", "fetch", "metrics", "shard", "store",
            "wire", "worker",
        ],
    ),
    ("session", &["auth", "memory"]),
    // A shard never looks a topic up: what it fans out is handed to it.
    ("shard", &["auth", "clock", "memory", "topic", "wire"]),
    ("store", &["clock"]),
    ("tap", &["topic"]),
    ("topic", &["memory", "wire"]),
    // What providers of webhooks sign.
    ("provider", &[]),
    // What protocols have in common: it knows none of them.
    ("wire", &[]),
    ("worker", &[]),
];

/// Modules that are pure: no clock, no socket, no thread, no log.
const PURE: &[&str] = &["topic", "session", "auth", "document", "provider", "wire"];

const IMPURE: &[&str] = &[
    "crate::clock",
    "Instant::now",
    "SystemTime",
    "std::net",
    "std::thread",
    "tokio::",
    "mio::",
    "tracing::",
    "std::fs",
];

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

/// Code without comments and without the tests at its end.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let body = text.split("#[cfg(test)]\nmod tests").next().unwrap();
    body.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn module_of(path: &Path, source: &Path) -> String {
    let first = path.strip_prefix(source).unwrap().components().next().unwrap();
    first.as_os_str().to_str().unwrap().trim_end_matches(".rs").to_owned()
}

/// The first segments after every `crate::`, also inside `crate::{a::B, c}`.
fn named(code: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => names.insert(identifier(rest)),
            Some(group) => {
                for item in top_level_items(group) {
                    names.insert(identifier(item.trim()));
                }
                true
            }
        };
    }
    names.remove("");
    names
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

fn top_level_items(group: &str) -> Vec<String> {
    let (mut items, mut depth, mut item) = (Vec::new(), 0, String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => items.push(std::mem::take(&mut item)),
            _ => {}
        }
        if c != ',' || depth > 0 {
            item.push(c);
        }
    }
    items.push(item);
    items
}

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

#[test]
fn arrows_point_one_way() {
    let source = source();
    let mut wrong = Vec::new();
    for path in rust_files(&source) {
        let module = module_of(&path, &source);
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let allowed = ARROWS.iter().find(|(name, _)| *name == module).map(|(_, allowed)| *allowed);
        let allowed = allowed.unwrap_or_else(|| panic!("`{module}` is not in the table"));
        for name in named(&code(&path)) {
            let free = name == module || name == "defaults";
            if !free && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{}: {module} -> {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that the table does not have:\n{}", wrong.join("\n"));
}

#[test]
fn pure_modules_touch_nothing_outside() {
    let source = source();
    let mut wrong = Vec::new();
    for path in rust_files(&source) {
        if PURE.contains(&module_of(&path, &source).as_str()) {
            let code = code(&path);
            for impure in IMPURE.iter().filter(|impure| code.contains(**impure)) {
                wrong.push(format!("{}: {impure}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = ["src", "proto/src", "proto/tests", "loadtest/src", "tests", "examples"];
    let silent: Vec<_> = folders
        .iter()
        .map(|folder| root.join(folder))
        .filter(|folder| folder.exists())
        .flat_map(|folder| rust_files(&folder))
        .filter(|path| !fs::read_to_string(path).unwrap().starts_with("//!"))
        .collect();
    assert!(silent.is_empty(), "no `//!` at the top of {silent:?}");
}

#[test]
fn no_function_is_a_giant() {
    const LINES_MAX: usize = 80;
    let mut giants = Vec::new();
    for path in rust_files(&source()) {
        let text = fs::read_to_string(&path).unwrap();
        let mut open: Option<(usize, usize, String)> = None;
        for (number, line) in text.lines().enumerate() {
            let indent = line.len() - line.trim_start().len();
            if line.contains("fn ") && line.trim_end().ends_with('{') && !line.trim_start().starts_with("//")
            {
                open = Some((number, indent, line.trim().to_owned()));
            } else if line.trim() == "}"
                && let Some((start, at, name)) = &open
                && indent == *at
            {
                if number - start > LINES_MAX {
                    giants.push(format!("{}:{} {name}", path.display(), start + 1));
                }
                open = None;
            }
        }
    }
    assert!(giants.is_empty(), "over {LINES_MAX} lines:\n{}", giants.join("\n"));
}
