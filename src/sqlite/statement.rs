//! The statements, one per file.

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

pub(super) const ABANDONED_REQUESTS: &str = include_str!("sql/abandoned_requests.sql");
pub(super) const ADVANCE_CHECKPOINT: &str = include_str!("sql/advance_checkpoint.sql");
pub(super) const AUDIT_CHECKPOINTS: &str = include_str!("sql/audit_checkpoints.sql");
pub(super) const AUDIT_EVENTS: &str = include_str!("sql/audit_events.sql");
pub(super) const AUDIT_PARKED_EVENTS: &str = include_str!("sql/audit_parked_events.sql");
pub(super) const AUDIT_PLACES: &str = include_str!("sql/audit_places.sql");
pub(super) const AUDIT_RECEIPTS: &str = include_str!("sql/audit_receipts.sql");
pub(super) const AUDIT_SNAPSHOTS: &str = include_str!("sql/audit_snapshots.sql");
pub(super) const BEGIN_ATTEMPT: &str = include_str!("sql/begin_attempt.sql");
pub(super) const BEGIN_CALL: &str = include_str!("sql/begin_call.sql");
pub(super) const BEGIN_CHECKPOINT: &str = include_str!("sql/begin_checkpoint.sql");
pub(super) const BEGIN_PARKED_EVENT: &str = include_str!("sql/begin_parked_event.sql");
pub(super) const BURY_RESPONSE: &str = include_str!("sql/bury_response.sql");
pub(super) const CANCEL_TIMER: &str = include_str!("sql/cancel_timer.sql");
pub(super) const CLAIM_CHECKPOINT: &str = include_str!("sql/claim_checkpoint.sql");
pub(super) const CLAIM_RESPONSE: &str = include_str!("sql/claim_response.sql");
pub(super) const CLAIM_TIMERS: &str = include_str!("sql/claim_timers.sql");
pub(super) const COMPLETE_RESPONSE: &str = include_str!("sql/complete_response.sql");
pub(super) const COUNT_PARKED_EVENTS: &str = include_str!("sql/count_parked_events.sql");
pub(super) const COUNT_ROWS: &str = include_str!("sql/count_rows.sql");
pub(super) const COUNT_TIMERS: &str = include_str!("sql/count_timers.sql");
pub(super) const COUNT_TYPES: &str = include_str!("sql/count_types.sql");
pub(super) const DELETE_CHECKPOINTS: &str = include_str!("sql/delete_checkpoints.sql");
pub(super) const DELETE_PARKED_EVENTS: &str = include_str!("sql/delete_parked_events.sql");
pub(super) const DRAW_FENCES: &str = include_str!("sql/draw_fences.sql");
pub(super) const DROP_PARKED_EVENTS: &str = include_str!("sql/drop_parked_events.sql");
pub(super) const DUE_TIMERS: &str = include_str!("sql/due_timers.sql");
pub(super) const EXPIRE_RESPONSE: &str = include_str!("sql/expire_response.sql");
pub(super) const EXPORT_CHECKPOINTS: &str = include_str!("sql/export_checkpoints.sql");
pub(super) const EXPORT_MESSAGE_PLACES: &str = include_str!("sql/export_message_places.sql");
pub(super) const EXPORT_MESSAGES: &str = include_str!("sql/export_messages.sql");
pub(super) const EXPORT_PARKED_EVENTS: &str = include_str!("sql/export_parked_events.sql");
pub(super) const EXPORT_TIMERS: &str = include_str!("sql/export_timers.sql");
pub(super) const EXPORT_RECEIPTS: &str = include_str!("sql/export_receipts.sql");
pub(super) const FAIL_TIMER: &str = include_str!("sql/fail_timer.sql");
pub(super) const FIND_CALL: &str = include_str!("sql/find_call.sql");
pub(super) const FIND_CORRELATED_EVENTS: &str = include_str!("sql/find_correlated_events.sql");
pub(super) const FIND_CORRELATED_EVENTS_BACKWARD: &str = include_str!("sql/find_correlated_events_backward.sql");
pub(super) const FIND_EVENTS: &str = include_str!("sql/find_events.sql");
pub(super) const FIND_EVENTS_BACKWARD: &str = include_str!("sql/find_events_backward.sql");
pub(super) const FIND_WRITTEN_EVENTS: &str = include_str!("sql/find_written_events.sql");
pub(super) const FIND_HIGHER_FENCE: &str = include_str!("sql/find_higher_fence.sql");
pub(super) const FIND_LEASE: &str = include_str!("sql/find_lease.sql");
pub(super) const FIND_MESSAGE: &str = include_str!("sql/find_message.sql");
pub(super) const FIND_MIGRATIONS_TABLE: &str = include_str!("sql/find_migrations_table.sql");
pub(super) const FIND_OBJECT: &str = include_str!("sql/find_object.sql");
pub(super) const FIND_PLACE: &str = include_str!("sql/find_place.sql");
pub(super) const FIND_RECEIPTS: &str = include_str!("sql/find_receipts.sql");
pub(super) const FIND_RESPONSE: &str = include_str!("sql/find_response.sql");
pub(super) const FIND_STEP: &str = include_str!("sql/find_step.sql");
pub(super) const FIND_TIMER: &str = include_str!("sql/find_timer.sql");
pub(super) const FIND_VERSIONS: &str = include_str!("sql/find_versions.sql");
pub(super) const FIRE_TIMER: &str = include_str!("sql/fire_timer.sql");
pub(super) const FORGET_CALL: &str = include_str!("sql/forget_call.sql");
pub(super) const FORGET_TIMER: &str = include_str!("sql/forget_timer.sql");
pub(super) const FREE_RESPONSE: &str = include_str!("sql/free_response.sql");
pub(super) const GIVE_BACK_TIMER: &str = include_str!("sql/give_back_timer.sql");
pub(super) const IMPORT_CHECKPOINTS: &str = include_str!("sql/import_checkpoints.sql");
pub(super) const IMPORT_MESSAGE_PLACES: &str = include_str!("sql/import_message_places.sql");
pub(super) const IMPORT_MESSAGES: &str = include_str!("sql/import_messages.sql");
pub(super) const IMPORT_PARKED_EVENTS: &str = include_str!("sql/import_parked_events.sql");
pub(super) const IMPORT_TIMERS: &str = include_str!("sql/import_timers.sql");
pub(super) const INSERT_EVENT: &str = include_str!("sql/insert_event.sql");
pub(super) const INSERT_RECEIPT: &str = include_str!("sql/insert_receipt.sql");
pub(super) const LET_GO_OF_CALL: &str = include_str!("sql/let_go_of_call.sql");
pub(super) const LET_GO_OF_RESPONSE: &str = include_str!("sql/let_go_of_response.sql");
pub(super) const LIST_CALLS: &str = include_str!("sql/list_calls.sql");
pub(super) const LIST_CHECKPOINTS: &str = include_str!("sql/list_checkpoints.sql");
pub(super) const LIST_PARKED_TIMERS: &str = include_str!("sql/list_parked_timers.sql");
pub(super) const LIST_QUEUES: &str = include_str!("sql/list_queues.sql");
pub(super) const LIST_RECEIPTS: &str = include_str!("sql/list_receipts.sql");
pub(super) const LIST_RESPONSES: &str = include_str!("sql/list_responses.sql");
pub(super) const LIST_TIMERS: &str = include_str!("sql/list_timers.sql");
pub(super) const LOAD_STREAM: &str = include_str!("sql/load_stream.sql");
pub(super) const MOVE_TIMER: &str = include_str!("sql/move_timer.sql");
pub(super) const NEXT_TIMER: &str = include_str!("sql/next_timer.sql");
pub(super) const NOTE_FAILURE: &str = include_str!("sql/note_failure.sql");
pub(super) const OPEN_STEPS: &str = include_str!("sql/open_steps.sql");
pub(super) const PARK_EVENT: &str = include_str!("sql/park_event.sql");
pub(super) const PARK_EVENT_AGAIN: &str = include_str!("sql/park_event_again.sql");
pub(super) const PARK_TIMER: &str = include_str!("sql/park_timer.sql");
pub(super) const PAUSE_CHECKPOINTS: &str = include_str!("sql/pause_checkpoints.sql");
pub(super) const POSTPONE_TIMER: &str = include_str!("sql/postpone_timer.sql");
pub(super) const READ_ATTEMPT: &str = include_str!("sql/read_attempt.sql");
pub(super) const READ_CHECKPOINT: &str = include_str!("sql/read_checkpoint.sql");
pub(super) const READ_ENCODING: &str = include_str!("sql/read_encoding.sql");
pub(super) const READ_HEAD: &str = include_str!("sql/read_head.sql");
pub(super) const READ_LOG: &str = include_str!("sql/read_log.sql");
pub(super) const READ_LOG_GROUPS: &str = include_str!("sql/read_log_groups.sql");
pub(super) const READ_MARK: &str = include_str!("sql/read_mark.sql");
pub(super) const READ_PARKED_AGGREGATE: &str = include_str!("sql/read_parked_aggregate.sql");
pub(super) const READ_PARKED_EVENTS: &str = include_str!("sql/read_parked_events.sql");
pub(super) const READ_RECEIPT: &str = include_str!("sql/read_receipt.sql");
pub(super) const READ_REQUESTED_PARKED_EVENTS: &str = include_str!("sql/read_requested_parked_events.sql");
pub(super) const READ_SCHEMA: &str = include_str!("sql/read_schema.sql");
pub(super) const READ_STANDING: &str = include_str!("sql/read_standing.sql");
pub(super) const READ_STORAGE: &str = include_str!("sql/read_storage.sql");
pub(super) const READ_STREAM: &str = include_str!("sql/read_stream.sql");
pub(super) const READ_STREAM_BACKWARD: &str = include_str!("sql/read_stream_backward.sql");
pub(super) const READ_STREAM_GROUPS: &str = include_str!("sql/read_stream_groups.sql");
pub(super) const READ_TIMER_STATES: &str = include_str!("sql/read_timer_states.sql");
pub(super) const READ_VERSION: &str = include_str!("sql/read_version.sql");
pub(super) const READ_VERSION_UNTIL: &str = include_str!("sql/read_version_until.sql");
pub(super) const RECEIVE_MESSAGE: &str = include_str!("sql/receive_message.sql");
pub(super) const RELEASE_LEASE: &str = include_str!("sql/release_lease.sql");
pub(super) const RELEASE_RESPONSE: &str = include_str!("sql/release_response.sql");
pub(super) const RENAME_PARKED_EVENTS: &str = include_str!("sql/rename_parked_events.sql");
pub(super) const RENEW_CALL: &str = include_str!("sql/renew_call.sql");
pub(super) const RENEW_LEASE: &str = include_str!("sql/renew_lease.sql");
pub(super) const RENEW_RESPONSE: &str = include_str!("sql/renew_response.sql");
pub(super) const RENEW_TIMERS: &str = include_str!("sql/renew_timers.sql");
pub(super) const REQUEST_PARKED_EVENTS: &str = include_str!("sql/request_parked_events.sql");
pub(super) const RESOLVE_CALL: &str = include_str!("sql/resolve_call.sql");
pub(super) const RESUME_CHECKPOINTS: &str = include_str!("sql/resume_checkpoints.sql");
pub(super) const RESUME_TIMER: &str = include_str!("sql/resume_timer.sql");
pub(super) const REVIVE_RESPONSE: &str = include_str!("sql/revive_response.sql");
pub(super) const SAVE_SNAPSHOT: &str = include_str!("sql/save_snapshot.sql");
pub(super) const SCHEDULE_TIMERS: &str = include_str!("sql/schedule_timers.sql");
pub(super) const SET_BUILD: &str = include_str!("sql/set_build.sql");
pub(super) const SET_PLACE: &str = include_str!("sql/set_place.sql");
pub(super) const SPLIT_CHECKPOINT: &str = include_str!("sql/split_checkpoint.sql");
pub(super) const SWAP_BUILD: &str = include_str!("sql/swap_build.sql");
pub(super) const SWEEP_RECEIPTS: &str = include_str!("sql/sweep_receipts.sql");
pub(super) const SWEEP_RESPONSES: &str = include_str!("sql/sweep_responses.sql");
pub(super) const SWEEP_STEPS: &str = include_str!("sql/sweep_steps.sql");
pub(super) const SWEEP_TIMERS: &str = include_str!("sql/sweep_timers.sql");
pub(super) const SWEEP_INBOX: &str = include_str!("sql/sweep_inbox.sql");
pub(super) const TAKE_CALL: &str = include_str!("sql/take_call.sql");
pub(super) const UNPARK_EVENT: &str = include_str!("sql/unpark_event.sql");
pub(super) const WAKE_TIMERS: &str = include_str!("sql/wake_timers.sql");
pub(super) const WRITE_STEP: &str = include_str!("sql/write_step.sql");

