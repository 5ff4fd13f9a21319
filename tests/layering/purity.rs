//! Modules that are pure: no clock, no socket, no thread, no file, no log.

use crate::{names::words_of, tree::Tree};

const PURE: &[&str] = &["topic", "session", "auth", "document", "provider", "wire", "fanout"];

/// Crates, and what of the standard library, that reach outside.
const CRATES: &[&str] = &["tokio", "mio", "tracing", "socket2", "rustix", "fjall", "hyper", "metrics"];
const STANDARD: &[&str] = &["thread", "fs", "process"];
/// Of `std::net`; an address is only a value.
const SOCKETS: &[&str] = &["TcpListener", "TcpStream", "UdpSocket", "ToSocketAddrs"];

#[test]
fn pure_modules_touch_nothing_outside() {
    let tree = Tree::read();
    let mut wrong = Vec::new();
    for (path, module) in &tree.0 {
        if !path.first().is_some_and(|top| PURE.contains(&top.as_str())) {
            continue;
        }
        let clock = tree.named_by(path).keys().any(|target| target.first().is_some_and(|top| top == "clock"));
        let words = words_of(&module.syntax);
        let outside = words.paths.iter().filter(|path| match path.first().map(String::as_str) {
            Some("std") => path[1..]
                .iter()
                .any(|part| STANDARD.contains(&part.as_str()) || SOCKETS.contains(&part.as_str())),
            Some(name) => CRATES.contains(&name),
            None => false,
        });
        wrong.extend(outside.map(|path| format!("{}: {}", module.file, path.join("::"))));
        let time = words.identifiers.contains("SystemTime")
            || words.paths.iter().any(|path| path.ends_with(&["Instant".into(), "now".into()]));
        if clock || time {
            wrong.push(format!("{}: asks for the time", module.file));
        }
    }
    assert!(wrong.is_empty(), "pure modules reach outside:\n{}", wrong.join("\n"));
}
