//! Work on all cores, with results in the order of the inputs.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// Runs `work` on every input. `each` sees the results on the calling thread
/// as they come; they are returned in the order of the inputs.
pub(super) fn parallel<I: Sync, O: Send>(
    inputs: &[I],
    work: impl Fn(&I) -> O + Sync,
    mut each: impl FnMut(&O),
) -> Vec<O> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let workers = cores.min(inputs.len());
    let next = AtomicUsize::new(0);
    // A slow `each` holds the workers back instead of filling a queue.
    let (results, finished) = mpsc::sync_channel(workers);
    let mut slots: Vec<Option<O>> = inputs.iter().map(|_| None).collect();
    thread::scope(|scope| {
        for _ in 0..workers {
            let results = results.clone();
            let (next, work) = (&next, &work);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(input) = inputs.get(index) else { return };
                    if results.send((index, work(input))).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        for (index, output) in finished {
            each(&output);
            slots[index] = Some(output);
        }
    });
    // Every slot is full: a worker that panicked has made the scope panic.
    slots.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_keep_the_order_of_the_inputs() {
        let inputs: Vec<usize> = (0..1000).collect();
        let mut seen = 0;
        let outputs = parallel(&inputs, |n| n * 2, |_| seen += 1);
        assert_eq!(outputs, inputs.iter().map(|n| n * 2).collect::<Vec<_>>());
        assert_eq!(seen, 1000);
        assert!(parallel(&[], |n: &usize| *n, |_| ()).is_empty());
    }
}
