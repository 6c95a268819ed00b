//! The pieces of work, and how a contender is driven through one.

use std::{fmt, ops::Range, sync::Arc, time::Instant};

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    contender::{Orders, Turnovers},
    crew::{nanoseconds_since, on_one_order, through_orders},
    order::{Order, OrderCommand, OrderEvent, order_id},
    summary,
};

/// How many tasks send commands to the one aggregate of [`Work::Contended`].
const CONTENDED_TASKS: u64 = 16;

/// How many commands they send.
const CONTENDED_COMMANDS: u64 = 400;

/// How many events [`Work::Load`] reads at the least, for each command that is asked for.
const LOADED_EVENTS_PER_COMMAND: u64 = 100;

/// How many events [`Work::Bulk`] writes, for each command that is asked for.
const BULK_EVENTS_PER_COMMAND: u64 = 5;

/// How many orders are filled at once.
const BULK_ORDERS: u64 = 100;

/// How many events each of them has.
const BULK_HISTORY: u64 = 10;

/// How often a log is read.
const LOG_READS: u32 = 3;

/// How often a table is rebuilt.
const REBUILDS: u32 = 2;

/// How many events an order of a log has.
const LOG_HISTORY: u64 = 8;

/// From one order to the next that is loaded among many: a prime.
const STRIDE: u64 = 2_654_435_761;

/// Orders that are used before the clock starts, and counted by no one but the disk.
const WARM_UP_FROM: u64 = 1 << 40;

/// How far apart the orders of two processes lie.
const PART: u64 = 1 << 32;

/// A piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// New orders with one command each, by this many tasks.
    New {
        /// How many tasks.
        tasks: u64,
    },
    /// New orders from placed to shipped, four commands each, by this many tasks.
    Lifecycle {
        /// How many tasks.
        tasks: u64,
    },
    /// The same in two processes on one database, each with as many tasks.
    Together {
        /// How many tasks in each process.
        tasks: u64,
    },
    /// Commands of many tasks on one order.
    Contended,
    /// Loading an order with this many events, one load after the other, with no state kept between them.
    Load {
        /// How many events.
        events: u64,
    },
    /// Loading orders of a log of lives, one here and one there.
    Among {
        /// How many orders the log has.
        orders: u64,
    },
    /// Writing ready-made histories of many orders.
    Bulk,
    /// Reading a log of this many events and folding it.
    Log {
        /// How many events.
        events: u64,
    },
    /// Rebuilding a table from a log of this many events: a row for each order.
    Rebuild {
        /// How many events.
        events: u64,
    },
    /// A command whose reply is lost and that is sent again: how often is it executed?
    LostReply,
    /// A subscriber beside 32 writers: how many events does it miss?
    Beside,
}

/// What a piece of work came to.
#[derive(Debug)]
pub(crate) struct Done {
    /// The time of each command, load, batch or read, in nanoseconds.
    pub(crate) latencies: Vec<u64>,
    /// How many of what is counted there were: see [`Work::unit`].
    pub(crate) units: u64,
    /// From the first to the last, in seconds.
    pub(crate) seconds: f64,
}

