//! Process managers and those who run them.

mod pure;
mod trip;
