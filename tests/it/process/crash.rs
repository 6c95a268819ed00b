//! Runners that are broken off at every point, and followed by others.

use std::sync::Arc;

use annals::{ManualClock, process::ProcessStatus};

use super::{
    attempts::Run,
    errand::{Part, Plan},
    place::{Whole, on_both},
};
use crate::steps::points::Stop;

on_both! {
    http_l02_a_runner_broken_off_at_any_point_is_followed_by_one_that_takes_each_step_once
    http_l01_a_compensation_broken_off_at_any_point_is_gone_on_with
    http_l06_a_runner_that_is_late_takes_no_step_of_a_process_that_was_undone_meanwhile
}

/// The most points of one errand: whoever has more goes round in circles.
const MOST_POINTS: u32 = 200;

/// Breaks errands off at each of their points, in each way.
async fn at_every_point<S: Whole>(store: &S, clock: &Arc<ManualClock>, plan: &Plan, end: ProcessStatus) -> u32 {
    let mut points = 0;
    for (stop, beside) in [(Stop::Killed, false), (Stop::HeldUp, false), (Stop::HeldUp, true)] {
        for point in 0.. {
            assert!(point < MOST_POINTS);
            let mut run = Run::begin(store, clock, plan).await;
            let was_broken_off = !run.attempt(Some((point, stop))).await;
            if beside {
                run.release();
            }
            assert_eq!(run.finish(3).await, end, "broken off at {point}, {stop:?}");
            assert_eq!(run.settle().await, end);
            if !was_broken_off {
                points = point;
                break;
            }
        }
    }
    points
}

async fn http_l02_a_runner_broken_off_at_any_point_is_followed_by_one_that_takes_each_step_once<S: Whole>(
    store: S,
    clock: Arc<ManualClock>,
) {
    let parts = vec![Part::call("reserve"), Part::command("seat"), Part::call("charge")];
    let plan = Plan { parts, at_once: true, notifies: true, patience: None };
    let points = at_every_point(&store, &clock, &plan, ProcessStatus::Completed).await;
    // Each step: two writes and its outcome, and its effect.
    assert!(points > 3 * 8, "{points} points");
    super::check(&store).await;
}

async fn http_l01_a_compensation_broken_off_at_any_point_is_gone_on_with<S: Whole>(store: S, clock: Arc<ManualClock>) {
    let parts = vec![Part::call("reserve"), Part::command("seat"), Part::call("charge"), Part::call("ship").refusing()];
    let plan = Plan { parts, at_once: false, notifies: true, patience: None };
    let points = at_every_point(&store, &clock, &plan, ProcessStatus::Compensated).await;
    assert!(points > 4 * 6 + 3 * 5, "{points} points");
    super::check(&store).await;
}

/// It is held up at each of its points; meanwhile the process is cancelled, and undone by another.
async fn http_l06_a_runner_that_is_late_takes_no_step_of_a_process_that_was_undone_meanwhile<S: Whole>(
    store: S,
    clock: Arc<ManualClock>,
) {
    for notifies in [false, true] {
        let parts = vec![Part::command("seat"), Part::call("charge")];
        let plan = Plan { parts, at_once: true, notifies, patience: None };
        for point in 0.. {
            assert!(point < MOST_POINTS);
            let mut run = Run::begin(&store, &clock, &plan).await;
            if run.attempt(Some((point, Stop::HeldUp))).await {
                break;
            }
            run.cancel().await;
            run.finish(3).await;
            run.settle().await;
        }
    }
    super::check(&store).await;
}
