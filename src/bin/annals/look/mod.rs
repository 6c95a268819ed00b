//! What the verbs that look at events have in common.

mod aggregate;
mod columns;
mod event;
mod layout;
mod moment;

pub use aggregate::{AggregateArgs, Missing, Named, type_name};
pub use columns::Columns;
pub use event::{EventObject, is_sound, one_line};
pub use layout::{Layout, plain};
pub use moment::moment;

use crate::ending::Failure;

/// Carries a failure to write through a visitor of the library, which ends a read with an error of its own.
#[derive(Debug, Default)]
pub struct Outlet(Option<Failure>);

impl Outlet {
    /// What a visitor answers.
    pub fn pass(&mut self, written: Result<(), Failure>) -> Result<(), annals::Error> {
        written.map_err(|failure| {
            self.0 = Some(failure);
            annals::Error::invalid("what was read cannot be written")
        })
    }

    /// What has ended the read: what could not be written comes first.
    pub fn settle<T>(self, read: Result<T, annals::Error>) -> Result<T, Failure> {
        match self.0 {
            Some(failure) => Err(failure),
            None => read.map_err(Failure::from),
        }
    }
}
