//! What goes wrong around a store, and that nothing acknowledged is lost by it.

pub mod child;
mod closing;
mod commit;
mod damage;
pub mod dropped;
mod full;
mod kill;
pub mod ledger;
pub mod log_check;
mod messages;
mod processes;
mod read_only;
mod syscalls;
pub mod tally;
pub mod victim;
mod work;

use std::path::Path;

use annals::{Append, Error, ExpectedVersion, Fault, NewEvent};
use serde_json::json;
use sqlx::{ConnectOptions as _, SqliteConnection, sqlite::SqliteConnectOptions};
use uuid::Uuid;

/// An append of `events` notes, each of them of some length.
pub fn notes(aggregate_id: Uuid, expected: ExpectedVersion, events: usize, length: usize) -> Append {
    let text = "x".repeat(length);
    let note = |number| NewEvent::new("noted", &json!({ "number": number, "text": text })).unwrap();
    Append::new("note", aggregate_id).expected(expected).events((0..events).map(note))
}

/// A connection to the same file that knows nothing of the store.
pub async fn raw(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).connect().await.unwrap()
}

/// The fault of a backend's error, `None` for any other error.
pub const fn fault_of(error: &Error) -> Option<Fault> {
    match error {
        Error::Backend { fault, .. } => Some(*fault),
        _ => None,
    }
}
