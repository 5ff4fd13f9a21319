//! Documents made to be deep, entangled and repetitive, through everything that is done with documents.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::document::{
    CannotRead, check,
    compact::{CannotMerge, compact, diff},
    content,
    coverage::Coverage,
    edit::{CannotEdit, Content, edit},
    vector::Clocks,
};

#[path = "../../tests/it/support/yjs.rs"]
mod yjs;

fn refs(updates: &[Vec<u8>]) -> Vec<&[u8]> {
    updates.iter().map(Vec::as_slice).collect()
}

/// What each of them takes at most in a debug build on a busy machine; what is quadratic takes minutes.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn nothing_takes_long_or_much_stack() {
    let target = json!({"text": "other", "deep": [1], "list": [1, 2, 3]});
    // Less than any thread has that works on documents.
    let run =
        std::thread::Builder::new().stack_size(crate::defaults::WORKER_STACK_BYTES / 2).spawn(move || {
            for (name, updates) in yjs::hostile(30_000) {
                let started = Instant::now();
                updates.iter().for_each(|update| assert_eq!(check(update), Ok(()), "{name}"));
                let merged = compact(&refs(&updates)).unwrap();
                let mut clocks = Clocks::default();
                clocks.add_update(&merged.state).unwrap();
                diff(&merged.state, &clocks.encode()).unwrap();
                Coverage::of([merged.state.as_slice()]).unwrap();
                let state = [merged.state.as_slice()];
                let read = content::json(&state);
                assert!(
                    matches!(read, Ok(_) | Err(CannotRead::TooDeep(_) | CannotRead::TooManySteps(_))),
                    "{name}"
                );
                let _ = content::text(&state, "text");
                let made = edit(&state, &Content::Json(target.as_object().unwrap()), 9);
                assert!(matches!(made, Ok(_) | Err(CannotEdit::Unreadable(_))), "{name}");
                let _ = edit(&[], &Content::Updates(&state), 9);
                eprintln!("{name}: {:?}, {} bytes, {:?}", started.elapsed(), merged.state.len(), read.err());
                assert!(started.elapsed() < PATIENCE, "{name}");
            }
        });
    run.unwrap().join().unwrap();
}

#[test]
fn what_is_too_deep_is_merged_and_not_converted() {
    let most = usize::try_from(crate::defaults::DOCUMENT_DEPTH).unwrap();
    let too_deep = Err(CannotRead::TooDeep(crate::defaults::DOCUMENT_DEPTH));
    for (depth, fits) in [(most, true), (most + 1, true), (most + 2, false)] {
        let update = yjs::nested(depth);
        let read = content::json(&[&update]);
        assert_eq!(read.is_ok(), fits, "{depth}");
        assert!(fits || read == too_deep);
        let merged = compact(&[&update, &yjs::deletion(1, depth)]).unwrap();
        assert_eq!(content::json(&[&merged.state]), Ok(json!({"deep": null})));
        assert!(merged.state.len() < 30, "what is in something deleted is forgotten");
    }
}

#[test]
fn what_is_no_update_is_named() {
    assert!(matches!(compact(&[b"hello"]), Err(CannotMerge::Malformed(_))));
    assert!(matches!(content::json(&[b"hello"]), Err(CannotRead::Malformed(_))));
}
