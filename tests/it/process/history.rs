//! What holds of the history of every process.

use std::collections::BTreeMap;

use annals::{
    EventStore, Id, Repository,
    process::{Process, ProcessEvent, ProcessManager, ProcessNote, ProcessStatus},
};

#[derive(Debug, Default)]
struct Seen {
    planned: BTreeMap<String, u32>,
    settled: BTreeMap<String, u32>,
    /// What was planned when the compensation was over.
    planned_before: Vec<String>,
    compensations: u32,
    undone: u32,
    ends: u32,
    after_the_end: u32,
}

impl Seen {
    fn note(&mut self, note: &ProcessNote) {
        match note {
            ProcessNote::ProcessStepPlanned(step) => {
                *self.planned.entry(step.name.clone()).or_default() += 1;
                assert!(self.compensations == self.undone, "{} is planned while all is undone", step.name);
            }
            ProcessNote::ProcessStepDone { step, .. } | ProcessNote::ProcessStepRefused { step, .. } => {
                assert!(self.planned.contains_key(step), "{step} was not planned");
                assert!(!self.planned_before.contains(step), "{step} is done after it was undone");
                *self.settled.entry(step.clone()).or_default() += 1;
            }
            ProcessNote::ProcessCompensationBegun { .. } => self.compensations += 1,
            ProcessNote::ProcessUndone => {
                self.undone += 1;
                self.planned_before = self.planned.keys().cloned().collect();
            }
            ProcessNote::ProcessCompleted | ProcessNote::ProcessCompensated => self.ends += 1,
            _ => {}
        }
    }
}

/// Reads a process's history, and makes sure that it is one: each step planned once and settled at most once, one end,
/// nothing after it, nothing done after it was undone.
pub async fn check<P: ProcessManager, S: EventStore + Clone + 'static>(store: &S, id: Id<Process<P>>) -> Process<P> {
    let mut seen = Seen::default();
    let processes = Repository::<Process<P>>::new(store);
    let loaded = processes.replay(id, |step| {
        seen.after_the_end += u32::from(seen.ends > 0);
        if let ProcessEvent::Note(note) = step.event {
            seen.note(note);
        }
    });
    let process = loaded.await.unwrap().state;
    assert!(seen.planned.values().chain(seen.settled.values()).all(|times| *times == 1), "{seen:?}");
    assert!(seen.ends == u32::from(process.status().is_terminal()) && seen.after_the_end == 0, "{seen:?}");
    assert!(seen.compensations <= 1 && seen.undone <= seen.compensations, "{seen:?}");
    match process.status() {
        ProcessStatus::Completed => assert_eq!((seen.planned.len(), seen.compensations), (seen.settled.len(), 0)),
        ProcessStatus::Compensated => {
            let followed = seen.planned.keys().filter(|step| !seen.planned_before.contains(step));
            assert!(seen.undone == 1 && followed.into_iter().all(|step| seen.settled.contains_key(step)), "{seen:?}");
        }
        _ => {}
    }
    process
}
