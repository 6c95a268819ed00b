//! The work that every contender of the benchmarks does, and how it is measured.
//!
//! A contender is a [`Contender`] in a program of its own whose `main` is [`run`]. It keeps orders ([`Orders`]) in its own
//! idiom; what is asked of it, in which order, by how many tasks, and what is counted is the same for all and lies here.

mod cell;
mod checks;
mod contender;
mod crew;
mod order;
mod place;
mod program;
mod statistics;
mod summary;
mod usage;
mod work;

pub use async_trait::async_trait;

pub use self::{
    cell::{Cell, Measures, Outcome},
    contender::{Contender, Orders, Seen, Turnovers},
    order::{
        Line, LineAdded, Order, OrderCommand, OrderEvent, OrderRejection, Paid, Placed, Shipped, Status, Turnover,
        order_id,
    },
    place::{Engine, Place},
    program::{Asked, Entry, READY, run},
    statistics::{median, percentile},
    summary::{Summary, SummaryRow},
    usage::{cpu_microseconds, peak_mib},
    work::Work,
};
