//! `annals timers list`.

use annals::{
    Inspect, TimerStore,
    store::{Timer, TimerCounts, TimerQuery, TimerState},
};
use serde_json::{Value, json};

use super::{ListArgs, has, nowhere, word};
use crate::{
    args::Session,
    ending::{Ended, Failure},
    printer::{exact, grouped, quoted, span, time},
    verbs::subscriptions::brief,
};

/// Timers are read in pages of so many.
const PAGE: u64 = 1_000;

pub async fn run<S: TimerStore + Inspect>(session: &Session, store: &S, args: &ListArgs) -> Result<Ended, Failure> {
    match &args.queue {
        None => queues(session, store, args.limit).await,
        Some(queue) if has(store, queue).await? => timers(session, store, (queue, args)).await,
        Some(queue) => Ok(nowhere(queue)),
    }
}

/// Queues are read in pages of so many.
const QUEUES_PAGE: u32 = 100;

pub const QUEUE_HEADINGS: [&str; 6] = ["QUEUE", "WAITING", "DUE", "AT WORK", "PARKED", "LATE BY"];

/// What there is to do in a queue.
pub fn queue_cells(queue: &str, counts: &TimerCounts) -> [String; 6] {
    let [waiting, due, held, parked] = [counts.waiting, counts.due, counts.held, counts.parked].map(grouped);
    let late = if counts.due == 0 { "-".to_owned() } else { span(counts.lag) };
    [queue.to_owned(), waiting, due, held, parked, late]
}

async fn queues<S: TimerStore + Inspect>(session: &Session, store: &S, most: u64) -> Result<Ended, Failure> {
    let mut list = session.printer.list(&QUEUE_HEADINGS);
    let mut after: Option<String> = None;
    let is_more = 'pages: loop {
        let page = store.timer_queues(after.as_deref(), QUEUES_PAGE).await?;
        for queue in &page {
            if list.len() == most {
                break 'pages true;
            }
            let counts = store.count_timers(queue).await?;
            let object = json!({
                "queue": queue,
                "waiting": counts.waiting,
                "due": counts.due,
                "held": counts.held,
                "parked": counts.parked,
                "lag_seconds": counts.lag.as_secs_f64(),
            });
            list.row(&object, queue_cells(queue, &counts))?;
        }
        match page.last() {
            Some(last) if page.len() == QUEUES_PAGE as usize => after = Some(last.clone()),
            _ => break false,
        }
    };
    let count = list.len();
    list.end()?;
    if count == 0 {
        session.printer.words("there are no timers and no processes");
    }
    if is_more {
        session.printer.words("there are more queues: give a larger --limit");
    }
    Ok(Ended::Done)
}

async fn timers<S: TimerStore + Inspect>(
    session: &Session,
    store: &S,
    (queue, args): (&str, &ListArgs),
) -> Result<Ended, Failure> {
    let state = if args.parked { Some(TimerState::Parked) } else { args.state.map(TimerState::from) };
    let mut list = session.printer.list(&["ID", "STATE", "DUE", "NEXT LOOK", "TRIED", "LAST ERROR"]);
    let (mut after, mut left, mut any_parked) = (args.after, args.limit, false);
    let is_more = loop {
        let wanted = usize::try_from(left.min(PAGE))?;
        // One more than is shown: is there any?
        let limit = u32::try_from(wanted + 1)?;
        let mut page = store.list_timers(&TimerQuery { queue: queue.into(), state, after, limit }).await?;
        let is_more = page.len() > wanted;
        page.truncate(wanted);
        for timer in &page {
            list.row(&object(timer), cells(timer))?;
            any_parked |= timer.state == TimerState::Parked;
            (after, left) = (Some(timer.id), left - 1);
        }
        if left == 0 || !is_more {
            break is_more;
        }
    };
    let count = list.len();
    list.end()?;
    let printer = &session.printer;
    match count {
        0 => printer.words("there is none"),
        _ if any_parked => {
            printer.words(format!("once the cause is mended: annals timers resume {} --id ID, or --all", quoted(queue)))
        }
        _ => {}
    }
    if let (true, Some(after)) = (is_more, after) {
        printer.words(format!("there are more: --after {after}"));
    }
    Ok(Ended::Done)
}

fn object(timer: &Timer) -> Value {
    json!({
        "queue": &*timer.queue,
        "id": timer.id,
        "state": word(timer.state),
        "due_at": exact(timer.due_at),
        "next_at": exact(timer.next_at),
        "attempts": timer.attempts,
        "owner": timer.lease.as_ref().map(|lease| &lease.owner),
        "lease_expires_at": timer.lease.as_ref().map(|lease| exact(lease.expires_at)),
        "failure": timer.failure.as_ref().map(|failure| &failure.message),
        "failed_at": timer.failure.as_ref().map(|failure| exact(failure.at)),
        "scheduled_at": exact(timer.scheduled_at),
    })
}

fn cells(timer: &Timer) -> [String; 6] {
    // What is over, or waits for somebody, is not looked at.
    let is_looked_at = timer.state == TimerState::Waiting;
    [
        timer.id.to_string(),
        word(timer.state).to_owned(),
        time(timer.due_at),
        if is_looked_at { time(timer.next_at) } else { "-".to_owned() },
        timer.attempts.to_string(),
        timer.failure.as_ref().map_or_else(|| "-".to_owned(), |failure| brief(&failure.message)),
    ]
}
