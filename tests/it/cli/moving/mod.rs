//! `annals export` and `annals import`.

mod corrupted;
mod data;
mod interrupted;
mod killed;
mod last_import;
mod not_all;
mod nothing_twice;
mod orders;
mod round_trip;
mod shown;
mod side_by_side;