impl Work {
    /// Does what comes before the clock starts. Gives the number of events written.
    pub(crate) async fn prepare(self, orders: &Arc<dyn Orders>, part: u64) -> Result<u64> {
        let warm_up = WARM_UP_FROM + part * PART;
        match self {
            Self::New { tasks } | Self::Lifecycle { tasks } | Self::Together { tasks } => {
                let lifecycles = tasks.max(16);
                through_orders(orders, tasks, warm_up..warm_up + lifecycles, OrderCommand::lifecycle).await?;
                Ok(4 * lifecycles)
            }
            Self::Contended => {
                through_orders(orders, 4, warm_up..warm_up + 16, OrderCommand::lifecycle).await?;
                orders.execute(order_id(1), &OrderCommand::place(1)).await?;
                Ok(4 * 16 + 1)
            }
            Self::Load { events } => {
                orders.fill(order_id(1), &OrderEvent::history(events)).await?;
                for _ in 0..3 {
                    orders.load(order_id(1)).await?;
                }
                Ok(events)
            }
            Self::Bulk => {
                orders.fill_all(&histories(warm_up..warm_up + BULK_ORDERS, bulk_history)).await?;
                Ok(BULK_ORDERS * BULK_HISTORY)
            }
            Self::Log { events } => {
                let numbers = 0..events.div_ceil(LOG_HISTORY);
                fill(orders, numbers.clone(), |_| OrderEvent::history(LOG_HISTORY)).await?;
                orders.read_log().await?;
                Ok(numbers.end * LOG_HISTORY)
            }
            Self::Rebuild { events } => {
                let numbers = 0..events.div_ceil(LOG_HISTORY);
                fill(orders, numbers.clone(), OrderEvent::life).await?;
                // So that there is a table which those who read it go on to see.
                rebuild(orders, numbers.end).await?;
                Ok(numbers.end * LOG_HISTORY)
            }
            Self::Among { .. } | Self::LostReply | Self::Beside => Ok(0),
        }
    }

    /// Does the work.
    pub(crate) async fn run(self, orders: &Arc<dyn Orders>, commands: u64, part: u64) -> Result<Done> {
        let started = Instant::now();
        let numbers = part * PART..part * PART + self.orders(commands);
        let (latencies, per_latency) = match self {
            Self::New { tasks } => (through_orders(orders, tasks, numbers, |n| [OrderCommand::place(n)]).await?, 1),
            Self::Lifecycle { tasks } | Self::Together { tasks } => {
                (through_orders(orders, tasks, numbers, OrderCommand::lifecycle).await?, 1)
            }
            Self::Contended => {
                (on_one_order(orders, 1, CONTENDED_TASKS, CONTENDED_COMMANDS / CONTENDED_TASKS).await?, 1)
            }
            Self::Load { events } => (run_loads(orders, loads(commands, events), events).await?, 1),
            Self::Among { orders: there } => (load_among(orders, there, commands).await?, 1),
            Self::Bulk => (fill(orders, numbers, bulk_history).await?, BULK_ORDERS * BULK_HISTORY),
            Self::Log { events } => (read_logs(orders, events).await?, events.div_ceil(LOG_HISTORY) * LOG_HISTORY),
            Self::Rebuild { events } => (rebuilds(orders, events).await?, events.div_ceil(LOG_HISTORY) * LOG_HISTORY),
            Self::LostReply | Self::Beside => (Vec::new(), 0),
        };
        let seconds = started.elapsed().as_secs_f64();
        let units = u64::try_from(latencies.len())? * per_latency;
        Ok(Done { latencies, units, seconds })
    }

    /// Makes sure that what was said to be done is there. Whoever loses events is not measured.
    pub(crate) async fn check(self, orders: &Arc<dyn Orders>, commands: u64, part: u64) -> Result<()> {
        let last = self.orders(commands).saturating_sub(1);
        let picked = [0, last / 2, last].map(|number| part * PART + number);
        match self {
            Self::New { .. } => {
                for number in picked {
                    let (order, expected) =
                        (orders.load(order_id(number)).await?, OrderEvent::of(&OrderCommand::place(number)));
                    ensure!(order == Order::after([&expected]), "order {number} was placed and is {order:?}");
                }
            }
            Self::Lifecycle { .. } | Self::Together { .. } => {
                for number in picked {
                    let order = orders.load(order_id(number)).await?;
                    ensure!(order.is_shipped(), "order {number} was shipped and is {order:?}");
                }
            }
            Self::Contended => {
                let found = orders.load(order_id(1)).await?.additions();
                ensure!(found == CONTENDED_COMMANDS, "{CONTENDED_COMMANDS} lines were added, {found} are there");
            }
            Self::Bulk => {
                let expected = Order::after(&OrderEvent::history(BULK_HISTORY));
                for number in picked {
                    let order = orders.load(order_id(number)).await?;
                    ensure!(order == expected, "order {number} was filled and is {order:?}");
                }
            }
            Self::Rebuild { events } => summary::check(&orders.summaries().await?, events.div_ceil(LOG_HISTORY))?,
            // Each load and each read was checked.
            Self::Load { .. } | Self::Among { .. } | Self::Log { .. } | Self::LostReply | Self::Beside => {}
        }
        Ok(())
    }

