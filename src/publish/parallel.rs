//! Work on all cores, with results in the order of the inputs.

use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;

/// Most inputs that a worker takes at once. Many small files would otherwise
/// spend more on waking threads than on hashing.
const BATCH_MAX: usize = 64;

/// Batches for each worker, so that none is idle while another has much left.
const BATCHES_EACH: usize = 32;

/// Runs `work` on every input. `each` sees the results on the calling thread
/// as they come; they are returned in the order of the inputs.
pub(super) fn parallel<I: Sync, O: Send>(
    inputs: &[I],
    work: impl Fn(&I) -> O + Sync,
    mut each: impl FnMut(&O),
) -> Vec<O> {
    let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let workers = cores.min(inputs.len());
    let batch = (inputs.len() / (workers.max(1) * BATCHES_EACH)).clamp(1, BATCH_MAX);
    let batches: Vec<&[I]> = inputs.chunks(batch).collect();
    let next = AtomicUsize::new(0);
    // A slow `each` holds the workers back instead of filling a queue.
    let (results, finished) = mpsc::sync_channel(workers);
    let mut slots: Vec<Vec<O>> = batches.iter().map(|_| Vec::new()).collect();
    thread::scope(|scope| {
        for _ in 0..workers {
            let results = results.clone();
            let (next, work, batches) = (&next, &work, &batches);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(inputs) = batches.get(index) else { return };
                    let outputs: Vec<O> = inputs.iter().map(work).collect();
                    if results.send((index, outputs)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(results);
        for (index, outputs) in finished {
            outputs.iter().for_each(&mut each);
            slots[index] = outputs;
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
        for count in [1, 7, 1000, 100_000] {
            let inputs: Vec<usize> = (0..count).collect();
            let mut seen = 0;
            let outputs = parallel(&inputs, |n| n * 2, |_| seen += 1);
            assert_eq!(outputs, inputs.iter().map(|n| n * 2).collect::<Vec<_>>());
            assert_eq!(seen, count);
        }
        assert!(parallel(&[], |n: &usize| *n, |_| ()).is_empty());
    }
}
