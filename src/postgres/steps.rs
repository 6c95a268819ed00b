//! The port of steps, on connections of PostgreSQL.

use async_trait::async_trait;
use sqlx::{PgConnection, postgres::PgRow};

use super::{
    PostgresStore,
    backend::SYSTEM,
    classify::within_reach,
    response::{Met, Now},
    row::{micros, named},
    statement::{OPEN_STEPS, WRITE_STEP},
    turn::in_turn,
};
use crate::store::{Error, StepRecord, StepRun, StepState, StepStore, number, telemetry::operation, to_column};

/// How often a step is looked at again that others were faster with: each time one of them has got on.
const LOOKS: u32 = 8;

#[async_trait]
impl StepStore for PostgresStore {
    async fn open_steps(&self, run: &StepRun) -> Result<Option<Vec<StepRecord>>, Error> {
        run.check()?;
        let open = in_turn!(self.backend().to_keep(), connection, now => open(connection, run, now));
        operation(SYSTEM, "open_steps", open).await
    }

    async fn write_step(&self, run: &StepRun, step: &StepRecord) -> Result<Option<StepRecord>, Error> {
        run.check()?;
        step.check()?;
        let write = in_turn!(self.backend().to_keep(), connection, now => write(connection, (run, step), now));
        operation(SYSTEM, "write_step", write).await
    }
}

async fn open(connection: &mut PgConnection, run: &StepRun, now: Now) -> Result<Option<Vec<StepRecord>>, Met> {
    let open = sqlx::query(OPEN_STEPS).bind(run.run_id).bind(to_column(run.fence));
    let open = open.bind(run.keep_for.map(micros)).bind(now);
    let rows = within_reach(open.fetch_all(connection)).await?;
    let mut steps = Vec::with_capacity(rows.len());
    for row in &rows {
        let seen = named::<Option<i64>>(row, "steps")?;
        // One that was seen and not written has got a higher fence meanwhile.
        if seen.is_none_or(|seen| usize::try_from(seen) != Ok(rows.len())) {
            return Ok(None);
        }
        steps.push(step(row)?);
    }
    steps.sort_by(|one, other| (one.ordinal, &one.name).cmp(&(other.ordinal, &other.name)));
    Ok(Some(steps))
}

async fn write(
    connection: &mut PgConnection,
    (run, record): (&StepRun, &StepRecord),
    now: Now,
) -> Result<Option<StepRecord>, Met> {
    for _ in 0..LOOKS {
        let write = sqlx::query(WRITE_STEP)
            .bind(run.run_id)
            .bind(to_column(run.fence))
            .bind(&record.name)
            .bind(i32::try_from(record.ordinal).unwrap_or(i32::MAX))
            .bind(record.state.number())
            .bind(record.result.as_deref())
            .bind(run.keep_for.map(micros))
            .bind(now);
        let row = within_reach(write.fetch_optional(&mut *connection)).await?;
        match row.as_ref().map(|row| named(row, "outcome")).transpose()? {
            Some("stands") => return Ok(row.as_ref().map(step).transpose()?),
            Some("shut out") => return Ok(None),
            // What was committed while the statement waited is seen by the next one.
            _ => {}
        }
    }
    Err(Error::Contention { source: None }.into())
}

fn step(row: &PgRow) -> Result<StepRecord, Error> {
    let state: i16 = named(row, "state")?;
    Ok(StepRecord {
        name: named(row, "name")?,
        ordinal: number(named::<i32>(row, "ordinal")?.into())?,
        state: StepState::from_number(state)
            .ok_or_else(|| Error::corrupt(format!("a stored step is in state {state}, which there is not")))?,
        result: named::<Option<String>>(row, "result")?.map(Into::into),
    })
}