    /// How many events the work itself writes.
    #[must_use]
    pub const fn events(self, commands: u64) -> u64 {
        match self {
            Self::New { .. } => self.orders(commands),
            Self::Lifecycle { .. } | Self::Together { .. } => 4 * self.orders(commands),
            Self::Contended => CONTENDED_COMMANDS,
            Self::Bulk => BULK_HISTORY * self.orders(commands),
            Self::Load { .. }
            | Self::Among { .. }
            | Self::Log { .. }
            | Self::Rebuild { .. }
            | Self::LostReply
            | Self::Beside => 0,
        }
    }

    /// What is counted.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::New { .. } | Self::Lifecycle { .. } | Self::Together { .. } | Self::Contended => "command",
            Self::Load { .. } | Self::Among { .. } => "load",
            Self::Bulk | Self::Log { .. } | Self::Rebuild { .. } => "event",
            Self::LostReply | Self::Beside => "question",
        }
    }

    /// Whether it is a question with an answer, and not a measurement.
    #[must_use]
    pub const fn is_question(self) -> bool {
        matches!(self, Self::LostReply | Self::Beside)
    }

    /// Whether it reads what was filled before the clock starts.
    #[must_use]
    pub const fn is_reading(self) -> bool {
        matches!(self, Self::Load { .. } | Self::Log { .. } | Self::Rebuild { .. })
    }

    /// In how many processes it is done at once.
    #[must_use]
    pub const fn processes(self) -> u64 {
        if matches!(self, Self::Together { .. }) { 2 } else { 1 }
    }

    /// How many orders are written, by each process.
    const fn orders(self, commands: u64) -> u64 {
        match self {
            Self::New { .. } => commands,
            Self::Lifecycle { .. } => commands / 4,
            Self::Together { .. } => commands / 8,
            Self::Bulk => (commands * BULK_EVENTS_PER_COMMAND / BULK_HISTORY).next_multiple_of(BULK_ORDERS),
            Self::Contended
            | Self::Load { .. }
            | Self::Among { .. }
            | Self::Log { .. }
            | Self::Rebuild { .. }
            | Self::LostReply
            | Self::Beside => 0,
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |tasks: &u64| if *tasks == 1 { "" } else { "s" };
        match self {
            Self::New { tasks } => write!(f, "new: an order for each command, {tasks} task{}", plural(tasks)),
            Self::Lifecycle { tasks } => {
                write!(f, "lifecycle: orders of four commands, {tasks} task{}", plural(tasks))
            }
            Self::Together { tasks } => {
                write!(f, "together: lifecycles in two processes at once, {tasks} task{} in each", plural(tasks))
            }
            Self::Contended => {
                write!(f, "contended: {CONTENDED_COMMANDS} commands on one order, {CONTENDED_TASKS} tasks")
            }
            Self::Load { events } => write!(f, "load: an order of {events} events, 1 task"),
            Self::Among { orders } => write!(f, "among: loads of orders here and there, of {orders}, 1 task"),
            Self::Bulk => write!(f, "bulk: histories of {BULK_HISTORY} events, {BULK_ORDERS} orders at once, 1 task"),
            Self::Log { events } => write!(f, "log: {events} events, read and folded, 1 task"),
            Self::Rebuild { events } => {
                write!(f, "rebuild: {events} events into a table with a row for each order, 1 task")
            }
            Self::LostReply => f.write_str("lost reply: a command that is sent again, with its request's name"),
            Self::Beside => write!(f, "beside: a subscriber beside {} writers", crate::checks::WRITERS),
        }
    }
}

