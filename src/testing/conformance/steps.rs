//! Steps: forward alone, and by the fence.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{
    claims::answering,
    fixture::{AnswerStores, Factory},
};
use crate::store::{StepRecord, StepRun, StepState};

fn run(fence: u64) -> StepRun {
    StepRun { run_id: Uuid::from_u128(7), fence, keep_for: Some(Duration::from_secs(60)) }
}

fn step(name: &str, state: StepState, result: Option<&str>) -> StepRecord {
    let ordinal = if name == "charge" { 1 } else { 2 };
    StepRecord { name: name.to_owned(), ordinal, state, result: result.map(Arc::from) }
}

/// A step goes forward and nowhere else; the same once more changes nothing, and whoever resumes finds where it stood.
pub async fn http_d02_steps_go_forward_and_are_found_again(factory: &dyn Factory) {
    let Some((_fixture, AnswerStores { steps: store, .. }, _)) = answering(factory, "D2").await else { return };
    let states = [StepState::Begun, StepState::Done, StepState::Refused, StepState::Undoing, StepState::Undone];
    for (number, from) in (0_u128..).zip(states) {
        for (other, to) in (0_u128..).zip(states) {
            let run = StepRun { run_id: Uuid::from_u128(100 + number * 10 + other), fence: 1, keep_for: None };
            let (first, next) = (step("charge", from, Some("1")), step("charge", to, Some("2")));
            assert_eq!(store.write_step(&run, &first).await.unwrap().unwrap(), first);
            let expected = if from.may_become(to) { &next } else { &first };
            for _ in 0..2 {
                assert_eq!(store.write_step(&run, &next).await.unwrap().as_ref(), Some(expected), "{from:?} {to:?}");
            }
            assert_eq!(store.open_steps(&run).await.unwrap().unwrap(), std::slice::from_ref(expected));
        }
    }
    assert_eq!(store.open_steps(&run(1)).await.unwrap(), Some(Vec::new()));
    let (mail, charge) = (step("mail", StepState::Begun, None), step("charge", StepState::Done, Some("{\"id\":1}")));
    for record in [&mail, &charge] {
        assert_eq!(store.write_step(&run(1), record).await.unwrap().as_ref(), Some(record));
    }
    assert_eq!(store.open_steps(&run(2)).await.unwrap().unwrap(), [charge, mail], "in the order they were begun");
    let undoing = store.write_step(&run(2), &step("charge", StepState::Undoing, None)).await.unwrap().unwrap();
    assert_eq!(undoing, step("charge", StepState::Undoing, Some("{\"id\":1}")), "what is to be undone has its result");
}

/// Whoever has a lower fence than a step of the run opens and writes nothing, also no new step.
pub async fn http_d03_a_late_owner_writes_no_step(factory: &dyn Factory) {
    let Some((_fixture, AnswerStores { steps: store, .. }, _)) = answering(factory, "D3").await else { return };
    let begun = step("charge", StepState::Begun, None);
    assert!(store.write_step(&run(5), &begun).await.unwrap().is_some());
    assert_eq!(store.open_steps(&run(6)).await.unwrap().unwrap(), std::slice::from_ref(&begun));
    assert_eq!(store.open_steps(&run(5)).await.unwrap(), None);
    for record in [&begun, &step("charge", StepState::Done, Some("1")), &step("mail", StepState::Begun, None)] {
        assert_eq!(store.write_step(&run(5), record).await.unwrap(), None);
    }
    assert_eq!(store.open_steps(&run(6)).await.unwrap().unwrap(), [begun]);
    let other = StepRun { run_id: Uuid::from_u128(8), ..run(1) };
    assert_eq!(store.open_steps(&other).await.unwrap(), Some(Vec::new()), "another run has fences of its own");
}

/// Whoever writes what a late owner has written already has the step from then on: also where nothing changes but the fence.
pub async fn http_d03_a_step_that_is_written_again_belongs_to_the_higher_fence(factory: &dyn Factory) {
    let Some((_fixture, AnswerStores { steps: store, .. }, _)) = answering(factory, "D3").await else { return };
    for (number, state) in (0_u128..).zip([StepState::Begun, StepState::Done, StepState::Refused]) {
        let of = |fence| StepRun { run_id: Uuid::from_u128(100 + number), ..run(fence) };
        // Opened while there was nothing that could shut the late one out.
        assert_eq!(store.open_steps(&of(6)).await.unwrap(), Some(Vec::new()));
        let stands = step("charge", state, Some("1"));
        assert_eq!(store.write_step(&of(5), &stands).await.unwrap().as_ref(), Some(&stands));
        let again = step("charge", state, Some("2"));
        assert_eq!(store.write_step(&of(6), &again).await.unwrap().as_ref(), Some(&stands), "what came first stands");
        for late in [state, StepState::Done, StepState::Undoing] {
            assert_eq!(
                store.write_step(&of(5), &step("charge", late, None)).await.unwrap(),
                None,
                "{state:?} {late:?}"
            );
        }
        assert_eq!(store.open_steps(&of(6)).await.unwrap().unwrap(), [stands]);
    }
}
