//! The numbers of the queues, in one place, each with where it comes from.

use std::time::Duration;

/// The most that waits or is being written, in KiB; whoever comes then waits for room.
pub(super) const QUEUE_KIB: u32 = 64 * 1024;

/// What an append takes of that at the least: so that no more than 8,192 wait.
pub(super) const APPEND_KIB: u32 = 8;

/// How often a runner lets others go first before it takes what waits: so that callers that were just answered, or
/// woken together, are in the same batch. No timer, and nothing is lost where nobody else is there.
///
/// Measured: without it the callers fall into two groups that take turns, half a batch for each commit.
pub(super) const YIELDS: usize = 3;

/// How many waiting appends are looked at for a batch, where those in front belong to aggregates in flight: two batches
/// of the default size.
pub(super) const LOOK_THROUGH_APPENDS: usize = 1_024;

/// Up to how many appends, waiting, in flight and expected, sending each at once beats gathering. Measured: with 4
/// connections, 1 to 3 callers.
pub(super) const FEW_APPENDS: usize = 3;

/// How many batches are in flight where there is neither little to do nor much waiting: one is worked on by the database
/// while the other is made up.
pub(super) const USUAL_BATCHES: usize = 2;

/// How many events make a batch large, where several are written at once: what waits behind them goes as another one,
/// beside it. A statement's own price is a hundredth by then, and two connections share the work. Measured: histories of ten
/// events, a hundred at once, come to 0.94 of a multi-row INSERT by hand; as one batch to 0.77.
pub(super) const LARGE_BATCH_EVENTS: usize = 512;

/// What one append more costs a batch, in seconds, until it has been measured.
///
/// The thresholds below were measured as times (1 ms, 60 µs and 80 µs for each append) on one machine, where an append
/// more, of one event, took about this long; one of several events counts as so many. So they are kept as multiples of
/// it, and follow it to machines that are faster or slower.
pub(super) const APPEND_SECONDS: f64 = 15e-6;

/// How far the measured cost may move the thresholds: to a third, and to four times.
pub(super) const APPEND_SECONDS_AT_LEAST: f64 = APPEND_SECONDS / 3.0;

/// See [`APPEND_SECONDS_AT_LEAST`].
pub(super) const APPEND_SECONDS_AT_MOST: f64 = APPEND_SECONDS * 4.0;

/// A batch that takes as long as this many appends' work is slow: even few callers then gain from sharing. 1 ms.
pub(super) const SLOW_BATCH_APPENDS: f64 = 1e-3 / APPEND_SECONDS;

/// A batch that takes so many times the work of its appends is mostly waiting, for the disk: one at a time, so that as
/// many as can share it. 60 µs for each append.
pub(super) const MOSTLY_WAITING: f64 = 60e-6 / APPEND_SECONDS;

/// A batch that takes so many times the work of its appends is worth waiting for appends whose loads are under way.
/// 80 µs for each append.
pub(super) const WORTH_WAITING: f64 = 80e-6 / APPEND_SECONDS;

/// The longest wait for loads under way, however slow batches are.
pub(super) const LONGEST_WAIT: Duration = Duration::from_millis(10);

/// The runtime's timer counts milliseconds: a shorter wait needs a finer one.
pub(super) const FINE_WAIT: Duration = Duration::from_millis(2);

/// The weight of the last batch in the averages of time and size.
pub(super) const BATCH_WEIGHT: f64 = 1.0 / 8.0;

/// The weight of the last batch in what an append more costs: it changes with the machine, not with the hour.
pub(super) const SLOPE_WEIGHT: f64 = 1.0 / 64.0;

/// The least variance of sizes from which a slope can be told.
pub(super) const SLOPE_VARIANCE: f64 = 4.0;

/// The weight of the last load in the share of loads that are followed by an append.
pub(super) const FOLLOWED_WEIGHT: f64 = 1.0 / 16.0;

/// The share of loads followed by an append from which appends are expected of loads.
pub(super) const FOLLOWED_AT_LEAST: f64 = 0.5;

/// The most answered loads of which an append is expected.
pub(super) const EXPECTED_APPENDS: usize = 1_024;

/// The most loads of one round trip.
pub(super) const LOADS_PER_BATCH: usize = 64;

/// How often a load that finds the queue idle lets others go first. Measured: one; a load has no fsync to share.
pub(super) const YIELDS_BEFORE_LOADS: usize = 1;

/// The most loads that wait for a batch; more go by themselves.
pub(super) const WAITING_LOADS: usize = 8_192;

/// A load that finds no other under way goes by itself, in its caller's future: one round trip either way, and no
/// hand-over to a task and back. `false`: it goes as a batch of one.
pub(super) const LONE_LOADS_GO_BY_THEMSELVES: bool = true;
