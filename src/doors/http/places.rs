//! Places for requests that take long: so many run at a time, one of each caller's, and the others wait their turn in the
//! order in which they came. So whoever asks for much at once waits for themself, and nobody else does for more than one of
//! theirs.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{defaults, memory::Owner};

/// Which bound refuses a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum Crowded {
    /// The caller has as many under way as one may.
    #[error("{0} has {1} listings under way already, which is one caller's share; wait for them")]
    Caller(&'static str, usize),
    /// Callers without a name have as many as they may together.
    #[error(
        "callers without a credential have {0} listings under way, which is their share; try again in a second"
    )]
    Strangers(usize),
    /// There are as many as there may be.
    #[error("{0} listings are under way, which is all there may be; try again in a second")]
    All(usize),
}

/// The places there are, and who takes or waits for one.
pub(super) struct Places {
    running: Arc<Semaphore>,
    lines: Mutex<Lines>,
}

#[derive(Default)]
struct Lines {
    all: usize,
    strangers: usize,
    of: HashMap<Owner, Line>,
}

/// One caller's requests.
struct Line {
    /// Which of them is next.
    turn: Arc<Semaphore>,
    count: usize,
}

impl Places {
    /// So many at a time.
    pub(super) fn new(at_a_time: usize) -> Self {
        Self { running: Arc::new(Semaphore::new(at_a_time)), lines: Mutex::default() }
    }

    /// Waits for a place, unless too many do already.
    pub(super) async fn enter(self: Arc<Self>, caller: Owner) -> Result<Place, Crowded> {
        let (queued, turn) = self.queue(caller)?;
        // The own line comes first: whoever has many requests waits there, without holding one of the places that all
        // share.
        let own = turn.acquire_owned().await;
        let one = self.running.clone().acquire_owned().await;
        // Neither is ever closed.
        Ok(Place { _own: own.ok(), _one: one.ok(), _queued: queued })
    }

    fn queue(self: &Arc<Self>, caller: Owner) -> Result<(Queued, Arc<Semaphore>), Crowded> {
        let is_stranger = matches!(caller, Owner::Address(_));
        let mut lines = self.lines.lock();
        if lines.all >= defaults::LISTINGS_WAITING {
            return Err(Crowded::All(lines.all));
        }
        if is_stranger && lines.strangers >= defaults::LISTINGS_WAITING / 2 {
            return Err(Crowded::Strangers(lines.strangers));
        }
        let line = lines
            .of
            .entry(caller.clone())
            .or_insert_with(|| Line { turn: Arc::new(Semaphore::new(1)), count: 0 });
        if line.count >= defaults::LISTINGS_PER_CALLER {
            return Err(Crowded::Caller(caller.as_str(), line.count));
        }
        line.count += 1;
        let turn = line.turn.clone();
        lines.all += 1;
        lines.strangers += usize::from(is_stranger);
        Ok((Queued { places: self.clone(), caller }, turn))
    }
}

/// A place, given back when dropped. The fields are dropped in this order: the next in line may go on before the line is
/// forgotten.
pub(super) struct Place {
    _own: Option<OwnedSemaphorePermit>,
    _one: Option<OwnedSemaphorePermit>,
    _queued: Queued,
}

/// A request that is counted.
struct Queued {
    places: Arc<Places>,
    caller: Owner,
}

impl Drop for Queued {
    fn drop(&mut self) {
        let mut lines = self.places.lines.lock();
        lines.all -= 1;
        lines.strangers -= usize::from(matches!(self.caller, Owner::Address(_)));
        let left = lines.of.get_mut(&self.caller).map_or(0, |line| {
            line.count -= 1;
            line.count
        });
        // Nobody of this caller waits on its `turn` then, since whoever waits is counted.
        if left == 0 {
            lines.of.remove(&self.caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn user(name: &str) -> Owner {
        Owner::User(name.into())
    }

    #[tokio::test]
    async fn one_caller_takes_one_place_and_waits_for_the_next() {
        let places = Arc::new(Places::new(2));
        let first = places.clone().enter(user("a")).now_or_never().unwrap().unwrap();
        let mut second = Box::pin(places.clone().enter(user("a")));
        assert!(second.as_mut().now_or_never().is_none());
        let other = places.clone().enter(user("b")).now_or_never().unwrap().unwrap();
        let mut third = Box::pin(places.clone().enter(user("c")));
        assert!(third.as_mut().now_or_never().is_none(), "both are taken");
        drop(first);
        // Whoever waited longer is next: `c`, since `a` was waiting for itself.
        assert!(second.as_mut().now_or_never().is_none());
        let third = third.now_or_never().unwrap().unwrap();
        drop(other);
        assert!(second.now_or_never().unwrap().is_ok());
        drop(third);
        assert!(places.lines.lock().of.is_empty());
    }

    #[tokio::test]
    async fn so_many_wait_and_whoever_gives_up_is_forgotten() {
        let places = Arc::new(Places::new(1));
        let fill = |caller: Owner| {
            let mut mine = Vec::new();
            let refused = loop {
                let mut entered = Box::pin(places.clone().enter(caller.clone()));
                match entered.as_mut().now_or_never() {
                    Some(Err(crowded)) => break crowded,
                    Some(Ok(place)) => mine.push((Some(place), None)),
                    None => mine.push((None, Some(entered))),
                }
            };
            (mine, refused)
        };
        let (mine, refused) = fill(user("a"));
        assert_eq!(mine.len(), defaults::LISTINGS_PER_CALLER);
        assert_eq!(refused, Crowded::Caller("this user", mine.len()));
        let strangers: Vec<_> =
            (0..u8::MAX).map(|host| fill(Owner::Address([10, 0, 0, host].into()))).collect();
        let count = strangers.iter().map(|(theirs, _)| theirs.len()).sum::<usize>();
        assert_eq!(count, defaults::LISTINGS_WAITING / 2);
        assert_eq!(strangers.last().unwrap().1, Crowded::Strangers(count));
        let users: Vec<_> = (0..99).map(|name| fill(user(&name.to_string()))).collect();
        assert_eq!(users.last().unwrap().1, Crowded::All(defaults::LISTINGS_WAITING));
        drop((mine, strangers, users));
        let lines = places.lines.lock();
        assert_eq!((lines.all, lines.strangers, lines.of.len()), (0, 0, 0));
    }
}
