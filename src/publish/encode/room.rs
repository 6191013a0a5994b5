//! A bound on the bytes that encoders hold at the same time.

use std::sync::{Condvar, Mutex, PoisonError};

/// Room for so many bytes, shared by threads.
#[derive(Debug)]
pub(super) struct Room {
    bytes: u64,
    free: Mutex<u64>,
    freed: Condvar,
}

/// Room that is taken, until this is dropped.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    room: &'a Room,
    bytes: u64,
}

impl Room {
    /// Room for `bytes`.
    pub(super) fn of(bytes: u64) -> Self {
        Self { bytes, free: Mutex::new(bytes), freed: Condvar::new() }
    }

    /// Waits until there is room. Who wants more than there is waits for all of it.
    pub(super) fn take(&self, bytes: u64) -> Taken<'_> {
        let bytes = bytes.min(self.bytes);
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.freed.wait_while(free, |free| *free < bytes);
        *waited.unwrap_or_else(PoisonError::into_inner) -= bytes;
        Taken { room: self, bytes }
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.room.free.lock().unwrap_or_else(PoisonError::into_inner) += self.bytes;
        self.room.freed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::thread;

    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is() {
        let room = Room::of(10);
        let held = AtomicU64::new(0);
        thread::scope(|scope| {
            for bytes in [3, 4, 5, 6, 7, 8, 200] {
                let (room, held) = (&room, &held);
                scope.spawn(move || {
                    let taken = room.take(bytes);
                    let now = held.fetch_add(taken.bytes, Ordering::SeqCst) + taken.bytes;
                    assert!(now <= 10, "{now} bytes at once");
                    held.fetch_sub(taken.bytes, Ordering::SeqCst);
                });
            }
        });
        assert_eq!(*room.free.lock().unwrap(), 10);
    }
}
