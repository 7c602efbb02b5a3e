//! Runs jobs on several threads and returns their results in the order of the jobs, with a bounded number
//! of results waiting.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// How many results per thread may wait for an earlier one. Bounds memory.
const WAITING_PER_THREAD: usize = 2;

/// Does `work` for each of `jobs`, with one `state` per thread, and calls `take` with the results in the
/// order of `jobs`. Stops at the first error in that order.
pub(super) fn ordered<J: Sync, R: Send, S, E: Send>(
    jobs: &[J],
    threads: NonZero<usize>,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &J) -> Result<R, E> + Sync,
    mut take: impl FnMut(&J, R) -> Result<(), E>,
) -> Result<(), E> {
    let shared = Shared { queue: Mutex::new(Queue::new()), changed: Condvar::new() };
    let threads = threads.get().min(jobs.len());
    let window = threads * WAITING_PER_THREAD;
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let _stop = StopOnPanic(&shared);
                let mut state = state();
                while let Some(position) = shared.claim(jobs.len(), window) {
                    shared.finish(position, work(&mut state, &jobs[position]));
                }
            });
        }
        let result = jobs.iter().enumerate().try_for_each(|(position, job)| {
            // A result is missing only after a thread panicked, and then the scope panics, too.
            shared.result(position).map_or(Ok(()), |result| take(job, result?))
        });
        shared.stop();
        result
    })
}

struct Shared<R> {
    queue: Mutex<Queue<R>>,
    changed: Condvar,
}

struct Queue<R> {
    /// The next job that no thread has taken.
    next: usize,
    /// How many results were taken.
    taken: usize,
    done: BTreeMap<usize, R>,
    stopped: bool,
}

impl<R> Queue<R> {
    fn new() -> Self {
        Self { next: 0, taken: 0, done: BTreeMap::new(), stopped: false }
    }
}

impl<R> Shared<R> {
    /// The next job, as soon as few enough results wait.
    fn claim(&self, jobs: usize, window: usize) -> Option<usize> {
        let mut queue = self.lock();
        loop {
            if queue.stopped || queue.next == jobs {
                return None;
            }
            if queue.next < queue.taken + window {
                queue.next += 1;
                return Some(queue.next - 1);
            }
            queue = self.wait(queue);
        }
    }

    fn finish(&self, position: usize, result: R) {
        self.lock().done.insert(position, result);
        self.changed.notify_all();
    }

    /// Waits for the result of one job.
    fn result(&self, position: usize) -> Option<R> {
        let mut queue = self.lock();
        loop {
            if let Some(result) = queue.done.remove(&position) {
                queue.taken = position + 1;
                self.changed.notify_all();
                return Some(result);
            }
            if queue.stopped {
                return None;
            }
            queue = self.wait(queue);
        }
    }

    fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Queue<R>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, queue: MutexGuard<'a, Queue<R>>) -> MutexGuard<'a, Queue<R>> {
        self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the other threads when one panics, which would wait forever for its result.
struct StopOnPanic<'a, R>(&'a Shared<R>);

impl<R> Drop for StopOnPanic<'_, R> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.stop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(threads: usize, fail_at: Option<u64>) -> (Vec<u64>, Result<(), u64>) {
        let jobs: Vec<u64> = (0..200).collect();
        let mut taken = Vec::new();
        let result = ordered(
            &jobs,
            NonZero::new(threads).unwrap(),
            || 0u64,
            |state, job| {
                *state += 1;
                if job % 7 == 0 {
                    thread::yield_now();
                }
                if Some(*job) == fail_at { Err(*job) } else { Ok(job * job) }
            },
            |_, result| {
                taken.push(result);
                Ok(())
            },
        );
        (taken, result)
    }

    #[test]
    fn results_come_in_order_from_any_number_of_threads() {
        let squares: Vec<u64> = (0..200).map(|n| n * n).collect();
        for threads in [1, 2, 4, 300] {
            assert_eq!(run(threads, None), (squares.clone(), Ok(())));
        }
    }

    #[test]
    fn the_first_error_stops_after_the_results_before_it() {
        let (taken, result) = run(4, Some(50));
        assert_eq!((taken.len(), result), (50, Err(50)));
    }

    #[test]
    #[should_panic(expected = "a scoped thread panicked")]
    fn a_panic_in_a_thread_does_not_deadlock() {
        let jobs = [1, 2, 3, 4, 5, 6, 7, 8];
        let work =
            |(): &mut (), job: &u32| if *job == 2 { panic!("on purpose") } else { Ok::<u32, ()>(*job) };
        let _ = ordered(&jobs, NonZero::new(2).unwrap(), || (), work, |_, _| Ok(()));
    }
}
