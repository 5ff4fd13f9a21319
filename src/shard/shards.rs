//! The shards' threads: prepared, so that others can reach them, and then started.

use std::{io, sync::Arc, thread::JoinHandle};

use mio::Poll;

use super::{
    handle::ShardHandle,
    inbox::Inbox,
    limits::ShardLimits,
    run::{Shard, WAKER},
    tally::TallySink,
};
use crate::{defaults, liveness, topic::ShardId};

/// Shards that are prepared but not running yet.
pub struct Shards {
    polls: Vec<Poll>,
    handles: Arc<[ShardHandle]>,
}

impl Shards {
    /// Prepares `count` shards.
    pub fn prepare(count: usize) -> io::Result<Self> {
        let polls = (0..count).map(|_| Poll::new()).collect::<io::Result<Vec<_>>>()?;
        let open = |(index, poll): (usize, &Poll)| ShardHandle::open(ShardId(index), poll.registry(), WAKER);
        let handles = polls.iter().enumerate().map(open).collect::<io::Result<Vec<_>>>()?;
        Ok(Self { polls, handles: handles.into() })
    }

    /// How other threads reach them.
    pub fn handles(&self) -> Arc<[ShardHandle]> {
        self.handles.clone()
    }

    /// Starts a thread for each.
    pub fn start<S: TallySink + 'static>(
        self,
        limits: &ShardLimits,
        mut sink: impl FnMut() -> S,
    ) -> io::Result<Vec<JoinHandle<()>>> {
        // Complete before the first thread runs, since each may tell any other.
        let peers: Arc<[Inbox]> = self.handles.iter().map(|handle| handle.inbox.clone()).collect();
        let start = |(poll, handle): (Poll, &ShardHandle)| {
            let shard = Shard::new(handle, poll, peers.clone(), limits.clone(), Box::new(sink()))?;
            liveness::start(&format!("shard-{}", handle.id.0), defaults::STACK_BYTES, move || shard.run())
        };
        self.polls.into_iter().zip(&*self.handles).map(start).collect()
    }
}
