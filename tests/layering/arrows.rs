//! Which top module may name which: the arrows of the design.

use crate::tree::Tree;

/// Each module with those it may name. `defaults` may be named by anyone.
const ARROWS: &[(&str, &[&str])] = &[
    ("auth", &[]),
    (
        "broker",
        &[
            "auth", "clock", "collab", "document", "durable", "fanout", "memory", "metrics", "order",
            "shard", "store", "tap", "topic", "worker",
        ],
    ),
    ("clock", &[]),
    ("collab", &["document", "durable", "memory", "store", "topic"]),
    ("config", &["auth", "broker", "memory", "provider", "shard", "store", "topic", "wire"]),
    ("defaults", &[]),
    (
        "doors",
        &[
            "auth", "broker", "clock", "collab", "document", "durable", "fanout", "fetch", "liveness",
            "memory", "order", "provider", "session", "shard", "store", "tap", "topic", "wire",
        ],
    ),
    ("document", &[]),
    ("durable", &["clock", "shard", "store", "tap", "topic"]),
    // Who subscribes to what, and how each gets it: connections and time come in.
    ("fanout", &["topic", "wire"]),
    ("fetch", &[]),
    // Budgets and who uses them; below everything that keeps something.
    ("liveness", &[]),
    ("memory", &[]),
    // The sink for the shards' counts.
    ("metrics", &["shard"]),
    // What is behind a topic: nothing above knows.
    ("order", &["durable", "metrics", "shard", "tap", "topic"]),
    (
        "server",
        &[
            "auth", "broker", "clock", "config", "doors", "durable", "fetch", "liveness", "memory",
            "metrics", "shard", "store", "wire", "worker",
        ],
    ),
    // What providers of webhooks sign.
    ("provider", &[]),
    // Of fan-out it knows the doors' keys.
    ("session", &["auth", "fanout", "memory"]),
    // A shard never looks a topic up: what it fans out is handed to it.
    ("shard", &["auth", "clock", "fanout", "liveness", "memory", "topic", "wire"]),
    ("store", &["clock", "liveness", "memory"]),
    ("tap", &["topic"]),
    ("topic", &["memory", "wire"]),
    // What protocols have in common: it knows none of them.
    ("wire", &[]),
    ("worker", &["liveness", "memory"]),
];

#[test]
fn arrows_point_one_way() {
    let tree = Tree::read();
    let mut wrong = Vec::new();
    let mut drawn = Vec::new();
    for (path, module) in &tree.0 {
        let Some(top) = path.first() else { continue };
        let allowed = ARROWS.iter().find(|(name, _)| name == top).map(|(_, allowed)| *allowed);
        let allowed = allowed.unwrap_or_else(|| panic!("`{top}` is not in the table"));
        for (target, name) in tree.named_by(path) {
            let Some(named) = target.first() else { continue };
            if named != top && named != "defaults" {
                drawn.push((top.clone(), named.clone()));
                if !allowed.contains(&named.as_str()) {
                    wrong.push(format!("{}: {top} -> {named}, by `{name}`", module.file));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "arrows that the table does not have:\n{}", wrong.join("\n"));
    let is_module = |top: &str| tree.0.contains_key(&vec![top.to_owned()]);
    let gone: Vec<_> = ARROWS.iter().map(|(top, _)| *top).filter(|top| !is_module(top)).collect();
    assert!(gone.is_empty(), "no modules any more, take them out of the table: {gone:?}");
    let unused: Vec<_> = ARROWS
        .iter()
        .flat_map(|(top, allowed)| allowed.iter().map(|named| ((*top).to_owned(), (*named).to_owned())))
        .filter(|arrow| !drawn.contains(arrow))
        .collect();
    assert!(unused.is_empty(), "arrows that nothing needs, take them out of the table: {unused:?}");
}

/// From the top of the table nothing leads back: the arrows have an order.
#[test]
fn no_arrow_leads_back() {
    let mut left: Vec<_> = ARROWS.iter().map(|(top, named)| (*top, named.to_vec())).collect();
    while let Some(at) = left.iter().position(|(_, named)| named.is_empty()) {
        let (gone, _) = left.remove(at);
        left.iter_mut().for_each(|(_, named)| named.retain(|name| *name != gone));
    }
    assert!(left.is_empty(), "these modules name each other in a circle: {left:?}");
}