/// The statements that are sent as they stand.
const WHOLE: [(&str, &str); 125] = [
    ("abandoned_requests", ABANDONED_REQUESTS),
    ("advance_checkpoint", ADVANCE_CHECKPOINT),
    ("audit_checkpoints", AUDIT_CHECKPOINTS),
    ("audit_events", AUDIT_EVENTS),
    ("audit_parked_events", AUDIT_PARKED_EVENTS),
    ("audit_places", AUDIT_PLACES),
    ("audit_receipts", AUDIT_RECEIPTS),
    ("audit_snapshots", AUDIT_SNAPSHOTS),
    ("begin_attempt", BEGIN_ATTEMPT),
    ("begin_call", BEGIN_CALL),
    ("begin_checkpoint", BEGIN_CHECKPOINT),
    ("begin_parked_event", BEGIN_PARKED_EVENT),
    ("bury_response", BURY_RESPONSE),
    ("cancel_timer", CANCEL_TIMER),
    ("claim_checkpoint", CLAIM_CHECKPOINT),
    ("claim_response", CLAIM_RESPONSE),
    ("claim_timers", CLAIM_TIMERS),
    ("complete_response", COMPLETE_RESPONSE),
    ("count_parked_events", COUNT_PARKED_EVENTS),
    ("count_rows", COUNT_ROWS),
    ("count_timers", COUNT_TIMERS),
    ("count_types", COUNT_TYPES),
    ("delete_checkpoints", DELETE_CHECKPOINTS),
    ("delete_parked_events", DELETE_PARKED_EVENTS),
    ("draw_fences", DRAW_FENCES),
    ("drop_parked_events", DROP_PARKED_EVENTS),
    ("due_timers", DUE_TIMERS),
    ("expire_response", EXPIRE_RESPONSE),
    ("export_checkpoints", EXPORT_CHECKPOINTS),
    ("export_message_places", EXPORT_MESSAGE_PLACES),
    ("export_messages", EXPORT_MESSAGES),
    ("export_parked_events", EXPORT_PARKED_EVENTS),
    ("export_timers", EXPORT_TIMERS),
    ("export_receipts", EXPORT_RECEIPTS),
    ("fail_timer", FAIL_TIMER),
    ("find_call", FIND_CALL),
    ("find_correlated_events", FIND_CORRELATED_EVENTS),
    ("find_correlated_events_backward", FIND_CORRELATED_EVENTS_BACKWARD),
    ("find_events", FIND_EVENTS),
    ("find_events_backward", FIND_EVENTS_BACKWARD),
    ("find_higher_fence", FIND_HIGHER_FENCE),
    ("find_lease", FIND_LEASE),
    ("find_message", FIND_MESSAGE),
    ("find_migrations_table", FIND_MIGRATIONS_TABLE),
    ("find_object", FIND_OBJECT),
    ("find_place", FIND_PLACE),
    ("find_response", FIND_RESPONSE),
    ("find_step", FIND_STEP),
    ("find_timer", FIND_TIMER),
    ("fire_timer", FIRE_TIMER),
    ("forget_call", FORGET_CALL),
    ("forget_timer", FORGET_TIMER),
    ("free_response", FREE_RESPONSE),
    ("give_back_timer", GIVE_BACK_TIMER),
    ("import_checkpoints", IMPORT_CHECKPOINTS),
    ("import_message_places", IMPORT_MESSAGE_PLACES),
    ("import_messages", IMPORT_MESSAGES),
    ("import_parked_events", IMPORT_PARKED_EVENTS),
    ("import_timers", IMPORT_TIMERS),
    ("let_go_of_call", LET_GO_OF_CALL),
    ("let_go_of_response", LET_GO_OF_RESPONSE),
    ("list_calls", LIST_CALLS),
    ("list_checkpoints", LIST_CHECKPOINTS),
    ("list_parked_timers", LIST_PARKED_TIMERS),
    ("list_queues", LIST_QUEUES),
    ("list_receipts", LIST_RECEIPTS),
    ("list_responses", LIST_RESPONSES),
    ("list_timers", LIST_TIMERS),
    ("load_stream", LOAD_STREAM),
    ("move_timer", MOVE_TIMER),
    ("next_timer", NEXT_TIMER),
    ("note_failure", NOTE_FAILURE),
    ("open_steps", OPEN_STEPS),
    ("park_event", PARK_EVENT),
    ("park_event_again", PARK_EVENT_AGAIN),
    ("park_timer", PARK_TIMER),
    ("pause_checkpoints", PAUSE_CHECKPOINTS),
    ("postpone_timer", POSTPONE_TIMER),
    ("read_attempt", READ_ATTEMPT),
    ("read_checkpoint", READ_CHECKPOINT),
    ("read_encoding", READ_ENCODING),
    ("read_head", READ_HEAD),
    ("read_log", READ_LOG),
    ("read_log_groups", READ_LOG_GROUPS),
    ("read_mark", READ_MARK),
    ("read_parked_aggregate", READ_PARKED_AGGREGATE),
    ("read_parked_events", READ_PARKED_EVENTS),
    ("read_receipt", READ_RECEIPT),
    ("read_requested_parked_events", READ_REQUESTED_PARKED_EVENTS),
    ("read_schema", READ_SCHEMA),
    ("read_storage", READ_STORAGE),
    ("read_stream", READ_STREAM),
    ("read_stream_backward", READ_STREAM_BACKWARD),
    ("read_stream_groups", READ_STREAM_GROUPS),
    ("read_timer_states", READ_TIMER_STATES),
    ("read_version", READ_VERSION),
    ("read_version_until", READ_VERSION_UNTIL),
    ("receive_message", RECEIVE_MESSAGE),
    ("release_lease", RELEASE_LEASE),
    ("release_response", RELEASE_RESPONSE),
    ("rename_parked_events", RENAME_PARKED_EVENTS),
    ("renew_call", RENEW_CALL),
    ("renew_lease", RENEW_LEASE),
    ("renew_response", RENEW_RESPONSE),
    ("renew_timers", RENEW_TIMERS),
    ("request_parked_events", REQUEST_PARKED_EVENTS),
    ("resolve_call", RESOLVE_CALL),
    ("resume_checkpoints", RESUME_CHECKPOINTS),
    ("resume_timer", RESUME_TIMER),
    ("revive_response", REVIVE_RESPONSE),
    ("save_snapshot", SAVE_SNAPSHOT),
    ("schedule_timers", SCHEDULE_TIMERS),
    ("set_build", SET_BUILD),
    ("set_place", SET_PLACE),
    ("split_checkpoint", SPLIT_CHECKPOINT),
    ("swap_build", SWAP_BUILD),
    ("sweep_receipts", SWEEP_RECEIPTS),
    ("sweep_responses", SWEEP_RESPONSES),
    ("sweep_steps", SWEEP_STEPS),
    ("sweep_timers", SWEEP_TIMERS),
    ("sweep_inbox", SWEEP_INBOX),
    ("take_call", TAKE_CALL),
    ("unpark_event", UNPARK_EVENT),
    ("wake_timers", WAKE_TIMERS),
    ("write_step", WRITE_STEP),
];

