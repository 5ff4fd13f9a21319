//! Streams of Server-Sent Events: the request, its answer, chunks, and where an event ends.

use crate::ws::handshake;

/// The request for a stream.
pub(super) fn request(host: &str, path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/event-stream\r\n\r\n")
}

/// Reads the head of the answer: its length and whether the body comes in chunks; `None` when it is not all there.
pub(super) fn read_head(bytes: &[u8]) -> Result<Option<(usize, bool)>, String> {
    let Some((head, length)) = handshake::head(bytes)? else { return Ok(None) };
    let status = head.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) != Some("200") {
        return Err(format!("the server answered the request for events with `{status}`"));
    }
    let coding = handshake::header(head, "transfer-encoding");
    Ok(Some((length, coding.is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")))))
}

/// The chunk at the start of `bytes`: where its content begins, where that ends, and how many bytes all of it takes;
/// `None` when it is not all there. The last one is empty.
pub(super) fn read_chunk(bytes: &[u8]) -> Result<Option<(usize, usize, usize)>, String> {
    let Some(end) = memchr::memmem::find(bytes, b"\r\n") else { return Ok(None) };
    let size = std::str::from_utf8(&bytes[..end]).unwrap_or_default();
    let size = size.split(';').next().unwrap_or_default().trim();
    let size = usize::from_str_radix(size, 16).map_err(|_| format!("`{size}` is no size of a chunk"))?;
    let (begin, end) = (end + 2, end + 2 + size);
    Ok((bytes.len() >= end + 2).then_some((begin, end, end + 2)))
}

/// The event at the start of `bytes`: its length, and the length with the blank line behind it.
pub(super) fn split_event(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut ends = memchr::memchr_iter(b'\n', bytes);
    ends.find_map(|end| match bytes.get(end + 1..) {
        Some([b'\n', ..]) => Some((end, end + 2)),
        Some([b'\r', b'\n', ..]) => Some((end, end + 3)),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_is_taken_apart_wherever_it_is_cut() {
        let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(read_head(head), Ok(Some((head.len(), true))));
        assert_eq!(read_head(&head[..20]), Ok(None));
        assert!(read_head(b"HTTP/1.1 404 Not Found\r\n\r\n").unwrap_err().contains("404"));
        let chunk = b"a;x=1\r\n0123456789\r\n5\r\n";
        assert_eq!(read_chunk(chunk), Ok(Some((7, 17, 19))));
        assert!((0..19).all(|cut| read_chunk(&chunk[..cut]) == Ok(None)));
        assert_eq!(read_chunk(b"0\r\n\r\n"), Ok(Some((3, 3, 5))));
        assert!(read_chunk(b"zz\r\n").is_err());
    }

    #[test]
    fn events_end_at_a_blank_line() {
        assert_eq!(split_event(b"data: 1\n\ndata"), Some((7, 9)));
        assert_eq!(split_event(b"data: 1\r\n\r\ndata"), Some((8, 11)));
        assert_eq!(split_event(b"data: 1\ndata: 2\n"), None);
    }
}
