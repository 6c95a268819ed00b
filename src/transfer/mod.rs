//! Moves what a store holds from one database to another, by way of a file.
//!
//! [`Export`] writes it as lines of JSON, [`Import`] reads them into another store, of either kind. Two exports of the same
//! contents are the same, line by line.

mod counts;
mod error;
mod export;
mod import;
mod line;
mod lines;
mod places;
mod seal;

pub use counts::Counts;
pub use error::{MoveError, Refusal};
pub use export::{Export, Exported, Partial};
pub use import::{Import, Imported, check};
pub use line::{FORMAT_VERSION, longest_line_bytes};
