//! Topics that are on their way into memory or out of it: one at a time does that.

use fanwire_proto::TopicName;
use parking_lot::{Condvar, Mutex};
use rustc_hash::FxHashSet;

/// Names of topics that somebody is restoring or forgetting.
#[derive(Default)]
pub(super) struct Restoring {
    names: Mutex<FxHashSet<TopicName>>,
    released: Condvar,
}

impl Restoring {
    /// Waits until nobody else has the name.
    pub(super) fn lock<'a>(&'a self, name: &'a TopicName) -> Alone<'a> {
        let mut names = self.names.lock();
        while names.contains(name) {
            self.released.wait(&mut names);
        }
        names.insert(name.clone());
        Alone { restoring: self, name }
    }
}

/// Nobody else restores or forgets this topic while this exists.
pub(super) struct Alone<'a> {
    restoring: &'a Restoring,
    name: &'a TopicName,
}

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        self.restoring.names.lock().remove(self.name);
        self.restoring.released.notify_all();
    }
}
