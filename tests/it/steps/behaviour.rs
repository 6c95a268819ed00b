//! What steps promise, one thing at a time.

use std::sync::Arc;

use annals::{
    Error, IdempotencyKey, StepStore,
    process::{StepError, StepFailure, Steps},
    store::{StepRecord, StepRun, StepState},
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use uuid::Uuid;

use super::{
    order::{self, Part},
    points::Points,
    service::{Noise, Service},
};

pub struct Bench {
    pub store: Arc<dyn StepStore>,
    pub service: Service,
    pub points: Arc<Points>,
    pub run_id: Uuid,
}

impl Bench {
    pub fn new(store: Arc<dyn StepStore>) -> Self {
        let (service, points) = (Service::default(), Points::stop_at(None));
        Self { store, service, points, run_id: Uuid::now_v7() }
    }

    pub fn attempt(&self, number: u32) -> Steps {
        order::steps(Arc::clone(&self.store), self.run_id, number)
    }

    pub async fn take(&self, steps: &Steps, part: &Part) -> Result<String, StepError> {
        order::take(steps, part, &self.service, &self.points).await
    }

    /// How the steps stand, as the next attempt would read them.
    pub async fn states(&self) -> Vec<(String, StepState)> {
        let run = StepRun { run_id: self.run_id, fence: 1_000, keep_for: None };
        let steps = self.store.open_steps(&run).await.unwrap().unwrap();
        steps.into_iter().map(|step| (step.name, step.state)).collect()
    }
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Declined {
    pub code: u8,
}

pub async fn refusal(bench: Bench) {
    let decline = |_: IdempotencyKey| async { Err::<(), _>(StepFailure::refused(Declined { code: 5 })) };
    let first = bench.attempt(1).step("charge").run(decline).await.unwrap_err();
    let never = |_| async { panic!("it is not called again") };
    let again = bench.attempt(2).step("charge").run::<(), _, _>(never).await.unwrap_err();
    for error in [first, again] {
        assert!(error.is_final());
        assert_eq!(error.refusal().unwrap().decode::<Declined>().unwrap(), Declined { code: 5 });
        assert!(error.refusal().unwrap().decode::<u8>().is_err());
        assert!(!format!("{error} {error:?}").contains("code"), "{error:?}");
    }
}

pub async fn unknown(bench: Bench) {
    bench.service.disturb("charge", [Noise::LostReply, Noise::Busy, Noise::LostRequest]);
    let charge = Part { tries: 2, ..Part::new("charge") };
    // The second call was not even looked at: that says nothing of the first.
    let error = bench.take(&bench.attempt(1), &charge).await.unwrap_err();
    assert!(matches!(error, StepError::Unknown { .. }) && error.is_unsettled(), "{error:?}");
    assert_eq!(bench.take(&bench.attempt(2), &charge).await.unwrap(), "charge-id");
    let entry = bench.service.entry("charge");
    assert_eq!((entry.effects, entry.calls), (1, 2));
    assert_eq!(bench.take(&bench.attempt(3), &charge).await.unwrap(), "charge-id");
    assert_eq!(bench.service.entry("charge").calls, 2);
}

pub async fn order_of_undoing(bench: Bench) {
    let steps = bench.attempt(1);
    bench.service.disturb("c", [Noise::LostRequest]);
    bench.service.disturb("undo b", [Noise::LostReply, Noise::Busy]);
    for name in ["a", "b"] {
        bench.take(&steps, &Part::new(name)).await.unwrap();
    }
    bench.take(&steps, &Part { is_undoable: false, ..Part::new("rate") }).await.unwrap();
    bench.take(&steps, &Part::new("c")).await.unwrap_err();
    bench.take(&steps, &Part::refusing("d")).await.unwrap_err();
    steps.compensate().await.unwrap();
    steps.compensate().await.unwrap();
    assert_eq!(bench.service.books().story, ["a", "b", "rate", "undo c", "undo b", "undo a"]);
    let times: Vec<_> = bench.service.books().undo_keys.values().copied().collect();
    assert_eq!((times.len(), times.iter().sum::<u32>()), (3, 4));
    let states = bench.states().await;
    let states: Vec<_> = states.iter().map(|(name, state)| (name.as_str(), *state)).collect();
    let (undone, done, refused) = (StepState::Undone, StepState::Done, StepState::Refused);
    assert_eq!(states, [("a", undone), ("b", undone), ("rate", done), ("c", undone), ("d", refused)]);
}

pub async fn not_undone(bench: Bench) {
    bench.service.disturb("undo a", [Noise::Busy; 7]);
    for (attempt, succeeds) in [(1, false), (2, true)] {
        let steps = bench.attempt(attempt);
        bench.take(&steps, &Part::new("a")).await.unwrap();
        assert_eq!(steps.is_being_undone(), attempt == 2);
        let undone = steps.compensate().await;
        assert_eq!(steps.is_being_undone(), !succeeds);
        if succeeds {
            undone.unwrap();
        } else {
            let error = undone.unwrap_err();
            assert!(matches!(&error, StepError::NotUndone { step, .. } if step == "a") && error.is_unsettled());
            let forward = bench.take(&steps, &Part::new("b")).await.unwrap_err();
            assert!(matches!(forward, StepError::Invalid { .. }), "{forward:?}");
            let forward = bench.take(&steps, &Part { is_undoable: false, ..Part::new("c") }).await.unwrap_err();
            assert!(matches!(forward, StepError::Undone { .. }), "{forward:?}");
        }
    }
    assert_eq!(bench.service.books().story, ["a", "undo a"]);
}

/// The call is under way when its step is undone: what it then says does not count.
pub async fn overtaken(bench: Bench) {
    let steps = bench.attempt(1);
    let (called, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let slow = steps.step("slow").undo(|undo: annals::process::Undo<u8>| async move {
        assert_eq!(undo.result, None);
        Ok(())
    });
    let (call, reply) = (Arc::clone(&called), Arc::clone(&answer));
    let slow = tokio::spawn(slow.run(move |_| {
        let (call, reply) = (Arc::clone(&call), Arc::clone(&reply));
        async move {
            call.notify_one();
            reply.notified().await;
            Ok(7)
        }
    }));
    called.notified().await;
    steps.compensate().await.unwrap();
    answer.notify_one();
    let error = slow.await.unwrap().unwrap_err();
    assert!(matches!(error, StepError::Undone { .. }), "{error:?}");
    assert_eq!(bench.states().await, [("slow".to_owned(), StepState::Undone)]);
}

/// Whoever was taken over from records nothing any more, and calls nobody.
pub async fn zombie(bench: Bench) {
    let (first, second) = (bench.attempt(1), bench.attempt(2));
    bench.take(&first, &Part::new("a")).await.unwrap();
    let (called, answer) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (call, reply) = (Arc::clone(&called), Arc::clone(&answer));
    let late = tokio::spawn(first.step("b").run(move |_| {
        let (call, reply) = (Arc::clone(&call), Arc::clone(&reply));
        async move {
            call.notify_one();
            reply.notified().await;
            Ok("late".to_owned())
        }
    }));
    called.notified().await;
    bench.take(&second, &Part::new("a")).await.unwrap();
    assert_eq!(bench.take(&second, &Part::new("b")).await.unwrap(), "b-id");
    answer.notify_one();
    let error = late.await.unwrap().unwrap_err();
    assert!(error.is_fenced() && !error.is_final() && !error.is_unsettled(), "{error:?}");
    assert!(bench.take(&first, &Part::new("c")).await.unwrap_err().is_fenced());
    assert_eq!(bench.service.entry("c").calls, 0);
    assert!(first.compensate().await.unwrap_err().is_fenced());
    assert_eq!(bench.take(&bench.attempt(3), &Part::new("b")).await.unwrap(), "b-id");
}

/// A run that had begun to be undone is undone to its end, whatever the services say by now.
pub async fn no_way_back(bench: Bench) {
    let gives_up = |steps: Steps| {
        let bench = &bench;
        async move {
            bench.take(&steps, &Part::new("a")).await.unwrap();
            let rate = bench.take(&steps, &Part { is_undoable: false, ..Part::new("rate") }).await.unwrap_err();
            (rate, steps)
        }
    };
    bench.service.disturb("rate", [Noise::LostRequest]);
    let (error, steps) = gives_up(bench.attempt(1)).await;
    assert!(matches!(error, StepError::Unknown { .. }), "{error:?}");
    bench.service.disturb("undo a", [Noise::Busy; 5]);
    steps.compensate().await.unwrap_err();
    let (error, steps) = gives_up(bench.attempt(2)).await;
    assert!(matches!(error, StepError::Undone { .. }), "{error:?}");
    assert!(steps.is_being_undone() && steps.is_touched());
    steps.compensate().await.unwrap();
    assert_eq!(bench.service.entry("rate").effects, 0);
}

pub async fn misuse(bench: Bench) {
    let steps = bench.attempt(1);
    bench.take(&steps, &Part::new("a")).await.unwrap();
    let twice = bench.take(&steps, &Part::new("a")).await.unwrap_err();
    assert!(matches!(twice, StepError::Invalid { .. }) && twice.to_string().contains("twice"), "{twice}");
    // A result that cannot be read back: JSON has no number for it.
    let codec = steps.step("nan").run(|_| async { Ok(f64::NAN) }).await.unwrap_err();
    assert!(matches!(codec, StepError::Codec { .. }), "{codec:?}");
    // The next attempt goes another way: what it has not come to it cannot undo.
    let other = bench.attempt(2);
    let error = other.compensate().await.unwrap_err();
    assert!(matches!(error, StepError::NotReached { ref step } if step == "a"), "{error:?}");
    assert_eq!(bench.service.entry("a").undone, 0);
}

pub async fn side_by_side(bench: Bench) {
    for attempt in [1, 2] {
        let steps = bench.attempt(attempt);
        let (a, b, c) = (Part::new("a"), Part::new("b"), Part::refusing("c"));
        let (a, b, c) = tokio::join!(bench.take(&steps, &a), bench.take(&steps, &b), bench.take(&steps, &c));
        assert_eq!((a.unwrap(), b.unwrap()), ("a-id".to_owned(), "b-id".to_owned()));
        assert!(c.unwrap_err().is_final());
        steps.compensate().await.unwrap();
    }
    // Which call came first is chance; begun they were from the left.
    assert_eq!(bench.service.books().story[2..], ["undo b", "undo a"]);
}

/// A step that only reads is written once; others before the call as well.
pub async fn only_reads(bench: Bench) {
    let call = |_| async { Err::<u8, _>(StepFailure::retryable("busy")) };
    let error = bench.attempt(1).step("rate").only_reads().run(call).await.unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(bench.states().await, []);
    let bench = Bench::new(bench.store);
    let error = bench.attempt(1).step("charge").run(call).await.unwrap_err();
    assert!(error.is_retryable());
    assert_eq!(bench.states().await, [("charge".to_owned(), StepState::Begun)]);
    let bench = Bench::new(bench.store);
    assert!(!bench.attempt(1).is_touched());
    for attempt in [1, 2] {
        let read = async || bench.attempt(attempt).step("rate").only_reads().run(|_| async { Ok(attempt) }).await;
        assert_eq!(read().await.unwrap(), 1);
    }
}

/// A store that is down for longer than is waited.
#[derive(Debug)]
struct Down;

#[async_trait::async_trait]
impl StepStore for Down {
    async fn open_steps(&self, _: &StepRun) -> Result<Option<Vec<StepRecord>>, Error> {
        Err(Error::invalid("down for good"))
    }

    async fn write_step(&self, _: &StepRun, _: &StepRecord) -> Result<Option<StepRecord>, Error> {
        Err(Error::invalid("down for good"))
    }
}

#[tokio::test]
async fn a_service_is_not_called_where_the_call_cannot_be_recorded() {
    let bench = Bench::new(Arc::new(Down));
    for attempt in [1, 2] {
        let error = bench.take(&bench.attempt(attempt), &Part::new("charge")).await.unwrap_err();
        assert!(matches!(error, StepError::Store { .. }) && error.is_unsettled(), "{error:?}");
    }
    assert_eq!(bench.service.entry("charge").calls, 0);
}

#[tokio::test]
async fn a_call_that_takes_too_long_has_an_unknown_outcome() {
    let bench = Bench::new(super::in_memory().await.0);
    let limit = std::time::Duration::from_millis(1);
    let never = |_| std::future::pending::<Result<u8, StepFailure>>();
    let error = bench.attempt(1).step("slow").within(limit).run(never).await.unwrap_err();
    assert!(matches!(error, StepError::Unknown { .. }), "{error:?}");
}

/// Makes the tests, on the stores that a function opens.
macro_rules! on_steps {
    ($open:path) => {
        use crate::steps::behaviour::{self, Bench};

        #[tokio::test]
        async fn a_refusal_is_recorded_and_comes_back_as_it_was() {
            let (store, _alive) = $open().await;
            behaviour::refusal(Bench::new(store)).await;
        }

        #[tokio::test]
        async fn http_e06_a_call_whose_outcome_is_unknown_is_repeated_with_the_same_key() {
            let (store, _alive) = $open().await;
            behaviour::unknown(Bench::new(store)).await;
        }

        #[tokio::test]
        async fn http_l01_after_a_step_that_fails_for_good_the_others_are_undone_in_reverse_each_once() {
            let (store, _alive) = $open().await;
            behaviour::order_of_undoing(Bench::new(store)).await;
        }

        #[tokio::test]
        async fn http_l03_a_compensation_that_fails_is_tried_again_with_its_own_key_and_nothing_else_is_done() {
            let (store, _alive) = $open().await;
            behaviour::not_undone(Bench::new(store)).await;
        }

        #[tokio::test]
        async fn a_compensation_that_overtakes_its_action_wins() {
            let (store, _alive) = $open().await;
            behaviour::overtaken(Bench::new(store)).await;
        }

        #[tokio::test]
        async fn whoever_was_taken_over_from_records_nothing_and_calls_nobody() {
            let (store, _alive) = $open().await;
            behaviour::zombie(Bench::new(store)).await;
        }

        #[tokio::test]
        async fn a_run_that_had_begun_to_be_undone_takes_no_further_step() {
            let (store, _alive) = $open().await;
            behaviour::no_way_back(Bench::new(store)).await;
        }

        #[tokio::test]
        async fn names_used_twice_results_that_do_not_fit_and_other_ways_are_refused() {
            let (store, _alive) = $open().await;
            behaviour::misuse(Bench::new(store)).await;
        }

        #[tokio::test]
        async fn steps_run_side_by_side_and_are_undone_in_the_order_they_were_begun() {
            let (store, _alive) = $open().await;
            behaviour::side_by_side(Bench::new(store)).await;
        }

        #[tokio::test]
        async fn a_step_that_only_reads_is_written_with_its_result_alone() {
            let (store, _alive) = $open().await;
            behaviour::only_reads(Bench::new(store)).await;
        }
    };
}
pub(super) use on_steps;
