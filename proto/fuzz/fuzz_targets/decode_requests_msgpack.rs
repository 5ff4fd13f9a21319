//! No bytes make the MessagePack decoder of requests panic; what it takes, it can write and take again.
#![no_main]

mod requests;

use fanwire_proto::Format;

libfuzzer_sys::fuzz_target!(|frame: &[u8]| requests::check(Format::MsgPack, frame));
