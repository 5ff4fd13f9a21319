//! The files in `vectors/` are what the catalog says, and both codecs agree with them.

use std::{collections::BTreeMap, fs};

use fanwire_proto::{Command, Event, Format, Rejection, Request};

use super::catalog::{self, Direction, IGNORED, Outcome, TAKEN, Vector};

#[test]
fn files_are_up_to_date() {
    let kept: BTreeMap<_, _> = fs::read_dir(catalog::folder())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect();
    let wanted = catalog::files();
    assert!(kept.keys().eq(wanted.keys()), "run `cargo run -p fanwire-proto --example vectors`");
    for (name, text) in &wanted {
        assert_eq!(&kept[name], text, "{name}: run `cargo run -p fanwire-proto --example vectors`");
    }
}

fn frames(vector: &Vector) -> impl Iterator<Item = (Format, &[u8])> {
    let json = vector.json.as_ref().map(|text| (Format::Json, text.as_bytes()));
    let msgpack = vector.msgpack.as_ref().map(|bytes| (Format::MsgPack, bytes.as_slice()));
    json.into_iter().chain(msgpack)
}

fn outcome(result: &Result<Request, Rejection>) -> Outcome {
    match result {
        Ok(_) => TAKEN,
        Err(rejection) => Outcome::Refused { code: rejection.code.as_str(), id: rejection.id },
    }
}

fn of(direction: Direction) -> impl Iterator<Item = Vector> {
    catalog::all().into_iter().filter(move |vector| vector.direction == direction)
}

#[test]
fn requests_are_taken_and_refused_as_noted() {
    for vector in of(Direction::Request) {
        for (format, frame) in frames(&vector) {
            let outcomes: Vec<_> = format.decode_requests(frame).iter().map(outcome).collect();
            assert_eq!(outcomes, vector.outcomes, "{} as {format:?}", vector.name);
        }
    }
}

#[test]
fn requests_are_the_same_in_both_formats() {
    for vector in of(Direction::Request) {
        let mut decoded = frames(&vector).map(|(format, frame)| {
            let taken = format.decode_requests(frame).into_iter().filter_map(Result::ok);
            taken.map(comparable).collect::<Vec<_>>()
        });
        if let (Some(first), Some(second)) = (decoded.next(), decoded.next()) {
            assert_eq!(first, second, "{}", vector.name);
        }
    }
}

/// A payload's text may differ in white space and the way numbers are written.
fn comparable(request: Request) -> (String, Option<serde_json::Value>) {
    let text = String::from_utf8(Format::Json.encode_request(&request).unwrap()).unwrap();
    match request.command {
        Command::Publish(_) => (String::new(), Some(serde_json::from_str(&text).unwrap())),
        _ => (text, None),
    }
}

#[test]
fn events_are_read_and_written_back_exactly() {
    for vector in of(Direction::Event).filter(|vector| !vector.outcomes.contains(&IGNORED)) {
        if vector.name == "event_unknown_code" {
            continue;
        }
        for (format, frame) in frames(&vector) {
            let events = format.decode_events(frame).unwrap();
            assert_eq!(events.len(), vector.outcomes.len(), "{}", vector.name);
            if let [event] = &events[..] {
                assert_eq!(format.encode_event(event).unwrap(), frame, "{} as {format:?}", vector.name);
            }
        }
    }
}

#[test]
fn clients_go_on_when_the_broker_learns_something_new() {
    for vector in of(Direction::Event) {
        let taken = vector.outcomes.iter().filter(|&outcome| *outcome == TAKEN).count();
        for (format, frame) in frames(&vector) {
            assert_eq!(format.decode_events(frame).unwrap().len(), taken, "{}", vector.name);
        }
    }
}

/// Each command and each event has a vector.
#[test]
fn every_name_has_a_vector() {
    let texts: Vec<_> = catalog::all().iter().filter_map(|vector| vector.json.clone()).collect();
    for name in Command::NAMES.iter().chain(Event::NAMES) {
        let tag = format!(r#"{{"type":"{name}""#);
        assert!(texts.iter().any(|text| text.starts_with(&tag)), "{name}");
    }
}
