//! The end of a run with documents: what a back end reads is held against the updates that make it.

use super::Engine;
use crate::adapter::fanwire;
use crate::client::fetch::Reader;
use crate::run::scenario::Kind;

/// What the server serves, by topic: the text, or why there is none.
pub(in crate::run) type Served = Vec<Result<Vec<u8>, String>>;

impl Engine<'_> {
    /// Reads all documents over HTTP; nothing where there are none, or the server is gone.
    pub(super) fn read_documents(&self) -> Served {
        if self.means.scenario.kind != Kind::Document || self.account.all_ended() {
            return Vec::new();
        }
        let mut reader = Reader::new(&self.subject.target);
        let mut read = |topic: &String| {
            let path = format!("/v1/documents/{topic}?root={}", fanwire::ROOT);
            let fetched = reader.get(&path, "text/plain")?;
            match fetched.status {
                200 => Ok(fetched.body),
                // Nobody has written there.
                404 => Ok(Vec::new()),
                status => Err(format!("the server answers with status {status}")),
            }
        };
        self.layout.topics.iter().map(&mut read).collect()
    }
}