/// Every statement by its file's name; the multi-row forms as well.
pub(super) fn all() -> Vec<(&'static str, String)> {
    let mut all: Vec<_> = WHOLE.iter().map(|(name, sql)| (*name, (*sql).to_owned())).collect();
    for (name, many) in [
        ("find_written_events", ManyRows::to_cover(FIND_WRITTEN_EVENTS)),
        ("find_receipts", ManyRows::to_cover(FIND_RECEIPTS)),
        ("find_versions", ManyRows::to_cover(FIND_VERSIONS)),
        ("insert_event", ManyRows::to_cover_hundreds(INSERT_EVENT)),
        ("insert_receipt", ManyRows::to_fill(INSERT_RECEIPT)),
        ("read_standing", ManyRows::to_cover(READ_STANDING)),
    ] {
        all.extend(many.0.into_iter().map(|(_, sql)| (name, sql.as_str().to_owned())));
    }
    all
}

/// A statement with one row of VALUES, also with a few fixed numbers of rows, the greatest first.
///
/// One statement for 64 rows costs a fraction of 64 statements; few sizes, so that each stays prepared.
#[derive(Debug, Clone)]
pub(super) struct ManyRows(Vec<(usize, SqlStr)>);

impl ManyRows {
    /// For statements that want each of their rows filled: see [`chunks`](Self::chunks).
    pub(super) fn to_fill(sql: &'static str) -> Self {
        Self::in_sizes(sql, &[128, 64, 32, 16, 8, 4, 2, 1])
    }

