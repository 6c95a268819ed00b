//! `annals verify`: faults are planted, found and named.

mod faults;
mod ground;
mod page;
mod shop;
mod shown;
mod types;
