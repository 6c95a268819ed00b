//! An order that reserves, charges and ships: what the tests break off in the middle.

use std::{sync::Arc, time::Duration};

use annals::{
    IdempotencyKey, Scope, ScopedKey, StepStore,
    process::{StepError, Steps, Undo},
    store::StepRun,
};
use uuid::Uuid;

use super::{points::Points, service::Service};

#[derive(Debug, Clone)]
pub struct Part {
    pub name: String,
    pub is_undoable: bool,
    pub refuses: bool,
    pub tries: u32,
    /// The run is given up where its outcome is unknown, instead of being taken up again.
    pub gives_up: bool,
}

impl Part {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), is_undoable: true, refuses: false, tries: 1, gives_up: false }
    }

    pub fn refusing(name: &str) -> Self {
        Self { refuses: true, ..Self::new(name) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    Done,
    Undone,
}

pub fn key() -> ScopedKey {
    ScopedKey::new(Scope::new("acct").unwrap(), IdempotencyKey::new("order-1").unwrap())
}

/// The steps of an attempt, which is known by its fence.
pub fn steps(store: Arc<dyn StepStore>, run_id: Uuid, attempt: u32) -> Steps {
    let run = StepRun { run_id, fence: u64::from(attempt), keep_for: Some(Duration::from_secs(3600)) };
    let keys = |name: &str| key().derived_key(name);
    if attempt == 1 { Steps::of_first_attempt(store, run, keys) } else { Steps::of_later_attempt(store, run, keys) }
}

pub async fn take(steps: &Steps, part: &Part, service: &Service, points: &Arc<Points>) -> Result<String, StepError> {
    let (name, refuses) = (part.name.clone(), part.refuses);
    let step = steps.step(&name).attempts(part.tries).pauses(Duration::ZERO, Duration::ZERO);
    let call = |key| async { service.call(points, &name, key, refuses).await };
    if !part.is_undoable {
        return step.run(call).await;
    }
    let (undoing, undoing_points, undone) = (service.clone(), Arc::clone(points), name.clone());
    let undo = move |undo: Undo<String>| {
        let (service, points, name) = (undoing.clone(), Arc::clone(&undoing_points), undone.clone());
        async move { service.undo(&points, &name, (&undo.key, &undo.action_key), undo.result).await }
    };
    step.undo(undo).run(call).await
}

/// Takes all steps; where one is refused, undoes those before it, and says so in a last step.
pub async fn handle(
    steps: Steps,
    parts: Vec<Part>,
    service: Service,
    points: Arc<Points>,
) -> Result<Terminal, StepError> {
    for part in &parts {
        let error = match take(&steps, part, &service, &points).await {
            Ok(result) => {
                assert_eq!(result, format!("{}-id", part.name));
                continue;
            }
            Err(error) => error,
        };
        let is_undone = matches!(error, StepError::Undone { .. });
        let gives_up = part.gives_up && matches!(error, StepError::Unknown { .. });
        if !(error.is_final() || is_undone || gives_up) {
            return Err(error);
        }
        steps.compensate().await?;
        assert!(!steps.is_being_undone());
        let notice = Part { is_undoable: false, tries: 3, ..Part::new("notice") };
        take(&steps, &notice, &service, &points).await?;
        return Ok(Terminal::Undone);
    }
    assert!(!steps.is_being_undone());
    Ok(Terminal::Done)
}
