//! Which replica serves an execution. `maxConnections` is counted over all replicas, so that at most one gives out seats.

use std::net::SocketAddr;

use crate::identify::Execution;

/// Tells whether this replica serves an execution.
pub trait Pin: Send + Sync + 'static {
    /// Makes sure that no other replica opens connections of the execution, and that those which others have are counted.
    /// # Errors
    /// If another replica serves it, or it can't be made sure in time.
    fn claim(&self, execution: &Execution) -> impl Future<Output = Result<(), NotHere>> + Send;

    /// Resolves when this replica can't know any more that it is the only one: what is open has to end.
    fn lost(&self) -> impl Future<Output = ()> + Send;
}

/// Why not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotHere {
    /// Ask this replica.
    Elsewhere(SocketAddr),
    /// Nobody can say now; for people.
    NotReady(String),
}

/// There is one replica, and never a second one beside it. For tests and benchmarks.
#[derive(Clone, Copy, Debug)]
pub struct Alone;

impl Pin for Alone {
    async fn claim(&self, execution: &Execution) -> Result<(), NotHere> {
        let seats = &execution.account.seats;
        if !seats.is_held() {
            // Nobody gives it away, so that it can't be too late.
            let _ = seats.hold(seats.generation(), Vec::new());
        }
        Ok(())
    }

    async fn lost(&self) {
        std::future::pending::<()>().await;
    }
}
