//! A thread beside the supervisor, for as long as the workload lives: the way out and the way in.

use std::sync::mpsc;
use std::time::Duration;

use tokio::sync::watch;

use crate::relay::traffic::say;

/// For it to end. It bounds its own waiting.
const END: Duration = Duration::from_secs(2);

/// At work.
#[derive(Debug)]
pub struct Side {
    end: watch::Sender<bool>,
    ended: mpsc::Receiver<()>,
}

impl Side {
    /// Starts it: a thread of this name, for people `what`. `run` is told by a `true` when the workload has ended.
    ///
    /// After the fork: a process with two threads must not be copied.
    ///
    /// # Errors
    /// If there can be no thread.
    pub fn start(
        name: &str,
        what: &'static str,
        run: impl FnOnce(watch::Receiver<bool>) -> std::io::Result<()> + Send + 'static,
    ) -> std::io::Result<Self> {
        let (end, ending) = watch::channel(false);
        let (done, ended) = mpsc::channel();
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            if let Err(error) = run(ending) {
                // What listens is closed with it, so that connections are refused. The proof asks the way out for a name before
                // code starts, so that this can be seen.
                say(&format!("{what} ended: {error}"));
            }
            done.send(()).ok();
        })?;
        Ok(Self { end, ended })
    }

    /// Ends it, once what the workload sent is on its way.
    pub fn finish(self) {
        self.end.send(true).ok();
        // An error: it ended before, or it hangs, and ends with this process.
        self.ended.recv_timeout(END).ok();
    }
}
