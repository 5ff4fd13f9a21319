//! What the core has to tell, as an event of our own protocol, for those dialects that speak it.

use fanwire_proto::{Event, Gap};

use crate::wire::Notice;

/// The event that a notice is.
pub(super) fn event_of(notice: &Notice<'_>) -> Event {
    match *notice {
        Notice::Joined { topic, member } => Event::Join { topic: topic.clone(), member: member.clone() },
        Notice::Left { topic, member } => Event::Leave { topic: topic.clone(), member: member.clone() },
        Notice::Gap { topic, epoch, after, next } => {
            Event::Gap(Gap { topic: topic.clone(), epoch, after, next })
        }
        Notice::Ended { topic, code } => Event::End { topic: topic.clone(), code },
        Notice::Goodbye { code, after_ms } => Event::Goodbye { code, reconnect: true, after_ms },
    }
}
