//! How many clients are connected, and from where: counted exactly, over all listeners.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use ahash::RandomState;
use dashmap::DashMap;

use crate::model::client_network;

/// All connections of clients. It knows an address only while somebody is connected from there.
#[derive(Debug, Default)]
pub(super) struct Crowd {
    total: AtomicU32,
    addresses: DashMap<IpAddr, u32, RandomState>,
}

/// There are as many connections as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

impl Crowd {
    /// Lets a connection in if fewer than `most` are open.
    pub fn enter(self: &Arc<Self>, most: u32) -> Result<Seat, Full> {
        let one_more = |open: u32| (open < most).then(|| open.saturating_add(1));
        match self.total.fetch_update(Relaxed, Relaxed, one_more) {
            Ok(_) => Ok(Seat { crowd: Arc::clone(self), place: None }),
            Err(_) => Err(Full),
        }
    }
}

/// An open connection; it counts until this is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    crowd: Arc<Crowd>,
    place: Option<IpAddr>,
}

impl Seat {
    /// Counts the connection among those of its client's address as well, if fewer than `most` of
    /// them are open.
    pub fn count_with(&mut self, address: IpAddr, most: Option<u32>) -> Result<(), Full> {
        self.forget();
        let place = client_network(address);
        let mut open = self.crowd.addresses.entry(place).or_insert(0);
        if most.is_some_and(|most| *open >= most) {
            return Err(Full);
        }
        *open = open.saturating_add(1);
        drop(open);
        self.place = Some(place);
        Ok(())
    }

    fn forget(&mut self) {
        let Some(place) = self.place.take() else { return };
        self.crowd.addresses.remove_if_mut(&place, |_, open| {
            *open = open.saturating_sub(1);
            *open == 0
        });
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.forget();
        self.crowd.total.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn no_more_connections_than_may_be_are_let_in_whoever_comes_at_once() {
        let crowd = Arc::new(Crowd::default());
        let comers: Vec<_> = (0..8)
            .map(|_| {
                let crowd = crowd.clone();
                std::thread::spawn(move || {
                    let came = (0..100).filter_map(|_| {
                        let mut seat = crowd.enter(150).ok()?;
                        seat.count_with(address("192.0.2.1"), Some(120)).ok()?;
                        Some(seat)
                    });
                    came.collect::<Vec<_>>()
                })
            })
            .collect();
        let seats: Vec<Seat> = comers.into_iter().flat_map(|comer| comer.join().unwrap()).collect();
        assert_eq!(seats.len(), 120);
        assert_eq!(crowd.total.load(Relaxed), 120);
        drop(seats);
        assert_eq!((crowd.total.load(Relaxed), crowd.addresses.len()), (0, 0));
        assert!(crowd.enter(1).is_ok());
    }

    #[test]
    fn an_address_is_counted_as_limits_count_it() {
        let crowd = Arc::new(Crowd::default());
        let come = |from: &str| {
            let mut seat = crowd.enter(10)?;
            seat.count_with(address(from), Some(1)).map(|()| seat)
        };
        let seats = [come("192.0.2.1").unwrap(), come("2001:db8::1").unwrap()];
        for same in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8::2", "2001:db8:0:0:ffff::"] {
            assert_eq!(come(same).err(), Some(Full), "{same}");
        }
        assert!(come("2001:db8:0:1::").is_ok());
        drop(seats);
        assert!(come("192.0.2.1").is_ok());
        assert!(crowd.addresses.is_empty(), "nobody is remembered who has gone");
    }

    #[test]
    fn who_is_let_in_as_another_is_no_longer_counted_as_the_first() {
        let crowd = Arc::new(Crowd::default());
        let mut seat = crowd.enter(10).unwrap();
        seat.count_with(address("192.0.2.1"), Some(1)).unwrap();
        seat.count_with(address("192.0.2.2"), Some(1)).unwrap();
        let mut other = crowd.enter(10).unwrap();
        assert_eq!(other.count_with(address("192.0.2.2"), Some(1)), Err(Full));
        assert_eq!(other.count_with(address("192.0.2.1"), Some(1)), Ok(()));
    }
}
