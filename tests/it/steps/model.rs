//! Random orders, broken off at random points, with a network that loses things.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use annals::{StepStore, process::StepError};
use proptest::{
    collection::vec,
    prelude::{Just, Strategy, any, prop_oneof},
    sample::select,
    test_runner::{Config, TestRunner},
};

use super::{
    crash::Run,
    order::{Part, Terminal},
    points::Stop,
    service::Noise,
};
use crate::campaign;

/// The most attempts of a run: each has at most one stop, and a call goes wrong at most 6 times.
const MOST_ATTEMPTS: usize = 120;

#[derive(Debug, Clone)]
struct Planned {
    part: Part,
    noise: Vec<Noise>,
    undo_noise: Vec<Noise>,
}

#[derive(Debug, Clone)]
struct Plan {
    parts: Vec<Planned>,
    /// Where the attempts stop, each in its turn; and whether those held up before go on beside it.
    stops: Vec<(u32, Stop, bool)>,
    lost_reply_each: u32,
}

fn noise() -> impl Strategy<Value = Vec<Noise>> {
    vec(select(vec![Noise::LostRequest, Noise::LostReply, Noise::Busy]), 0..6)
}

fn planned() -> impl Strategy<Value = Planned> {
    let refuses = prop_oneof![4 => Just(false), 1 => Just(true)];
    let gives_up = prop_oneof![3 => Just(false), 1 => Just(true)];
    (any::<bool>(), refuses, 1..4_u32, gives_up, noise(), noise()).prop_map(
        |(is_undoable, refuses, tries, gives_up, noise, undo_noise)| Planned {
            part: Part { is_undoable, refuses, tries, gives_up, ..Part::new("") },
            noise,
            undo_noise,
        },
    )
}

fn plan() -> impl Strategy<Value = Plan> {
    let stop = (0..30_u32, select(vec![Stop::Killed, Stop::HeldUp]), any::<bool>());
    let lost = prop_oneof![6 => Just(0_u32), 1 => 2..6_u32];
    (vec(planned(), 1..5), vec(stop, 0..6), lost).prop_map(|(mut parts, stops, lost_reply_each)| {
        for (number, planned) in parts.iter_mut().enumerate() {
            planned.part.name = format!("step-{number}");
        }
        Plan { parts, stops, lost_reply_each }
    })
}

async fn follow(store: &Arc<dyn StepStore>, plan: Plan) -> Terminal {
    let parts: Vec<_> = plan.parts.iter().map(|planned| planned.part.clone()).collect();
    let mut run = Run::new(store, &parts);
    run.lost_reply_each = plan.lost_reply_each;
    for Planned { part, noise, undo_noise } in plan.parts {
        run.service.disturb(&part.name, noise);
        run.service.disturb(&format!("undo {}", part.name), undo_noise);
    }
    let mut stops = plan.stops.into_iter();
    for _ in 0..MOST_ATTEMPTS {
        let stop = stops.next();
        if stop.is_some_and(|(_, _, beside)| beside) {
            run.release();
        }
        match run.attempt(stop.map(|(at, stop, _)| (at, stop))).await {
            Some(Ok(terminal)) => {
                run.settle(terminal).await;
                return terminal;
            }
            Some(Err(error)) => {
                let passes = matches!(
                    error,
                    StepError::Unknown { .. } | StepError::Retryable { .. } | StepError::NotUndone { .. }
                );
                assert!(passes, "{error:?}");
            }
            None => {}
        }
    }
    panic!("the run does not come to an end");
}

#[test]
fn random_runs_come_to_one_end_with_each_effect_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let store: Arc<dyn StepStore> = Arc::new(super::memory::MemorySteps::default());
    let (done, undone) = (AtomicU32::new(0), AtomicU32::new(0));
    let config = Config { cases: campaign::sized(500), failure_persistence: None, ..Config::default() };
    let outcome = TestRunner::new(config).run(&plan(), |plan| {
        let count = match runtime.block_on(follow(&store, plan)) {
            Terminal::Done => &done,
            Terminal::Undone => &undone,
        };
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    let (done, undone) = (done.into_inner(), undone.into_inner());
    assert!(done + undone < 100 || (done > 0 && undone > 0), "{done} done, {undone} undone");
}
