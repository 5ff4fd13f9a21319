//! Files that hold a secret.

/// The content of such a file: an editor ends it with a line break, which is not part of the secret.
pub(super) fn without_line_end(bytes: &[u8]) -> &[u8] {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    bytes.strip_suffix(b"\r").unwrap_or(bytes)
}
