//! Connections of which it is not known yet whose they are: few in all, and fewer from one address, so that one pod that opens
//! many and says nothing does not keep the others out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// From all addresses together.
const MAX: usize = 2048;

/// From one address: an execution that opens all its connections at once has to fit.
const MAX_FROM_ONE: usize = 512;

/// Who waits.
#[derive(Debug, Default)]
pub(super) struct Lobby(Mutex<HashMap<IpAddr, usize>>);

/// A place in the lobby, until it is dropped.
#[derive(Debug)]
pub(super) struct Waiting {
    lobby: Arc<Lobby>,
    from: IpAddr,
}

impl Lobby {
    /// A place, if there is one.
    pub(super) fn enter(self: &Arc<Self>, from: IpAddr) -> Option<Waiting> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if places.values().sum::<usize>() >= MAX {
            return None;
        }
        let place = places.entry(from).or_default();
        if *place >= MAX_FROM_ONE {
            return None;
        }
        *place += 1;
        Some(Waiting { lobby: Arc::clone(self), from })
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut places = self.lobby.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.get_mut(&self.from) {
            *place -= 1;
            if *place == 0 {
                places.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_leaves_room_for_others_and_places_come_back() {
        let lobby = Arc::<Lobby>::default();
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut places: Vec<_> = (0..MAX).filter_map(|_| lobby.enter(one)).collect();
        assert_eq!(places.len(), MAX_FROM_ONE);
        assert!(lobby.enter(other).is_some());
        places.pop();
        assert!(lobby.enter(one).is_some());
        drop(places);
        assert!(lobby.0.lock().unwrap().is_empty());
    }

    #[test]
    fn all_addresses_together_are_bounded() {
        let lobby = Arc::<Lobby>::default();
        let places: Vec<_> = (0..=u8::MAX)
            .flat_map(|last| (0..16).filter_map(|_| lobby.enter(IpAddr::from([10, 0, 0, last]))).collect::<Vec<_>>())
            .collect();
        assert_eq!(places.len(), MAX);
    }
}
