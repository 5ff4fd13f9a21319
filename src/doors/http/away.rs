//! Requests for topics that have to be read from the disk first: other requests go on meanwhile.

use fanwire_proto::TopicName;
use tokio::runtime::{Handle, RuntimeFlavor};

use crate::broker::Broker;

/// Does what may wait for the disk because of a topic. If it may, the thread's other tasks are given to another one.
pub(in crate::doors) fn with_topic<T>(broker: &Broker, topic: &TopicName, work: impl FnOnce() -> T) -> T {
    let shares_its_thread =
        || Handle::try_current().is_ok_and(|handle| handle.runtime_flavor() == RuntimeFlavor::MultiThread);
    match broker.is_away(topic) && shares_its_thread() {
        // Panics on a runtime of one thread, as tests have them; hence the question above.
        true => tokio::task::block_in_place(work),
        false => work(),
    }
}
