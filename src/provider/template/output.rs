//! What a template may render at most.

use std::io::{self, Write};

/// Longest rendered text, in bytes: beyond every message.
pub(super) const OUTPUT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// A writer that refuses to hold too much.
#[derive(Default)]
pub(super) struct Bounded(pub(super) Vec<u8>);

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Refused as a whole: part of a text might pass for JSON or for a topic.
        if self.0.len() + bytes.len() > OUTPUT_BYTES_MAX {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
