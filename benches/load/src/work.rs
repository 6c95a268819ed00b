//! The pieces of work, and how a contender is driven through one.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;

use crate::{
    contender::Orders,
    order::{Order, OrderCommand, OrderEvent, order_id},
};

/// How many tasks send commands to the one aggregate of [`Work::Contended`].
const CONTENDED_TASKS: u64 = 16;

/// How many commands they send.
const CONTENDED_COMMANDS: u64 = 400;

/// How many events [`Work::Load`] reads at the least, for each event of the `--commands` argument.
const LOADED_EVENTS_PER_COMMAND: u64 = 100;

/// Orders that are used before the clock starts, and counted by no one but the disk.
const WARM_UP_FROM: u64 = 1 << 40;

/// A piece of work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Work {
    /// New orders from placed to shipped, four commands each, by this many tasks.
    Lifecycle { tasks: u64 },
    /// Commands of many tasks on one order.
    Contended,
    /// Loading an order with this many events, one load after the other, with no state kept between them.
    Load { events: u64 },
}

/// What a piece of work came to.
#[derive(Debug)]
pub(crate) struct Done {
    /// The time of each command or load, in nanoseconds.
    pub(crate) latencies: Vec<u64>,
    /// From the first to the last, in seconds.
    pub(crate) seconds: f64,
}

impl Work {
    /// Does what comes before the clock starts. Gives the number of events written.
    pub(crate) async fn prepare(self, orders: &Arc<dyn Orders>) -> Result<u64> {
        match self {
            Self::Lifecycle { tasks } => {
                let lifecycles = tasks.max(16);
                run_lifecycles(orders, tasks, WARM_UP_FROM..WARM_UP_FROM + lifecycles).await?;
                Ok(4 * lifecycles)
            }
            Self::Contended => {
                run_lifecycles(orders, 4, WARM_UP_FROM..WARM_UP_FROM + 16).await?;
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
        }
    }

    /// Does the work.
    pub(crate) async fn run(self, orders: &Arc<dyn Orders>, commands: u64) -> Result<Done> {
        let started = Instant::now();
        let latencies = match self {
            Self::Lifecycle { tasks } => run_lifecycles(orders, tasks, 0..commands / 4).await?,
            Self::Contended => run_contended(orders).await?,
            Self::Load { events } => run_loads(orders, self.loads(commands), events).await?,
        };
        Ok(Done { latencies, seconds: started.elapsed().as_secs_f64() })
    }

    /// Makes sure that what was said to be done is there. Whoever loses events is not measured.
    pub(crate) async fn check(self, orders: &Arc<dyn Orders>, commands: u64) -> Result<()> {
        match self {
            Self::Lifecycle { .. } => {
                for number in [0, commands / 8, commands / 4 - 1] {
                    let order = orders.load(order_id(number)).await?;
                    ensure!(order.is_shipped(), "order {number} was shipped and is {order:?}");
                }
            }
            Self::Contended => {
                let found = orders.load(order_id(1)).await?.additions();
                ensure!(found == CONTENDED_COMMANDS, "{CONTENDED_COMMANDS} lines were added, {found} are there");
            }
            // Each load was checked.
            Self::Load { .. } => {}
        }
        Ok(())
    }

    /// How many events the work itself writes.
    pub(crate) const fn events(self, commands: u64) -> u64 {
        match self {
            Self::Lifecycle { .. } => commands / 4 * 4,
            Self::Contended => CONTENDED_COMMANDS,
            Self::Load { .. } => 0,
        }
    }

    /// What is counted.
    pub(crate) const fn unit(self) -> &'static str {
        match self {
            Self::Lifecycle { .. } | Self::Contended => "command",
            Self::Load { .. } => "load",
        }
    }

    fn loads(self, commands: u64) -> u64 {
        match self {
            Self::Load { events } => (commands * LOADED_EVENTS_PER_COMMAND / events).clamp(20, 1_000),
            Self::Lifecycle { .. } | Self::Contended => 0,
        }
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lifecycle { tasks: 1 } => f.write_str("lifecycle: orders of four commands, 1 task"),
            Self::Lifecycle { tasks } => write!(f, "lifecycle: orders of four commands, {tasks} tasks"),
            Self::Contended => {
                write!(f, "contended: {CONTENDED_COMMANDS} commands on one order, {CONTENDED_TASKS} tasks")
            }
            Self::Load { events } => write!(f, "load: an order of {events} events, 1 task"),
        }
    }
}

/// Tasks take one order after the other and see each to its end.
async fn run_lifecycles(orders: &Arc<dyn Orders>, tasks: u64, numbers: std::ops::Range<u64>) -> Result<Vec<u64>> {
    let next = Arc::new(AtomicU64::new(numbers.start));
    in_tasks(tasks, || {
        let (orders, next) = (Arc::clone(orders), Arc::clone(&next));
        async move {
            let mut latencies = Vec::new();
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number >= numbers.end {
                    return Ok(latencies);
                }
                for command in OrderCommand::lifecycle(number) {
                    let began = Instant::now();
                    orders.execute(order_id(number), &command).await?;
                    latencies.push(nanoseconds_since(began));
                }
            }
        }
    })
    .await
}

/// Tasks add lines to one order.
async fn run_contended(orders: &Arc<dyn Orders>) -> Result<Vec<u64>> {
    in_tasks(CONTENDED_TASKS, || {
        let orders = Arc::clone(orders);
        async move {
            let mut latencies = Vec::new();
            for number in 0..CONTENDED_COMMANDS / CONTENDED_TASKS {
                let began = Instant::now();
                orders.execute(order_id(1), &OrderCommand::add_line(number)).await?;
                latencies.push(nanoseconds_since(began));
            }
            Ok(latencies)
        }
    })
    .await
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

/// Runs as many tasks as that, and gives the latencies of all.
async fn in_tasks<F>(tasks: u64, mut task: impl FnMut() -> F) -> Result<Vec<u64>>
where
    F: Future<Output = Result<Vec<u64>>> + Send + 'static,
{
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        running.spawn(task());
    }
    let mut latencies = Vec::new();
    while let Some(ended) = running.join_next().await {
        latencies.append(&mut ended.context("a task ended badly")??);
    }
    Ok(latencies)
}

fn nanoseconds_since(began: Instant) -> u64 {
    u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX)
}
