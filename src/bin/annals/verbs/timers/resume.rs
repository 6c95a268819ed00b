//! `annals timers resume`.

use annals::{
    TimerStore,
    store::{TimerQuery, TimerState},
};
use serde_json::json;

use super::{ResumeArgs, has, nowhere, word};
use crate::{
    args::Session,
    ending::{Ended, Failure},
    printer::grouped,
};

/// So many are resumed at once.
const PAGE: u32 = 1_000;

pub async fn run<S: TimerStore>(session: &Session, store: &S, args: &ResumeArgs) -> Result<Ended, Failure> {
    let queue = &args.queue;
    if !has(store, queue).await? {
        return Ok(nowhere(queue));
    }
    let resumed = match args.id {
        Some(id) if store.resume_timer(queue, id).await? => 1,
        Some(id) => {
            return Ok(Ended::No(match store.timer(queue, id).await? {
                None => format!("there is no {id} in the queue {queue}"),
                Some(timer) => format!("{id} is not parked, but {}", word(timer.state)),
            }));
        }
        None => all(store, queue).await?,
    };
    if resumed == 0 {
        return Ok(Ended::No(format!("nothing is parked in the queue {queue}")));
    }
    session.printer.object(&json!({ "queue": queue, "resumed": resumed }), || {
        format!("{queue}: {} to be tried again, by whoever runs the queue", grouped(resumed))
    })?;
    Ok(Ended::Done)
}

async fn all<S: TimerStore>(store: &S, queue: &str) -> Result<u64, Failure> {
    let (mut resumed, mut after) = (0, None);
    loop {
        let state = Some(TimerState::Parked);
        let page = store.list_timers(&TimerQuery { queue: queue.into(), state, after, limit: PAGE }).await?;
        for timer in &page {
            resumed += u64::from(store.resume_timer(queue, timer.id).await?);
        }
        match page.last() {
            // By its id: one that fails at once and is parked anew is not met again.
            Some(last) if page.len() == PAGE as usize => after = Some(last.id),
            _ => return Ok(resumed),
        }
    }
}
