//! The port of steps, on connections of SQLite.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::{SqliteConnection, sqlite::SqliteRow};

use super::{
    SqliteStore,
    backend::SYSTEM,
    classify::classify,
    commits::SharedWrite,
    row::{ends_at, named},
    statement::{FIND_HIGHER_FENCE, FIND_STEP, OPEN_STEPS, WRITE_STEP},
};
use crate::store::{Error, StepRecord, StepRun, StepState, StepStore, number, telemetry::operation, to_column};

/// Opens a run.
struct Open(StepRun);

/// Writes a step.
struct Write(StepRun, StepRecord);

#[async_trait]
impl SharedWrite for Open {
    type Answer = Option<Vec<StepRecord>>;

    async fn run(&self, connection: &mut SqliteConnection, now: DateTime<Utc>) -> Result<Self::Answer, Error> {
        let Self(run) = self;
        if is_shut_out(connection, run).await? {
            return Ok(None);
        }
        let open = sqlx::query(OPEN_STEPS).bind(run.run_id).bind(to_column(run.fence)).bind(expires_at(run, now));
        let rows = open.fetch_all(connection).await.map_err(classify)?;
        let mut steps = rows.iter().map(step).collect::<Result<Vec<_>, _>>()?;
        steps.sort_by(|one, other| (one.ordinal, &one.name).cmp(&(other.ordinal, &other.name)));
        Ok(Some(steps))
    }
}

#[async_trait]
impl SharedWrite for Write {
    type Answer = Option<StepRecord>;

    async fn run(&self, connection: &mut SqliteConnection, now: DateTime<Utc>) -> Result<Self::Answer, Error> {
        let Self(run, record) = self;
        if is_shut_out(connection, run).await? {
            return Ok(None);
        }
        let write = sqlx::query(WRITE_STEP)
            .bind(run.run_id)
            .bind(to_column(run.fence))
            .bind(&record.name)
            .bind(record.ordinal)
            .bind(record.state.number())
            .bind(record.result.as_deref())
            .bind(expires_at(run, now))
            .bind(now.timestamp_micros());
        if let Some(row) = write.fetch_optional(&mut *connection).await.map_err(classify)? {
            return step(&row).map(Some);
        }
        let find = sqlx::query(FIND_STEP).bind(run.run_id).bind(&record.name);
        let row = find.fetch_one(connection).await.map_err(classify)?;
        step(&row).map(Some)
    }
}

#[async_trait]
impl StepStore for SqliteStore {
    async fn open_steps(&self, run: &StepRun) -> Result<Option<Vec<StepRecord>>, Error> {
        run.check()?;
        operation(SYSTEM, "open_steps", self.backend().commits.write(Open(run.clone()))).await
    }

    async fn write_step(&self, run: &StepRun, step: &StepRecord) -> Result<Option<StepRecord>, Error> {
        run.check()?;
        step.check()?;
        operation(SYSTEM, "write_step", self.backend().commits.write(Write(run.clone(), step.clone()))).await
    }
}

/// Tells whether somebody has opened the run with a higher fence.
async fn is_shut_out(connection: &mut SqliteConnection, run: &StepRun) -> Result<bool, Error> {
    let find = sqlx::query(FIND_HIGHER_FENCE).bind(run.run_id).bind(to_column(run.fence));
    let found = find.fetch_optional(connection).await.map_err(classify)?;
    Ok(found.is_some())
}

fn expires_at(run: &StepRun, now: DateTime<Utc>) -> Option<i64> {
    run.keep_for.map(|keep_for| ends_at(now, keep_for))
}

fn step(row: &SqliteRow) -> Result<StepRecord, Error> {
    let state: i16 = named(row, "state")?;
    Ok(StepRecord {
        name: named(row, "name")?,
        ordinal: number(named(row, "ordinal")?)?,
        state: StepState::from_number(state)
            .ok_or_else(|| Error::corrupt(format!("a stored step is in state {state}, which there is not")))?,
        result: named::<Option<String>>(row, "result")?.map(Into::into),
    })
}
