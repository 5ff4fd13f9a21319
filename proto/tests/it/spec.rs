//! `PROTOCOL.md` is complete, and its examples are what it says.

use fanwire_proto::{
    CloseCode, Command, ErrorCode, Event, FRAME_OBJECTS_MAX, Format, MAX_RATE_MIN, TAGS_MAX, TOPIC_BYTES_MAX,
};
use serde_json::Value;

const SPEC: &str = include_str!("../../PROTOCOL.md");

/// The lines of all fenced blocks in this language.
fn examples(language: &str) -> Vec<&'static str> {
    let mut inside = false;
    let mut lines = Vec::new();
    for line in SPEC.lines() {
        match line.strip_prefix("```") {
            Some(fence) => inside = !inside && fence == language,
            None if inside => lines.push(line),
            None => {}
        }
    }
    lines
}

/// The frame's value after being read and written again; unknown or misspelt fields are lost on the way.
fn request(frame: &str) -> Option<Value> {
    let requests: Result<Vec<_>, _> = Format::Json.decode_requests(frame.as_bytes()).into_iter().collect();
    let requests = requests.ok()?;
    let again = Format::Json.encode_requests(&requests).unwrap();
    Some(serde_json::from_slice(&again).unwrap())
}

fn event(frame: &str) -> Option<Value> {
    let events = Format::Json.decode_events(frame.as_bytes()).ok()?;
    let again = events.iter().map(|event| Format::Json.encode_event(event).unwrap());
    Some(again.map(|frame| serde_json::from_slice::<Value>(&frame).unwrap()).collect())
}

fn as_array(frame: &str) -> Value {
    match serde_json::from_str(frame).unwrap() {
        Value::Array(objects) => Value::Array(objects),
        object => Value::Array(vec![object]),
    }
}

#[test]
fn examples_are_requests_or_events() {
    let lines = examples("json");
    assert!(lines.len() >= 30, "{}", lines.len());
    for line in lines {
        let read = request(line).or_else(|| event(line));
        assert_eq!(read, Some(as_array(line)), "{line}");
    }
}

#[test]
fn transcripts_are_requests_and_events() {
    let lines = examples("transcript");
    assert!(!lines.is_empty());
    for line in lines {
        let (mark, frame) = line.split_at(2);
        match mark {
            "> " if frame.contains("chat:*") => assert!(request(frame).is_none()),
            "> " => assert_eq!(request(frame), Some(as_array(frame)), "{line}"),
            "< " => assert_eq!(event(frame), Some(as_array(frame)), "{line}"),
            _ => assert_eq!(mark, "# ", "{line}"),
        }
    }
}

#[test]
fn nothing_is_missing() {
    for name in Command::NAMES.iter().chain(Event::NAMES) {
        assert!(SPEC.contains(&format!("\n### {name}\n")), "{name} has no section");
    }
    for code in ErrorCode::ALL {
        let retry = if code.retry() { "yes" } else { "no" };
        let row = format!("\n| `{}` | {retry} |", code.as_str());
        assert!(SPEC.contains(&row), "{row}");
    }
    for code in CloseCode::ALL {
        let reason = if code.reason().is_empty() { "(none)" } else { code.reason() };
        let row = format!("\n| {} | {reason}", code.as_u16());
        // Some reasons go on with what was wrong.
        assert!([" |", ": "].iter().any(|end| SPEC.contains(&format!("{row}{end}"))), "{row}");
    }
    for format in Format::ALL {
        assert!(SPEC.contains(&format!("| `{}` |", format.subprotocol())));
    }
}

#[test]
fn limits_are_as_stated() {
    for row in [
        format!("| topic | {TOPIC_BYTES_MAX} bytes |"),
        format!("| `tags` | {TAGS_MAX} |"),
        format!("| objects in a frame from a client | {FRAME_OBJECTS_MAX} |"),
        format!("| `max_rate` | number ≥ {MAX_RATE_MIN} |"),
    ] {
        assert!(SPEC.contains(&row), "{row}");
    }
}

/// Links within the document lead somewhere.
#[test]
fn links_have_a_target() {
    let heads: Vec<String> = SPEC
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase().replace(' ', "-"))
        .collect();
    for link in SPEC.split("](#").skip(1) {
        let target = link.split(')').next().unwrap();
        assert!(heads.iter().any(|head| head == target), "#{target}");
    }
}
