//! Steps kept in memory, as the port asks for it: a fast double of the databases.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Mutex,
};

use annals::{
    Error, StepStore,
    store::{StepRecord, StepRun},
};
use async_trait::async_trait;
use uuid::Uuid;

#[derive(Debug, Default)]
struct Run {
    fence: u64,
    steps: BTreeMap<String, StepRecord>,
}

#[derive(Debug, Default)]
pub struct MemorySteps(Mutex<HashMap<Uuid, Run>>);

#[async_trait]
impl StepStore for MemorySteps {
    async fn open_steps(&self, run: &StepRun) -> Result<Option<Vec<StepRecord>>, Error> {
        let mut runs = self.0.lock().unwrap();
        let found = runs.entry(run.run_id).or_default();
        if found.fence > run.fence {
            return Ok(None);
        }
        found.fence = run.fence;
        let mut steps: Vec<_> = found.steps.values().cloned().collect();
        steps.sort_by_key(|step| step.ordinal);
        Ok(Some(steps))
    }

    async fn write_step(&self, run: &StepRun, step: &StepRecord) -> Result<Option<StepRecord>, Error> {
        let mut runs = self.0.lock().unwrap();
        let found = runs.entry(run.run_id).or_default();
        if found.fence > run.fence {
            return Ok(None);
        }
        found.fence = run.fence;
        let stands = found.steps.entry(step.name.clone()).or_insert_with(|| step.clone());
        if stands.state.may_become(step.state) {
            *stands = StepRecord { ordinal: stands.ordinal, ..step.clone() };
        }
        Ok(Some(stands.clone()))
    }
}
