//! How many requests are at an upstream at a time, and who waits for a place.
//!
//! Requests that are under way outlive a reload, and so do those that wait: the gate stays, and only
//! how many it lets through may change.

use std::{collections::VecDeque, sync::Arc};

use parking_lot::Mutex;
use tokio::{sync::oneshot, time};

use crate::policy::upstream::Bounds;

/// Lets so many requests through at a time.
#[derive(Debug, Default)]
pub(super) struct Gate(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    under_way: u32,
    /// So many may be, as was last heard.
    concurrent: u32,
    /// First come, first served. Who has given up is still in it until it is full.
    waiting: VecDeque<oneshot::Sender<Place>>,
}

/// A request's place at an upstream, until this is dropped.
#[derive(Debug)]
pub struct Place(Option<Arc<Gate>>);

/// There is no place, and none became free in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl Gate {
    /// Takes a place; waits for one if so many may, and for no longer than they may.
    pub async fn enter(self: &Arc<Self>, bounds: &Bounds) -> Result<Place, Full> {
        let turn = match self.ask(bounds) {
            Entry::Free(place) => return Ok(place),
            Entry::Full => return Err(Full),
            Entry::Wait(turn) => turn,
        };
        match time::timeout(bounds.queue_timeout, turn).await {
            Ok(Ok(place)) => Ok(place),
            Ok(Err(_)) | Err(_) => Err(Full),
        }
    }

    fn ask(self: &Arc<Self>, bounds: &Bounds) -> Entry {
        let mut state = self.0.lock();
        state.concurrent = bounds.concurrent;
        // A bound that was raised is for those who wait first of all.
        self.admit(&mut state);
        if state.under_way < bounds.concurrent {
            state.under_way = state.under_way.saturating_add(1);
            return Entry::Free(Place(Some(Arc::clone(self))));
        }
        let most = usize::try_from(bounds.queue).unwrap_or(usize::MAX);
        if state.waiting.len() >= most {
            state.waiting.retain(|one| !one.is_closed());
        }
        if state.waiting.len() >= most {
            return Entry::Full;
        }
        let (place, turn) = oneshot::channel();
        state.waiting.push_back(place);
        Entry::Wait(turn)
    }

    /// Gives what places there are to those who wait.
    fn admit(self: &Arc<Self>, state: &mut State) {
        while state.under_way < state.concurrent {
            let Some(next) = state.waiting.pop_front() else { return };
            match next.send(Place(Some(Arc::clone(self)))) {
                Ok(()) => state.under_way = state.under_way.saturating_add(1),
                // It has given up, and what it was given is no place.
                Err(mut place) => place.0 = None,
            }
        }
    }

    /// Hands a place that was left to whoever waits for one, unless there are fewer places by now.
    fn leave(self: &Arc<Self>) {
        let mut state = self.0.lock();
        state.under_way = state.under_way.saturating_sub(1);
        self.admit(&mut state);
    }
}

enum Entry {
    Free(Place),
    Full,
    Wait(oneshot::Receiver<Place>),
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(gate) = self.0.take() {
            gate.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const BOUNDS: Bounds =
        Bounds { concurrent: 2, queue: 1, queue_timeout: Duration::from_secs(60) };

    fn under_way(gate: &Gate) -> (u32, usize) {
        let state = gate.0.lock();
        (state.under_way, state.waiting.len())
    }

    #[tokio::test]
    async fn who_comes_beyond_waits_and_who_comes_beyond_that_is_turned_away() {
        let gate = Arc::new(Gate::default());
        let first = gate.enter(&BOUNDS).await.unwrap();
        let _second = gate.enter(&BOUNDS).await.unwrap();
        let waiting = tokio::spawn({
            let gate = gate.clone();
            async move { gate.enter(&BOUNDS).await }
        });
        while under_way(&gate).1 == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(gate.enter(&BOUNDS).await.err(), Some(Full));
        drop(first);
        let third = waiting.await.unwrap().unwrap();
        assert_eq!(under_way(&gate), (2, 0), "a place that is handed on is no new one");
        drop(third);
        assert_eq!(under_way(&gate), (1, 0));
    }

    #[tokio::test]
    async fn who_waits_too_long_is_turned_away_and_leaves_no_place_taken() {
        let gate = Arc::new(Gate::default());
        let bounds = Bounds { concurrent: 1, queue_timeout: Duration::from_millis(5), ..BOUNDS };
        let first = gate.enter(&bounds).await.unwrap();
        assert_eq!(gate.enter(&bounds).await.err(), Some(Full));
        assert_eq!(gate.enter(&bounds).await.err(), Some(Full), "who gave up waits no more");
        drop(first);
        assert_eq!(under_way(&gate), (0, 0));
        assert!(gate.enter(&bounds).await.is_ok());
    }

    #[tokio::test]
    async fn a_place_that_comes_too_late_is_free_again() {
        let gate = Arc::new(Gate::default());
        let bounds = Bounds { concurrent: 1, ..BOUNDS };
        let first = gate.enter(&bounds).await.unwrap();
        let Entry::Wait(turn) = gate.ask(&bounds) else { panic!("there was a place") };
        drop(first);
        // It was handed over, and nobody took it.
        assert_eq!(under_way(&gate), (1, 0));
        drop(turn);
        assert_eq!(under_way(&gate), (0, 0));
    }

    #[tokio::test]
    async fn fewer_places_are_not_handed_on_to_those_who_wait_and_more_are_theirs_first() {
        let gate = Arc::new(Gate::default());
        let bounds = Bounds { queue: 8, ..BOUNDS };
        let two = (gate.enter(&bounds).await.unwrap(), gate.enter(&bounds).await.unwrap());
        let Entry::Wait(mut first) = gate.ask(&bounds) else { panic!("both places are taken") };
        let fewer = Bounds { concurrent: 1, ..bounds };
        let Entry::Wait(mut second) = gate.ask(&fewer) else { panic!("there are fewer places") };
        drop(two.0);
        assert!(first.try_recv().is_err(), "one is still under way");
        let more = Bounds { concurrent: 3, ..bounds };
        let Entry::Wait(_third) = gate.ask(&more) else { panic!("others came first") };
        let places = (first.try_recv().unwrap(), second.try_recv().unwrap());
        assert_eq!(under_way(&gate), (3, 1));
        drop((two.1, places));
    }

    #[tokio::test]
    async fn fewer_places_hold_from_the_next_request_on() {
        let gate = Arc::new(Gate::default());
        let _two = (gate.enter(&BOUNDS).await.unwrap(), gate.enter(&BOUNDS).await.unwrap());
        let fewer = Bounds { concurrent: 1, queue: 0, ..BOUNDS };
        assert_eq!(gate.enter(&fewer).await.err(), Some(Full));
        let more = Bounds { concurrent: 3, ..BOUNDS };
        assert!(gate.enter(&more).await.is_ok());
    }
}
