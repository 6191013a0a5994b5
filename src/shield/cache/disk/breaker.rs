//! Leaving a disk alone that fails: for a while, then one probe at a time.

use std::io;
use std::time::Duration;

use rustix::io::Errno;
use tokio::time::Instant;

/// How long a disk that failed is left alone.
pub(super) const BYPASS: Duration = Duration::from_secs(30);

/// Whether operations are tried at all.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Breaker {
    open_until: Option<Instant>,
}

impl Breaker {
    /// Whether to try. Once the time is over one caller may; the others wait
    /// until it succeeded.
    pub(super) fn admits(&mut self, now: Instant) -> bool {
        match self.open_until {
            None => true,
            Some(until) if now < until => false,
            Some(_) => {
                self.open_until = Some(now + BYPASS);
                true
            }
        }
    }

    /// Notes a failure; whether it is the first of them.
    pub(super) fn failed(&mut self, now: Instant) -> bool {
        self.open_until.replace(now + BYPASS).is_none()
    }

    pub(super) fn succeeded(&mut self) {
        self.open_until = None;
    }
}

/// Whether an error says that the disk is full or broken, not one file.
pub(super) fn is_of_the_disk(error: &io::Error) -> bool {
    let errno = error.raw_os_error().map(Errno::from_raw_os_error);
    matches!(
        errno,
        Some(
            Errno::NOSPC
                | Errno::DQUOT
                | Errno::IO
                | Errno::ROFS
                | Errno::ACCESS
                | Errno::PERM
                | Errno::MFILE
                | Errno::NFILE
                | Errno::NOMEM
                | Errno::STALE
        )
    )
}

/// Whether an error is no mistake of who configured the tier, but the disk's.
pub(super) fn may_pass(error: &io::Error) -> bool {
    error.kind() != io::ErrorKind::PermissionDenied && is_of_the_disk(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_one_probe_is_let_through_every_30_seconds() {
        let mut breaker = Breaker::default();
        let begin = Instant::now();
        assert!(breaker.admits(begin) && breaker.admits(begin));
        assert!(breaker.failed(begin));
        assert!(!breaker.admits(begin + BYPASS / 2));
        assert!(breaker.admits(begin + BYPASS), "a probe");
        assert!(!breaker.admits(begin + BYPASS), "one at a time");
        assert!(!breaker.failed(begin + BYPASS), "told before");
        assert!(breaker.admits(begin + BYPASS * 2));
        breaker.succeeded();
        assert!(breaker.admits(begin + BYPASS * 2) && breaker.admits(begin + BYPASS * 2));
    }
}
