//! What holds for all requests, events, payloads, names and bytes.

use fanwire_proto::{
    Command, Event, Format, Message, Offset, Pattern, Payload, Publish, Reply, Request, TOPIC_BYTES_MAX,
    TopicName,
};
use proptest::{collection::vec, prelude::*, sample::Index};
use serde_json::Value;

use super::strategy;

/// What a payload means; its text may change on the way through MessagePack.
fn meaning(payload: &Payload) -> Result<Value, Vec<u8>> {
    match payload {
        Payload::Json(raw) => Ok(serde_json::from_str(raw.get()).unwrap()),
        Payload::Bytes(bytes) => Err(bytes.to_vec()),
    }
}

fn deliver(format: Format, payload: Payload) -> Payload {
    let message = Message {
        topic: "t".parse().unwrap(),
        offset: Offset(1),
        time: 0,
        payload,
        key: None,
        tags: None,
        from: None,
        skipped: 0,
    };
    let frame = format.encode_event(&Event::Message(message)).unwrap();
    match format.decode_events(&frame).unwrap().remove(0) {
        Event::Message(message) => message.payload,
        other => panic!("{other:?}"),
    }
}

fn publish(format: Format, payload: Payload) -> Payload {
    let topic = "t".parse().unwrap();
    let command = Command::Publish(Publish {
        topic,
        payload,
        key: None,
        message_id: None,
        tags: None,
        ack: None,
        except: None,
    });
    let frame = format.encode_request(&Request { id: None, command }).unwrap();
    match format.decode_requests(&frame).remove(0).unwrap().command {
        Command::Publish(publish) => publish.payload,
        other => panic!("{other:?}"),
    }
}

/// Replaces JSON payloads by a settled text, so that requests can be compared across MessagePack.
fn settle(mut request: Request) -> Request {
    if let Command::Publish(Publish { payload, .. }) = &mut request.command
        && let Ok(value) = meaning(payload)
    {
        *payload = Payload::json(&value.to_string()).unwrap();
    }
    request
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_come_back(request in strategy::request()) {
        for format in Format::ALL {
            let frame = format.encode_request(&request).unwrap();
            let again = format.decode_requests(&frame).remove(0).unwrap();
            prop_assert_eq!(settle(again), settle(request.clone()));
        }
    }

    #[test]
    fn requests_come_back_in_order(requests in vec(strategy::request(), 0..20)) {
        for format in Format::ALL {
            let frame = format.encode_requests(&requests).unwrap();
            let again: Vec<_> = format.decode_requests(&frame).into_iter().map(|r| settle(r.unwrap())).collect();
            let wanted: Vec<_> = requests.iter().cloned().map(settle).collect();
            prop_assert_eq!(again, wanted);
        }
    }

    #[test]
    fn events_come_back(event in strategy::event()) {
        for format in Format::ALL {
            let frame = format.encode_event(&event).unwrap();
            let again = format.decode_events(&frame).unwrap().remove(0);
            prop_assert_eq!(format.encode_event(&again).unwrap(), frame);
            // MessagePack changes a payload's text, not its meaning; the frame above has shown that.
            if format == Format::Json {
                let wanted = Reply::of(&event).map_or(event.clone(), |reply| Event::Reply(Box::new(reply)));
                prop_assert_eq!(again, wanted);
            }
        }
    }

    #[test]
    fn payloads_cross_formats(payload in strategy::payload()) {
        let wanted = meaning(&payload);
        for (there, back) in [(Format::Json, Format::MsgPack), (Format::MsgPack, Format::Json)] {
            let arrived = deliver(back, publish(there, payload.clone()));
            prop_assert_eq!(meaning(&arrived), wanted.clone());
            let returned = deliver(there, publish(back, arrived));
            prop_assert_eq!(meaning(&returned), wanted.clone());
        }
    }

    /// JSON to JSON is not a matter of meaning: not a byte changes.
    #[test]
    fn json_is_kept_as_written(value in strategy::value()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        let payload = deliver(Format::Json, publish(Format::Json, Payload::json(&text).unwrap()));
        prop_assert_eq!(payload, Payload::json(&text).unwrap());
    }

    #[test]
    fn any_bytes_are_answered(frame in vec(any::<u8>(), 0..300)) {
        for format in Format::ALL {
            format.decode_requests(&frame);
            let _ = format.decode_events(&frame);
        }
    }

    #[test]
    fn any_text_is_answered(frame in "[\\[\\]{}\":,a-z0-9\\\\ .eE-]{0,80}") {
        Format::Json.decode_requests(frame.as_bytes());
        let _ = Format::Json.decode_events(frame.as_bytes());
    }

    #[test]
    fn damaged_frames_are_answered(
        requests in vec(strategy::request(), 1..4),
        damage in vec((any::<Index>(), any::<u8>()), 1..6),
        end in option_index(),
    ) {
        for format in Format::ALL {
            let mut frame = format.encode_requests(&requests).unwrap();
            for (place, byte) in &damage {
                let place = place.index(frame.len());
                frame[place] = *byte;
            }
            if let Some(end) = end {
                frame.truncate(end.index(frame.len()));
            }
            // What was taken in spite of the damage is a request like any other.
            for request in format.decode_requests(&frame).into_iter().flatten() {
                format.encode_request(&request).unwrap();
            }
            let _ = format.decode_events(&frame);
        }
    }

    #[test]
    fn topics_are_what_the_rules_say(name in "[\\PC\\*:\\x00\\x7f]{0,250}") {
        let fine = (1..=TOPIC_BYTES_MAX).contains(&name.len())
            && !name.chars().any(|c| c == '*' || c.is_control());
        prop_assert_eq!(TopicName::new(&name).is_ok(), fine);
    }

    #[test]
    fn a_topic_is_a_pattern_of_itself(name in strategy::topic(), other in strategy::topic()) {
        let pattern = Pattern::new(name.as_str()).unwrap();
        prop_assert!(pattern.matches(&name));
        prop_assert_eq!(pattern.matches(&other), name == other);
        prop_assert!(Pattern::new("**").unwrap().matches(&name));
    }

    /// Any segment may become `*`, any tail `**`, and the pattern still matches.
    #[test]
    fn wildcards_widen(segments in vec("[a-z]{0,3}", 1..6), place in any::<Index>()) {
        let name = segments.join(":");
        prop_assume!(!name.is_empty());
        let topic = TopicName::new(&name).unwrap();
        let place = place.index(segments.len());
        let mut wider = segments.clone();
        wider[place] = "*".into();
        let one = Pattern::new(&wider.join(":")).unwrap();
        prop_assert!(one.matches(&topic));
        wider.truncate(place);
        wider.push("**".into());
        let rest = Pattern::new(&wider.join(":")).unwrap();
        prop_assert!(rest.matches(&topic));
        let longer = TopicName::new(&format!("{name}:more")).unwrap();
        prop_assert!(!one.matches(&longer));
        prop_assert!(rest.matches(&longer));
    }
}

fn option_index() -> impl Strategy<Value = Option<Index>> {
    proptest::option::of(any::<Index>())
}