    /// For statements that may be given more rows than there are: see [`covers`](Self::covers).
    pub(super) fn to_cover(sql: &'static str) -> Self {
        Self::in_sizes(sql, &[64, 32, 16, 8, 4, 2, 1])
    }

    /// The same, up to hundreds of rows at once.
    pub(super) fn to_cover_hundreds(sql: &'static str) -> Self {
        Self::in_sizes(sql, &[512, 256, 128, 64, 32, 16, 8, 4, 2, 1])
    }

    /// Repeats the last row of VALUES in `sql`.
    fn in_sizes(sql: &'static str, sizes: &[usize]) -> Self {
        let (head, values) = sql.rsplit_once("VALUES ").unwrap_or((sql, ""));
        let (row, tail) = values.split_at(values.find(')').map_or(0, |end| end + 1));
        let of_size = |rows: &usize| {
            let values = vec![row; *rows].join(", ");
            // Safe: made of the text of a file in this crate alone, before any input is seen.
            (*rows, AssertSqlSafe(format!("{head}VALUES {values}{tail}")).into_sql_str())
        };
        Self(sizes.iter().map(of_size).collect())
    }

    /// Splits rows into chunks, each with the statement of exactly its size.
    pub(super) fn chunks<'r, T>(&'r self, mut rows: &'r [T]) -> impl Iterator<Item = (SqlStr, &'r [T])> {
        std::iter::from_fn(move || {
            let (size, sql) = self.0.iter().find(|(size, _)| *size <= rows.len())?;
            let (chunk, rest) = rows.split_at(*size);
            rows = rest;
            Some((sql.clone(), chunk))
        })
    }

    /// Splits rows into as few chunks as there can be, each with the statement that has room for it.
    pub(super) fn covers<'r, T>(&'r self, mut rows: &'r [T]) -> impl Iterator<Item = (SqlStr, &'r [T])> {
        std::iter::from_fn(move || {
            let fits = self.0.iter().rev().find(|(size, _)| *size >= rows.len());
            let (size, sql) = fits.or(self.0.first()).filter(|_| !rows.is_empty())?;
            let (chunk, rest) = rows.split_at(rows.len().min(*size));
            rows = rest;
            Some((sql.clone(), chunk))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{INSERT_RECEIPT, ManyRows, READ_STANDING, all};

    #[test]
    fn rows_are_split_into_the_largest_statements_that_fit() {
        let many = ManyRows::to_fill(INSERT_RECEIPT);
        let rows = vec![(); 128 * 2 + 16 + 4 + 3];
        let sizes: Vec<_> = many.chunks(&rows).map(|(_, chunk)| chunk.len()).collect();
        assert_eq!(sizes, [128, 128, 16, 4, 2, 1]);
        for (sql, chunk) in many.chunks(&rows) {
            assert_eq!(sql.as_str().matches("(?, ?").count(), chunk.len());
        }
    }

    #[test]
    fn rows_are_covered_by_the_fewest_statements() {
        let many = ManyRows::to_cover(READ_STANDING);
        for (rows, rooms) in [(0, vec![]), (1, vec![1]), (3, vec![4]), (64, vec![64]), (64 * 2 + 5, vec![64, 64, 8])] {
            let rows = vec![(); rows];
            let found: Vec<_> = many.covers(&rows).map(|(sql, _)| sql.as_str().matches("(?, ?").count()).collect();
            assert_eq!(found, rooms);
            assert_eq!(many.covers(&rows).map(|(_, chunk)| chunk.len()).sum::<usize>(), rows.len());
        }
    }

    #[test]
    fn every_file_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sqlite/sql");
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
            .collect();
        files.sort();
        let mut listed: Vec<_> = all().into_iter().map(|(name, _)| name.to_owned()).collect();
        listed.sort();
        listed.dedup();
        assert_eq!(files, listed);
    }
}
