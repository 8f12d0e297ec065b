//! Decisions take a processor's time, and who asks chooses how much of it, within bounds. They are made apart from the
//! threads that answer, and few at a time: so the webhook goes on answering, and its patience has an end.

use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::review::Refusal;

/// Where decisions are made.
#[derive(Clone, Debug)]
pub struct Work(Arc<Semaphore>);

impl Default for Work {
    /// As many at a time as there are processors.
    fn default() -> Self {
        Self::of(std::thread::available_parallelism().map_or(1, usize::from))
    }
}

impl Work {
    /// So many at a time.
    #[must_use]
    pub fn of(at_once: usize) -> Self {
        Self(Arc::new(Semaphore::new(at_once)))
    }

    /// Waits for a place, and does it. Whoever stops waiting leaves the place taken until it is done.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn run<T: Send + 'static>(&self, decide: impl FnOnce() -> T + Send + 'static) -> Result<T, Refusal> {
        let place = Arc::clone(&self.0).acquire_owned().await.map_err(|error| Refusal::try_again(&error))?;
        let done = tokio::task::spawn_blocking(move || {
            let done = decide();
            drop(place);
            done
        });
        done.await.map_err(|error| Refusal::try_again(&error))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    /// One thread for all that is asynchronous: what is done on it would wait for itself.
    #[tokio::test]
    async fn what_takes_long_keeps_nobody_from_answering() {
        let work = Work::of(1);
        let (end, ends) = mpsc::channel();
        let long = work.run(move || ends.recv_timeout(Duration::from_mins(1)).is_ok());
        let (ended, ()) = tokio::join!(long, async { end.send(()).unwrap() });
        assert!(ended.unwrap());
    }

    #[tokio::test]
    async fn one_that_nobody_waits_for_any_more_keeps_its_place_until_it_is_done() {
        let work = Work::of(1);
        let (end, ends) = mpsc::channel::<()>();
        let moment = Duration::from_millis(50);
        let long = work.run(move || ends.recv_timeout(Duration::from_mins(1)).is_ok());
        assert!(tokio::time::timeout(moment, long).await.is_err());
        assert!(tokio::time::timeout(moment, work.run(|| ())).await.is_err());
        end.send(()).unwrap();
        work.run(|| ()).await.unwrap();
    }
}
