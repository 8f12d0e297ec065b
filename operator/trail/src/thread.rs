//! The thread that writes. A thread and not a task: a disk or a pipe that is slow must not hold up those who don't wait
//! for it.

use ccos_audit::{Chain, Event, Head};
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot, watch};

use crate::sink::{Sinks, Unwritten};

/// How many lines are written at one go: they share one sync of the volume.
const BATCH: usize = 256;

/// A line that was not written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// The volume is full or broken.
    #[error("cannot write to the audit volume: {0}")]
    Volume(String),
    /// Standard output is gone, and with it this trail.
    #[error("cannot write the audit trail to standard output: {0}")]
    Out(String),
    /// The event is no JSON.
    #[error("{0}")]
    Event(String),
    /// The trail has ended.
    #[error("the audit trail has ended")]
    Ended,
}

type Answer = oneshot::Sender<Result<(), Failed>>;

#[derive(Debug)]
pub(crate) enum Order {
    Write(Box<Event>, Answer),
    End(oneshot::Sender<()>),
}

/// Writes until it is told to end, or can't go on.
pub(crate) fn run(
    mut chain: Chain,
    mut sinks: Sinks,
    mut orders: mpsc::Receiver<Order>,
    head: &watch::Sender<Option<Head>>,
) {
    while let Some(first) = orders.blocking_recv() {
        let mut batch = vec![first];
        while batch.len() < BATCH
            && let Ok(order) = orders.try_recv()
        {
            batch.push(order);
        }
        let before = chain.clone();
        let (mut text, mut answers, mut end) = (String::new(), Vec::new(), None);
        for order in batch {
            match order {
                Order::Write(_, answer) if end.is_some() => tell(answer, Err(Failed::Ended)),
                Order::Write(event, answer) => match chain.append(&event, Timestamp::now()) {
                    Ok(line) => {
                        text.push_str(&line);
                        text.push('\n');
                        answers.push(answer);
                    }
                    Err(error) => tell(answer, Err(Failed::Event(error.to_string()))),
                },
                Order::End(answer) => end = Some(answer),
            }
        }
        let result = if text.is_empty() { Ok(()) } else { sinks.write(&text, before.next()) };
        let failed = match &result {
            Ok(()) => None,
            Err(Unwritten::Volume(error)) => Some(Failed::Volume(error.to_string())),
            Err(Unwritten::Out(error)) => Some(Failed::Out(error.to_string())),
        };
        match &failed {
            None => drop(head.send_replace(chain.head())),
            // Nothing of it was kept: the next line takes this place in the chain.
            Some(_) => chain = before,
        }
        if let Some(failed) = &failed {
            tracing::error!(error = %failed, lines = answers.len(), "the audit trail can't be written");
        }
        for answer in answers {
            tell(answer, failed.clone().map_or(Ok(()), Err));
        }
        if let Some(end) = end {
            // If nobody waits for it any more, it needs no answer.
            let _ = end.send(());
            return;
        }
        // A line may be on it in part: nothing can follow in this chain.
        if matches!(failed, Some(Failed::Out(_))) {
            return;
        }
    }
}

/// Whoever asked may have gone; the line is written all the same.
fn tell(answer: Answer, result: Result<(), Failed>) {
    drop(answer.send(result));
}
