//! Topics on the disk that nobody gets at, because their rule does not say `durable` any more.

use fanwire_proto::TopicName;

use super::Broker;
use crate::store::StoreError;

impl Broker {
    /// Names in the log what the rules leave lying on the disk; nothing of it is removed.
    pub fn report_unserved(&self) {
        match self.unserved() {
            Ok((0, _)) => {}
            Ok((count, first)) => {
                let first = first.as_ref().map_or("", TopicName::as_str);
                tracing::warn!(
                    count,
                    first,
                    "topics on the disk are not served: their rules are not durable"
                );
            }
            Err(error) => tracing::warn!(%error, "topics on the disk could not be looked through"),
        }
    }

    /// How many there are, and the first one.
    fn unserved(&self) -> Result<(usize, Option<TopicName>), StoreError> {
        let policy = self.policy.load();
        let (mut count, mut first) = (0, None);
        self.durable.topics(None, |name| {
            if !policy.rules.of(name).keeping.is_durable() {
                count += 1;
                first.get_or_insert_with(|| name.clone());
            }
            true
        })?;
        Ok((count, first))
    }
}
