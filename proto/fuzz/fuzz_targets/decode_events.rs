//! No bytes make a client's decoder panic; what it takes, it can write and take again in both formats.
#![no_main]

use fanwire_proto::Format;

libfuzzer_sys::fuzz_target!(|frame: &[u8]| {
    for format in Format::ALL {
        for event in format.decode_events(frame).unwrap_or_default() {
            for other in Format::ALL {
                let written = other.encode_event(&event).expect("an event can be written");
                let again = other.decode_events(&written).expect("an event").pop().expect("one event");
                assert_eq!(other.encode_event(&again).expect("an event can be written"), written);
            }
        }
    }
});
