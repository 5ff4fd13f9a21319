//! A body as lines, each of bounded length, as they come in.

use axum::body::{Body, BodyDataStream, Bytes};
use bytes::BytesMut;
use futures_util::StreamExt;

/// A line without its end.
#[derive(Debug, PartialEq)]
pub(super) enum Line {
    /// What it says.
    Text(Bytes),
    /// It was too long, and is gone.
    TooLong,
}

/// What waiting for more of the body brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// Some of it.
    More,
    /// Its end.
    Complete,
    /// It broke off.
    Broken,
}

/// Splits a body at line feeds. Holds one line and one piece of the body at most.
pub(super) struct Lines {
    body: BodyDataStream,
    splitter: Splitter,
    complete: bool,
}

impl Lines {
    /// Lines of at most `limit` bytes.
    pub(super) fn new(body: Body, limit: usize) -> Self {
        Self { body: body.into_data_stream(), splitter: Splitter::new(limit), complete: false }
    }

    /// A line that has come in already.
    pub(super) fn at_hand(&mut self) -> Option<Line> {
        match self.splitter.next() {
            // The last line needs no end.
            None if self.complete => self.splitter.rest(),
            line => line,
        }
    }

    /// Whether nothing is at hand that could become a line.
    pub(super) fn is_empty(&self) -> bool {
        self.splitter.unread.is_empty()
    }

    /// Waits for more of the body.
    pub(super) async fn fill(&mut self) -> Filled {
        match self.body.next().await {
            Some(Ok(piece)) => {
                self.splitter.unread.extend_from_slice(&piece);
                Filled::More
            }
            Some(Err(_)) => Filled::Broken,
            None => {
                self.complete = true;
                Filled::Complete
            }
        }
    }
}

struct Splitter {
    limit: usize,
    unread: BytesMut,
    /// How much of `unread` is known to have no line feed.
    scanned: usize,
    /// What comes until the next line feed belongs to a line that was given up.
    skipping: bool,
}

impl Splitter {
    fn new(limit: usize) -> Self {
        Self { limit, unread: BytesMut::new(), scanned: 0, skipping: false }
    }

    fn next(&mut self) -> Option<Line> {
        // Goes on where the last search ended: a long line that comes in small pieces would otherwise be searched anew
        // for each.
        while let Some(found) = self.unread[self.scanned..].iter().position(|byte| *byte == b'\n') {
            let length = self.scanned + found;
            let line = self.unread.split_to(length + 1).freeze();
            self.scanned = 0;
            if std::mem::take(&mut self.skipping) {
                continue;
            }
            return Some(if length > self.limit { Line::TooLong } else { Line::Text(line.slice(..length)) });
        }
        let given_up = !self.skipping && self.unread.len() > self.limit;
        self.skipping |= given_up;
        // Thrown away at once, so that a line without end costs no more memory than the longest that is allowed.
        if self.skipping {
            self.unread.clear();
        }
        self.scanned = self.unread.len();
        given_up.then_some(Line::TooLong)
    }

    fn rest(&mut self) -> Option<Line> {
        // Never too long, as `next` has found it within the limit; of one that was given up nothing is left.
        self.scanned = 0;
        let rest = self.unread.split().freeze();
        (!rest.is_empty()).then_some(Line::Text(rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of a text that comes in pieces of this size.
    fn split(text: &str, piece: usize) -> Vec<Option<String>> {
        let mut splitter = Splitter::new(5);
        let mut lines = Vec::new();
        for piece in text.as_bytes().chunks(piece) {
            splitter.unread.extend_from_slice(piece);
            lines.extend(std::iter::from_fn(|| splitter.next()));
            assert!(splitter.unread.len() <= 5 + piece.len());
        }
        lines.extend(splitter.rest());
        let text = |line| match line {
            Line::Text(text) => Some(String::from_utf8(text.to_vec()).unwrap()),
            Line::TooLong => None,
        };
        lines.into_iter().map(text).collect()
    }

    #[test]
    fn lines_are_the_same_however_they_come() {
        let text = "a\n\nabcde\nabcdef\nx\nabcdefghijklmnopqrst\nend";
        let expected = ["a", "", "abcde", "-", "x", "-", "end"];
        let expected: Vec<_> = expected.map(|line| (line != "-").then(|| line.to_owned())).into();
        for piece in 1..=text.len() {
            assert_eq!(split(text, piece), expected, "in pieces of {piece}");
        }
        assert_eq!(split("abcdefghij", 3), [None]);
    }
}
