//! The program `annals`, run as operators run it.

mod bench;
mod completions;
mod edges;
mod look;
mod migrate;
mod moving;
mod place;
mod program;
mod responses;
mod shop;
mod shown;
mod status;
mod subscriptions;
mod sweep;
mod terminal;
mod timers;
mod verify;
