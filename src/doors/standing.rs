//! What becomes of a connection as time passes: its credential ends or is revoked, and so do single subscriptions.

use fanwire_proto::ErrorCode;

use crate::{
    broker::Broker,
    session::{Session, Standing},
    shard::Cx,
};

/// Where a connection's client stands now.
pub(super) fn standing(session: &Session, broker: &Broker, cx: &Cx<'_>) -> Standing {
    let now_ms = cx.now_ms();
    session.standing(now_ms, |grant| broker.is_revoked(grant, now_ms))
}

/// Ends a connection whose client may no longer be there, or those of its subscriptions whose time is over.
pub(super) fn look_after(session: &mut Session, broker: &Broker, cx: &mut Cx<'_>) -> Standing {
    let standing = standing(session, broker, cx);
    // Single subscriptions need no look then: they end with their connection.
    if let Some(code) = standing.closing() {
        cx.close(code);
        return standing;
    }
    let expired = session.take_expired(cx.now_ms());
    if !expired.is_empty() {
        // The timer that led here was that of the earliest end, which the session has just forgotten.
        cx.ends_at(session.next_end());
    }
    for key in expired {
        cx.end(key, ErrorCode::Expired);
    }
    standing
}
