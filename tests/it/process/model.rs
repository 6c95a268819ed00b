//! Random errands, cancelled, out of time, and broken off at random points, with a network that loses things.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use annals::{ManualClock, process::ProcessStatus};
use proptest::{
    collection::vec,
    option,
    prelude::{Just, Strategy, any, prop_oneof},
    sample::select,
    test_runner::{Config, TestRunner},
};

use super::{
    attempts::Run,
    errand::{Part, Plan, Work},
    place::Whole,
};
use crate::{
    campaign,
    steps::{points::Stop, service::Noise},
};

/// The most attempts of an errand after it was broken off: a call goes wrong at most 3 times.
const MOST_ATTEMPTS: usize = 60;

#[derive(Debug, Clone)]
struct Story {
    plan: Plan,
    /// What goes wrong with each step's calls, and with those that undo it.
    noise: Vec<(Vec<Noise>, Vec<Noise>)>,
    /// Where the attempts stop, each in its turn; and whether those held up before go on beside the next one.
    stops: Vec<(u32, Stop, bool)>,
    /// It is cancelled before the attempt of this number.
    cancelled_at: Option<usize>,
    lost_reply_each: u32,
}

fn noise() -> impl Strategy<Value = Vec<Noise>> {
    vec(select(vec![Noise::LostRequest, Noise::LostReply, Noise::Busy]), 0..4)
}

fn part() -> impl Strategy<Value = Part> {
    let refuses = prop_oneof![5 => Just(false), 1 => Just(true)];
    let work = select(vec![Work::Call, Work::Call, Work::Command]);
    let is_undoable = prop_oneof![4 => Just(true), 1 => Just(false)];
    (work, is_undoable, refuses).prop_map(|(work, is_undoable, refuses)| Part {
        name: String::new(),
        work,
        is_undoable,
        refuses,
    })
}

fn story() -> impl Strategy<Value = Story> {
    let plan = (vec(part(), 1..5), any::<bool>(), any::<bool>(), option::weighted(0.2, 1..20_000_u32));
    let plan = plan.prop_map(|(mut parts, at_once, notifies, patience)| {
        parts.iter_mut().enumerate().for_each(|(number, part)| part.name = format!("step-{number}"));
        Plan { parts, at_once, notifies, patience }
    });
    let stop = (0..70_u32, select(vec![Stop::Killed, Stop::HeldUp, Stop::HeldUp]), any::<bool>());
    let lost = prop_oneof![6 => Just(0_u32), 1 => 2..6_u32];
    let cancelled = option::weighted(0.4, 0..4_usize);
    (plan, vec((noise(), noise()), 5), vec(stop, 0..=3), cancelled, lost).prop_map(
        |(plan, noise, stops, cancelled_at, lost_reply_each)| Story {
            plan,
            noise,
            stops,
            cancelled_at,
            lost_reply_each,
        },
    )
}

async fn follow<S: Whole>(store: &S, clock: &Arc<ManualClock>, story: Story) -> ProcessStatus {
    let mut run = Run::begin(store, clock, &story.plan).await;
    run.lost_reply_each = story.lost_reply_each;
    for (part, (noise, undo_noise)) in story.plan.parts.iter().zip(story.noise) {
        run.service.disturb(&part.name, noise);
        run.service.disturb(&format!("undo {}", part.name), undo_noise);
    }
    for (number, (point, stop, beside)) in story.stops.into_iter().enumerate() {
        if story.cancelled_at == Some(number) {
            run.cancel().await;
        }
        if beside {
            run.release();
        }
        run.attempt(Some((point, stop))).await;
    }
    run.finish(MOST_ATTEMPTS).await;
    run.settle().await
}

fn random_errands<S: Whole>(
    runtime: &tokio::runtime::Runtime,
    (store, clock): (&S, &Arc<ManualClock>),
    by_default: u32,
) {
    let (completed, compensated) = (AtomicU32::new(0), AtomicU32::new(0));
    let cases = campaign::sized(by_default);
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 200, ..Config::default() };
    let outcome = TestRunner::new(config).run(&story(), |story| {
        let count = match runtime.block_on(follow(store, clock, story)) {
            ProcessStatus::Completed => &completed,
            _ => &compensated,
        };
        count.fetch_add(1, Ordering::Relaxed);
        Ok(())
    });
    if let Err(failure) = outcome {
        panic!("{failure}");
    }
    runtime.block_on(super::check(store));
    let (completed, compensated) = (completed.into_inner(), compensated.into_inner());
    println!("figures: errands={cases} completed={completed} compensated={compensated}");
    assert!(cases < 30 || (completed > 0 && compensated > 0), "{completed} completed, {compensated} compensated");
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

mod sqlite {
    #[test]
    fn random_errands_come_to_one_end_with_nothing_left_and_nothing_doubled() {
        let runtime = super::runtime();
        let (store, clock, _folder) = runtime.block_on(crate::process::place::sqlite());
        super::random_errands(&runtime, (&store, &clock), 60);
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    #[test]
    fn random_errands_come_to_one_end_with_nothing_left_and_nothing_doubled() {
        let runtime = super::runtime();
        let (store, clock, _database) = runtime.block_on(crate::process::place::postgres());
        super::random_errands(&runtime, (&store, &clock), 30);
    }
}
