//! Jobs on worker threads, or at once in the caller when there is one thread only. The caller gets a ticket for each
//! job and redeems tickets in its own order, so results never depend on the number of threads.

use std::cell::RefCell;
use std::thread::Scope;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};

type Job<'env, W> = Box<dyn FnOnce(&mut W) + Send + 'env>;

/// Runs jobs that each get a worker's own state.
pub(crate) enum Pool<'env, W> {
    /// In the caller.
    Inline(RefCell<W>),
    /// On threads, which end when the pool is dropped.
    Threads {
        /// To whichever is idle.
        jobs: Sender<Job<'env, W>>,
        /// How many there are.
        count: usize,
    },
}

/// The claim on a job's result.
pub(crate) struct Ticket<T>(Receiver<T>);

impl<T> Ticket<T> {
    /// Waits for the result. `None` if the job panicked: the scope of the threads then panics as well.
    pub(crate) fn redeem(self) -> Option<T> {
        self.0.recv().ok()
    }
}

impl<'env, W: 'env> Pool<'env, W> {
    /// A pool of `threads` workers in a scope; none, but the caller itself, for one.
    pub(crate) fn new<'scope>(
        scope: &'scope Scope<'scope, 'env>,
        threads: usize,
        new_worker: impl Fn() -> W + Send + Clone + 'scope,
    ) -> Self {
        if threads <= 1 {
            return Self::Inline(RefCell::new(new_worker()));
        }
        let (sender, receiver) = unbounded::<Job<'env, W>>();
        for _ in 0..threads {
            let receiver = receiver.clone();
            let new_worker = new_worker.clone();
            scope.spawn(move || {
                let mut worker = new_worker();
                while let Ok(job) = receiver.recv() {
                    job(&mut worker);
                }
            });
        }
        Self::Threads { jobs: sender, count: threads }
    }

    /// Jobs that run at once; none runs beside the caller when it is 0.
    pub(crate) fn width(&self) -> usize {
        match self {
            Self::Inline(_) => 0,
            Self::Threads { count, .. } => *count,
        }
    }

    /// Runs a job, now or soon.
    pub(crate) fn submit<T: Send + 'env>(&self, job: impl FnOnce(&mut W) -> T + Send + 'env) -> Ticket<T> {
        let (sender, receiver) = bounded(1);
        let run = move |worker: &mut W| {
            // Nobody waits for a result whose ticket was dropped.
            let _ = sender.send(job(worker));
        };
        match self {
            Self::Inline(worker) => run(&mut worker.borrow_mut()),
            // The receivers live as long as the sender; if all workers panicked, the ticket says so.
            Self::Threads { jobs, .. } => drop(jobs.send(Box::new(run))),
        }
        Ticket(receiver)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tickets_give_results_in_the_callers_order_on_any_number_of_threads() {
        for threads in [1, 2, 5] {
            std::thread::scope(|scope| {
                let pool = Pool::new(scope, threads, || 0u64);
                let tickets: Vec<_> = (0..100u64).map(|i| pool.submit(move |_| i * i)).collect();
                for (i, ticket) in tickets.into_iter().enumerate() {
                    assert_eq!(ticket.redeem(), Some((i * i) as u64));
                }
            });
        }
    }
}
