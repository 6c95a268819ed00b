//! The beginnings of several streams, read with one round trip.

use std::{fmt, ops::Range, sync::Arc};

use chrono::{DateTime, Utc};
use sqlx::{PgConnection, postgres::PgRow};

use super::{
    classify::classify,
    row::named,
    snapshot::{Walk, shape},
    statement::LOAD_PAGES,
};
use crate::store::{Error, LoadVisitor, Page, PageQuery, StreamRead, from_column, to_column};

/// The most events of a page: longer streams are read by themselves, row by row.
const PAGE_EVENTS: usize = 128;

/// Reads a page for each query.
pub(super) async fn load(
    connection: &mut PgConnection,
    queries: &[PageQuery],
    now: DateTime<Utc>,
) -> Result<Vec<PostgresPage>, Error> {
    let rows = sqlx::query(LOAD_PAGES)
        .bind(queries.iter().map(|query| query.aggregate_id).collect::<Vec<_>>())
        .bind(queries.iter().map(|query| to_column(query.after)).collect::<Vec<_>>())
        .bind(queries.iter().map(|query| query.snapshot_version.map(shape)).collect::<Vec<_>>())
        .bind(queries.iter().map(|query| query.receipt_of.as_ref().map(|key| key.as_str())).collect::<Vec<_>>())
        // One more than fits tells that there are more.
        .bind(to_column(PAGE_EVENTS as u64 + 1))
        .bind(now)
        .fetch_all(connection)
        .await
        .map_err(classify)?;
    let ranges = ranges(&rows, queries.len())?;
    let rows: Arc<[PgRow]> = rows.into();
    let pages = queries.iter().zip(ranges);
    Ok(pages.map(|(query, range)| PostgresPage { query: query.clone(), rows: Arc::clone(&rows), range }).collect())
}

/// Where the rows of each query are. They stand together, in the order of their numbers.
fn ranges(rows: &[PgRow], queries: usize) -> Result<Vec<Range<usize>>, Error> {
    let mut ranges = vec![0..0; queries];
    for (at, row) in rows.iter().enumerate() {
        let number: i64 = named(row, "number")?;
        let place = usize::try_from(number - 1).ok().and_then(|place| ranges.get_mut(place));
        let place = place.ok_or_else(|| Error::corrupt("a page was not asked for"))?;
        *place = match place.end {
            0 => at..at + 1,
            end if end == at => place.start..at + 1,
            _ => return Err(Error::corrupt("the rows of a page do not stand together")),
        };
    }
    Ok(ranges)
}

/// A page whose rows nobody has decoded yet.
pub(super) struct PostgresPage {
    query: PageQuery,
    /// The rows of all pages that were read together.
    rows: Arc<[PgRow]>,
    range: Range<usize>,
}

impl Page for PostgresPage {
    fn visit(&self, visitor: &mut dyn LoadVisitor) -> Result<Option<StreamRead>, Error> {
        let rows = self.rows.get(self.range.clone()).unwrap_or_default();
        let Some(first) = rows.first() else {
            return Err(Error::corrupt("a page is missing"));
        };
        if rows.len() > PAGE_EVENTS || named(first, "has_receipt")? {
            return Ok(None);
        }
        let known = from_column(named::<Option<i64>>(first, "version")?.unwrap_or(0))?;
        let mut walk = Walk::from_sequence(self.query.after.saturating_add(1));
        for row in rows.iter().filter(|row| named::<Option<i64>>(row, "sequence").is_ok_and(|found| found.is_some())) {
            if !walk.step(row, self.query.aggregate_id, visitor)? {
                return Ok(None);
            }
        }
        Ok(Some(StreamRead { version: walk.version.max(known), receipt: None }))
    }
}

impl fmt::Debug for PostgresPage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresPage").field("rows", &self.range.len()).finish_non_exhaustive()
    }
}
