//! What holds for the requests of any bytes in any format.

use fanwire_proto::{FRAME_OBJECTS_MAX, Format};

/// Reads a frame, then each request it holds once more from what both formats write.
pub fn check(format: Format, frame: &[u8]) {
    let results = format.decode_requests(frame);
    assert!(results.len() <= FRAME_OBJECTS_MAX);
    for result in results {
        match result {
            Ok(request) => {
                for other in Format::ALL {
                    let written = other.encode_request(&request).expect("a request can be written");
                    let again =
                        other.decode_requests(&written).pop().expect("one result").expect("a request");
                    // A payload that crosses formats keeps its value, not its text.
                    let settled = other.encode_request(&again).expect("a request can be written");
                    let third =
                        other.decode_requests(&settled).pop().expect("one result").expect("a request");
                    assert_eq!(again, third);
                    if other == format {
                        assert_eq!(request.id, again.id);
                        assert_eq!(request.command.name(), again.command.name());
                    }
                }
            }
            Err(rejection) => assert!(rejection.message.len() < 1000, "{}", rejection.message),
        }
    }
}
