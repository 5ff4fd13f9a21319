//! What code consists of beside its structure: identifiers, paths, texts.

use std::collections::BTreeSet;

use proc_macro2::{TokenStream, TokenTree};
use quote::ToTokens;
use syn::Item;

/// Of some items, their attributes (so documentation, too) left out.
#[derive(Default)]
pub(crate) struct Words {
    pub(crate) identifiers: BTreeSet<String>,
    /// Literal texts, with their quotes.
    pub(crate) texts: BTreeSet<String>,
    /// As they are written, those of `use` spelled out.
    pub(crate) paths: BTreeSet<Vec<String>>,
}

pub(crate) fn words_of(items: &[Item]) -> Words {
    let mut words = Words::default();
    for item in items {
        collect(item.to_token_stream(), &[], &mut words);
    }
    words
}

/// `before` is the path that leads to what is in a group of `use`.
fn collect(tokens: TokenStream, before: &[String], words: &mut Words) {
    let mut path = before.to_vec();
    let mut attribute = false;
    let mut colons = 0;
    for token in tokens {
        match token {
            TokenTree::Punct(punct) if punct.as_char() == ':' => colons += 1,
            TokenTree::Punct(punct) => {
                attribute = punct.as_char() == '#' || attribute && punct.as_char() == '!';
                (path, colons) = (before.to_vec(), 0);
            }
            TokenTree::Ident(ident) => {
                let name = ident.to_string();
                words.identifiers.insert(name.clone());
                if colons != 2 {
                    path = before.to_vec();
                }
                path.push(name);
                words.paths.insert(path.clone());
                colons = 0;
            }
            TokenTree::Literal(literal) => {
                words.texts.insert(literal.to_string());
                (path, colons) = (before.to_vec(), 0);
            }
            TokenTree::Group(_) if attribute => attribute = false,
            TokenTree::Group(group) => {
                let inside = if colons == 2 { path.clone() } else { Vec::new() };
                collect(group.stream(), &inside, words);
                (path, colons) = (before.to_vec(), 0);
            }
        }
    }
}

/// The words of a name or a text, in small letters: `Wire::NativeJson`, `unknown_wire` and `/wire/{room}`.
pub(crate) fn split(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || c.is_uppercase() && small {
            words.push(String::new());
        }
        small = c.is_lowercase() || c.is_numeric();
        if c.is_alphanumeric() {
            words.last_mut().unwrap().extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[test]
fn words_are_found_where_they_stand() {
    let items = syn::parse_file(
        "/// Mqtt\n#[doc(alias = \"Amqp\")] fn f() { use std::{fs::{File, read}, net}; Wire::NativeJson; g!(\"/yjs/{room}\", a::b) }",
    )
    .unwrap()
    .items;
    let words = words_of(&items);
    let path = |text: &str| text.split("::").map(str::to_owned).collect::<Vec<_>>();
    for expected in ["std::fs::File", "std::fs::read", "std::net", "Wire::NativeJson", "a::b"] {
        assert!(words.paths.contains(&path(expected)), "{expected}: {:?}", words.paths);
    }
    assert!(words.texts.contains("\"/yjs/{room}\"") && words.texts.len() == 1, "{:?}", words.texts);
    assert!(!words.identifiers.contains("alias"));
    assert_eq!(split("NativeJson"), ["native", "json"]);
    assert_eq!(split("accept_yjs"), ["accept", "yjs"]);
    assert_eq!(split("\"/yjs/{room}\""), ["yjs", "room"]);
    assert_eq!(split("assess"), ["assess"]);
}
