//! Work that needs more stack than a thread usually has.

use std::thread;

/// Stack that every thread here has left, in bytes.
const READY_BYTES: usize = 512 * 1024;

/// Most stack that is asked for, in bytes. It is address space: memory is
/// taken only as deep as the work really goes.
const STACK_BYTES_MAX: usize = 4 * 1024 * 1024 * 1024;

/// Does `work` with `bytes` of stack; `None` if there is not so much.
pub(super) fn with_stack<T: Send>(bytes: usize, work: impl FnOnce() -> T + Send) -> Option<T> {
    if bytes <= READY_BYTES {
        return Some(work());
    }
    if bytes > STACK_BYTES_MAX {
        return None;
    }
    thread::scope(|scope| {
        let thread = thread::Builder::new().stack_size(bytes).spawn_scoped(scope, work).ok()?;
        match thread.join() {
            Ok(outcome) => Some(outcome),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a kilobyte of stack and more for each level.
    fn descend(levels: usize) -> usize {
        let room = std::hint::black_box([0_u8; 1024]);
        if levels == 0 { room.len() } else { descend(levels - 1) + usize::from(room[0]) }
    }

    #[test]
    fn work_gets_the_stack_it_needs() {
        assert_eq!(with_stack(0, || 1), Some(1));
        assert_eq!(with_stack(64 * 1024 * 1024, || descend(16 * 1024)), Some(1024));
        assert_eq!(with_stack(STACK_BYTES_MAX + 1, || 1), None);
    }
}
