//! An open transaction in the hands of a caller, who may drop it anywhere.

use sqlx::{Database, Transaction};
use tokio::runtime::Handle;

/// Holds a transaction until it is committed or dropped. It goes back to its pool by way of a runtime's task, and
/// whoever drops it may no longer be on one.
pub(crate) struct HeldTransaction<DB: Database> {
    transaction: Option<Transaction<'static, DB>>,
    runtime: Handle,
}

impl<DB: Database> HeldTransaction<DB> {
    pub(crate) const fn new(transaction: Transaction<'static, DB>, runtime: Handle) -> Self {
        Self { transaction: Some(transaction), runtime }
    }

    pub(crate) fn connection(&mut self) -> &mut DB::Connection {
        match &mut self.transaction {
            Some(transaction) => transaction,
            None => unreachable!("it is taken by a commit, which takes the whole"),
        }
    }

    pub(crate) async fn commit(&mut self) -> Result<(), sqlx::Error> {
        match self.transaction.take() {
            Some(transaction) => transaction.commit().await,
            None => Ok(()),
        }
    }
}

impl<DB: Database> Drop for HeldTransaction<DB> {
    fn drop(&mut self) {
        let _on_the_runtime = self.runtime.enter();
        drop(self.transaction.take());
    }
}
