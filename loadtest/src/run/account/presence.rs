//! Who is there, who is away, and whose end would be a surprise.

use super::Account;

impl Account {
    /// The tester cuts the connection of subscriber `at`.
    pub(in crate::run) fn cut(&mut self, at: usize) {
        self.leave(at);
        self.counts.cuts += 1;
    }

    /// Subscriber `at` is away from now on.
    pub(super) fn leave(&mut self, at: usize) {
        let subscriber = &mut self.subscribers[at];
        (subscriber.away, subscriber.returned) = (true, true);
    }

    /// The server is about to be killed: all connections, so many, will end.
    pub(in crate::run) fn doom_all(&mut self, connections: usize) {
        for (at, doomed) in self.doomed.iter_mut().enumerate().take(connections) {
            // Who has ended already cannot end once more, and would be waited for without end.
            *doomed = self.subscribers.get(at).is_none_or(|subscriber| !subscriber.ended);
        }
        self.doomed_count = self.doomed.iter().filter(|&&doomed| doomed).count();
    }

    /// Connection `at` is made anew: its end would be a surprise again.
    pub(in crate::run) fn expect_to_last(&mut self, at: usize) {
        self.doomed_count -= usize::from(std::mem::take(&mut self.doomed[at]));
    }

    /// Connections that ended because the server was killed, since the last call.
    pub(in crate::run) fn take_fallen(&mut self) -> Vec<usize> {
        std::mem::take(&mut self.fallen)
    }

    pub(in crate::run) fn is_away(&self, at: usize) -> bool {
        self.subscribers[at].away
    }

    pub(in crate::run) fn has_ended(&self, at: usize) -> bool {
        self.subscribers[at].ended
    }

    /// Whether every subscriber's connection ended.
    pub(in crate::run) fn all_ended(&self) -> bool {
        self.ended == self.subscribers.len()
    }

    /// Subscribers that are connected.
    pub(in crate::run) fn connected(&self) -> usize {
        self.subscribers.iter().filter(|subscriber| !subscriber.ended && !subscriber.away).count()
    }

    /// Whether the server has been killed and not everyone is back.
    pub(in crate::run) fn is_disturbed(&self) -> bool {
        self.doomed_count > 0
    }

    /// Subscribers that are away.
    pub(in crate::run) fn away(&self) -> usize {
        self.subscribers.iter().filter(|subscriber| subscriber.away).count()
    }
}