fn loads(commands: u64, events: u64) -> u64 {
    (commands * LOADED_EVENTS_PER_COMMAND / events).clamp(20, 1_000)
}

type History = fn(u64) -> Vec<OrderEvent>;

/// All have the same.
fn bulk_history(_: u64) -> Vec<OrderEvent> {
    OrderEvent::history(BULK_HISTORY)
}

fn histories(numbers: Range<u64>, history: History) -> Vec<(Uuid, Vec<OrderEvent>)> {
    numbers.map(|number| (order_id(number), history(number))).collect()
}

/// Fills orders, a hundred at once. The time in which they are made up counts for all alike.
async fn fill(orders: &Arc<dyn Orders>, numbers: Range<u64>, history: History) -> Result<Vec<u64>> {
    let (mut latencies, mut from) = (Vec::new(), numbers.start);
    while from < numbers.end {
        let to = numbers.end.min(from + BULK_ORDERS);
        let histories = histories(from..to, history);
        let began = Instant::now();
        orders.fill_all(&histories).await?;
        latencies.push(nanoseconds_since(began));
        from = to;
    }
    Ok(latencies)
}

async fn run_loads(orders: &Arc<dyn Orders>, loads: u64, events: u64) -> Result<Vec<u64>> {
    let expected = Order::after(&OrderEvent::history(events));
    let mut latencies = Vec::new();
    for _ in 0..loads {
        let began = Instant::now();
        let order = orders.load(order_id(1)).await?;
        latencies.push(nanoseconds_since(began));
        ensure!(order == expected, "an order was not loaded as it is: {order:?}");
    }
    Ok(latencies)
}

/// Loads orders that lie far apart, in an order that knows no neighbours.
async fn load_among(orders: &Arc<dyn Orders>, there: u64, loads: u64) -> Result<Vec<u64>> {
    let mut latencies = Vec::new();
    for load in 0..loads {
        // Every fourth order is of one kind: see the log's filling.
        let number = load.wrapping_mul(STRIDE) % there / 4 * 4;
        let began = Instant::now();
        let order = orders.load(order_id(number)).await?;
        latencies.push(nanoseconds_since(began));
        ensure!(order == Order::after(&OrderEvent::life(number)), "order {number} was not loaded as it is: {order:?}");
    }
    Ok(latencies)
}

async fn read_logs(orders: &Arc<dyn Orders>, events: u64) -> Result<Vec<u64>> {
    let mut expected = Turnovers::default();
    for _ in 0..events.div_ceil(LOG_HISTORY) {
        OrderEvent::history(LOG_HISTORY).iter().for_each(|event| expected.add(event));
    }
    let mut latencies = Vec::new();
    for _ in 0..LOG_READS {
        let began = Instant::now();
        let found = orders.read_log().await?;
        latencies.push(nanoseconds_since(began));
        ensure!(found == expected, "a log was not read as it is: {found:?}");
    }
    Ok(latencies)
}

async fn rebuilds(orders: &Arc<dyn Orders>, events: u64) -> Result<Vec<u64>> {
    let mut latencies = Vec::new();
    for _ in 0..REBUILDS {
        let began = Instant::now();
        rebuild(orders, events.div_ceil(LOG_HISTORY)).await?;
        latencies.push(nanoseconds_since(began));
    }
    Ok(latencies)
}

async fn rebuild(orders: &Arc<dyn Orders>, of: u64) -> Result<()> {
    let (applied, there) = (orders.rebuild().await?, of * LOG_HISTORY);
    ensure!(applied == there, "{applied} events were applied, and {there} are there");
    Ok(())
}
