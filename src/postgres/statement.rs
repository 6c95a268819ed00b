//! The statements, one per file.

pub(super) const ABANDONED_REQUESTS: &str = include_str!("sql/abandoned_requests.sql");
pub(super) const ADVANCE_CHECKPOINT: &str = include_str!("sql/advance_checkpoint.sql");
pub(super) const APPEND_BATCH: &str = include_str!("sql/append_batch.sql");
pub(super) const APPEND_EVENT: &str = include_str!("sql/append_event.sql");
pub(super) const APPEND_EVENTS: &str = include_str!("sql/append_events.sql");
pub(super) const APPEND_HISTORIES: &str = include_str!("sql/append_histories.sql");
pub(super) const APPEND_KEYED_EVENT: &str = include_str!("sql/append_keyed_event.sql");
pub(super) const APPEND_KEYED_EVENTS: &str = include_str!("sql/append_keyed_events.sql");
pub(super) const APPEND_ONE: &str = include_str!("sql/append_one.sql");
pub(super) const APPEND_UNKEYED_EVENTS: &str = include_str!("sql/append_unkeyed_events.sql");
pub(super) const AUDIT_CHECKPOINTS: &str = include_str!("sql/audit_checkpoints.sql");
pub(super) const AUDIT_EVENTS: &str = include_str!("sql/audit_events.sql");
pub(super) const AUDIT_PARKED_EVENTS: &str = include_str!("sql/audit_parked_events.sql");
pub(super) const AUDIT_PLACES: &str = include_str!("sql/audit_places.sql");
pub(super) const AUDIT_RECEIPTS: &str = include_str!("sql/audit_receipts.sql");
pub(super) const AUDIT_SEQUENCE: &str = include_str!("sql/audit_sequence.sql");
pub(super) const AUDIT_SNAPSHOTS: &str = include_str!("sql/audit_snapshots.sql");
pub(super) const BEGIN_CALL: &str = include_str!("sql/begin_call.sql");
pub(super) const BEGIN_PARKED_EVENT: &str = include_str!("sql/begin_parked_event.sql");
pub(super) const BURY_RESPONSE: &str = include_str!("sql/bury_response.sql");
pub(super) const CANCEL_TIMER: &str = include_str!("sql/cancel_timer.sql");
pub(super) const CHECK_POSITIONS: &str = include_str!("sql/check_positions.sql");
pub(super) const CHECK_TRANSACTION: &str = include_str!("sql/check_transaction.sql");
pub(super) const BEGIN_ATTEMPT: &str = include_str!("sql/begin_attempt.sql");
pub(super) const BEGIN_CHECKPOINT: &str = include_str!("sql/begin_checkpoint.sql");
pub(super) const CLAIM_CHECKPOINT: &str = include_str!("sql/claim_checkpoint.sql");
pub(super) const CLAIM_RESPONSE: &str = include_str!("sql/claim_response.sql");
pub(super) const CLAIM_TIMERS: &str = include_str!("sql/claim_timers.sql");
pub(super) const COMPLETE_RESPONSE: &str = include_str!("sql/complete_response.sql");
pub(super) const COUNT_AFTER: &str = include_str!("sql/count_after.sql");
pub(super) const COUNT_PARKED_EVENTS: &str = include_str!("sql/count_parked_events.sql");
pub(super) const COUNT_ROWS: &str = include_str!("sql/count_rows.sql");
pub(super) const COUNT_TIMERS: &str = include_str!("sql/count_timers.sql");
pub(super) const COUNT_TYPES: &str = include_str!("sql/count_types.sql");
pub(super) const DELETE_CHECKPOINTS: &str = include_str!("sql/delete_checkpoints.sql");
pub(super) const DELETE_PARKED_EVENTS: &str = include_str!("sql/delete_parked_events.sql");
pub(super) const DELETE_RECEIPT: &str = include_str!("sql/delete_receipt.sql");
pub(super) const DROP_PARKED_EVENTS: &str = include_str!("sql/drop_parked_events.sql");
pub(super) const EXPIRE_RESPONSE: &str = include_str!("sql/expire_response.sql");
pub(super) const EXPORT_CHECKPOINTS: &str = include_str!("sql/export_checkpoints.sql");
pub(super) const EXPORT_MESSAGE_PLACES: &str = include_str!("sql/export_message_places.sql");
pub(super) const EXPORT_MESSAGES: &str = include_str!("sql/export_messages.sql");
pub(super) const EXPORT_PARKED_EVENTS: &str = include_str!("sql/export_parked_events.sql");
pub(super) const EXPORT_TIMERS: &str = include_str!("sql/export_timers.sql");
pub(super) const EXPORT_RECEIPTS: &str = include_str!("sql/export_receipts.sql");
pub(super) const FAIL_TIMER: &str = include_str!("sql/fail_timer.sql");
pub(super) const FIND_ACTIVITY: &str = include_str!("sql/find_activity.sql");
pub(super) const FIND_CALL: &str = include_str!("sql/find_call.sql");
pub(super) const FIND_CORRELATED_EVENTS: &str = include_str!("sql/find_correlated_events.sql");
pub(super) const FIND_CORRELATED_EVENTS_BACKWARD: &str = include_str!("sql/find_correlated_events_backward.sql");
pub(super) const FIND_EVENTS: &str = include_str!("sql/find_events.sql");
pub(super) const FIND_EVENTS_BACKWARD: &str = include_str!("sql/find_events_backward.sql");
pub(super) const FIND_WRITTEN_EVENTS: &str = include_str!("sql/find_written_events.sql");
pub(super) const FIND_LEASE: &str = include_str!("sql/find_lease.sql");
pub(super) const FIND_MESSAGE: &str = include_str!("sql/find_message.sql");
pub(super) const FIND_MIGRATIONS_TABLE: &str = include_str!("sql/find_migrations_table.sql");
pub(super) const FIND_RECEIPTS: &str = include_str!("sql/find_receipts.sql");
pub(super) const FIND_RESPONSE: &str = include_str!("sql/find_response.sql");
pub(super) const FIND_TIMER: &str = include_str!("sql/find_timer.sql");
pub(super) const FIND_VERSIONS: &str = include_str!("sql/find_versions.sql");
pub(super) const FIRE_TIMER: &str = include_str!("sql/fire_timer.sql");
pub(super) const FORGET_CALL: &str = include_str!("sql/forget_call.sql");
pub(super) const FORGET_TIMER: &str = include_str!("sql/forget_timer.sql");
pub(super) const FREE_RESPONSE: &str = include_str!("sql/free_response.sql");
pub(super) const GIVE_BACK_TIMER: &str = include_str!("sql/give_back_timer.sql");
pub(super) const HOLD_LEASE: &str = include_str!("sql/hold_lease.sql");
pub(super) const IMPORT_CHECKPOINTS: &str = include_str!("sql/import_checkpoints.sql");
pub(super) const IMPORT_MESSAGE_PLACES: &str = include_str!("sql/import_message_places.sql");
pub(super) const IMPORT_MESSAGES: &str = include_str!("sql/import_messages.sql");
pub(super) const IMPORT_PARKED_EVENTS: &str = include_str!("sql/import_parked_events.sql");
pub(super) const IMPORT_TIMERS: &str = include_str!("sql/import_timers.sql");
pub(super) const IMPORT_EVENTS: &str = include_str!("sql/import_events.sql");
pub(super) const IMPORT_RECEIPTS: &str = include_str!("sql/import_receipts.sql");
pub(super) const LET_GO_OF_CALL: &str = include_str!("sql/let_go_of_call.sql");
pub(super) const LET_GO_OF_RESPONSE: &str = include_str!("sql/let_go_of_response.sql");
pub(super) const LIST_CALLS: &str = include_str!("sql/list_calls.sql");
pub(super) const LIST_CHECKPOINTS: &str = include_str!("sql/list_checkpoints.sql");
pub(super) const LIST_PARKED_TIMERS: &str = include_str!("sql/list_parked_timers.sql");
pub(super) const LIST_QUEUES: &str = include_str!("sql/list_queues.sql");
pub(super) const LIST_RECEIPTS: &str = include_str!("sql/list_receipts.sql");
pub(super) const LIST_RESPONSES: &str = include_str!("sql/list_responses.sql");
pub(super) const LIST_TIMERS: &str = include_str!("sql/list_timers.sql");
pub(super) const LOAD_PAGES: &str = include_str!("sql/load_pages.sql");
pub(super) const LOAD_STREAM: &str = include_str!("sql/load_stream.sql");
pub(super) const LOCK_CHECKPOINT: &str = include_str!("sql/lock_checkpoint.sql");
pub(super) const LOCK_CHECKPOINTS: &str = include_str!("sql/lock_checkpoints.sql");
pub(super) const LOCK_SCHEMA: &str = include_str!("sql/lock_schema.sql");
pub(super) const MOVE_TIMER: &str = include_str!("sql/move_timer.sql");
pub(super) const NOTE_FAILURE: &str = include_str!("sql/note_failure.sql");
pub(super) const NOTIFY_EVENTS: &str = include_str!("sql/notify_events.sql");
pub(super) const OPEN_STEPS: &str = include_str!("sql/open_steps.sql");
pub(super) const PARK_EVENT_AGAIN: &str = include_str!("sql/park_event_again.sql");
pub(super) const PARK_TIMER: &str = include_str!("sql/park_timer.sql");
pub(super) const PAUSE_CHECKPOINTS: &str = include_str!("sql/pause_checkpoints.sql");
pub(super) const POSTPONE_TIMER: &str = include_str!("sql/postpone_timer.sql");
pub(super) const READ_ATTEMPT: &str = include_str!("sql/read_attempt.sql");
pub(super) const READ_CHANNEL: &str = include_str!("sql/read_channel.sql");
pub(super) const READ_CHECKPOINT: &str = include_str!("sql/read_checkpoint.sql");
pub(super) const READ_HEAD: &str = include_str!("sql/read_head.sql");
pub(super) const READ_HOLDER: &str = include_str!("sql/read_holder.sql");
pub(super) const READ_HORIZON: &str = include_str!("sql/read_horizon.sql");
pub(super) const READ_LAST_POSITION: &str = include_str!("sql/read_last_position.sql");
pub(super) const READ_LOG: &str = include_str!("sql/read_log.sql");
pub(super) const READ_LOG_GROUPS: &str = include_str!("sql/read_log_groups.sql");
pub(super) const READ_LOG_SELECTED: &str = include_str!("sql/read_log_selected.sql");
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
pub(super) const WITHDRAW_MESSAGE: &str = include_str!("sql/withdraw_message.sql");
pub(super) const WRITE_STEP: &str = include_str!("sql/write_step.sql");

/// Every statement by its file's name.
pub(super) const ALL: [(&str, &str); 146] = [
    ("abandoned_requests", ABANDONED_REQUESTS),
    ("advance_checkpoint", ADVANCE_CHECKPOINT),
    ("append_batch", APPEND_BATCH),
    ("append_event", APPEND_EVENT),
    ("append_events", APPEND_EVENTS),
    ("append_histories", APPEND_HISTORIES),
    ("append_keyed_event", APPEND_KEYED_EVENT),
    ("append_keyed_events", APPEND_KEYED_EVENTS),
    ("append_one", APPEND_ONE),
    ("append_unkeyed_events", APPEND_UNKEYED_EVENTS),
    ("audit_checkpoints", AUDIT_CHECKPOINTS),
    ("audit_events", AUDIT_EVENTS),
    ("audit_parked_events", AUDIT_PARKED_EVENTS),
    ("audit_places", AUDIT_PLACES),
    ("audit_receipts", AUDIT_RECEIPTS),
    ("audit_sequence", AUDIT_SEQUENCE),
    ("audit_snapshots", AUDIT_SNAPSHOTS),
    ("begin_call", BEGIN_CALL),
    ("begin_parked_event", BEGIN_PARKED_EVENT),
    ("bury_response", BURY_RESPONSE),
    ("cancel_timer", CANCEL_TIMER),
    ("check_positions", CHECK_POSITIONS),
    ("check_transaction", CHECK_TRANSACTION),
    ("begin_attempt", BEGIN_ATTEMPT),
    ("begin_checkpoint", BEGIN_CHECKPOINT),
    ("claim_checkpoint", CLAIM_CHECKPOINT),
    ("claim_response", CLAIM_RESPONSE),
    ("claim_timers", CLAIM_TIMERS),
    ("complete_response", COMPLETE_RESPONSE),
    ("count_after", COUNT_AFTER),
    ("count_parked_events", COUNT_PARKED_EVENTS),
    ("count_rows", COUNT_ROWS),
    ("count_timers", COUNT_TIMERS),
    ("count_types", COUNT_TYPES),
    ("delete_checkpoints", DELETE_CHECKPOINTS),
    ("delete_parked_events", DELETE_PARKED_EVENTS),
    ("delete_receipt", DELETE_RECEIPT),
    ("drop_parked_events", DROP_PARKED_EVENTS),
    ("expire_response", EXPIRE_RESPONSE),
    ("export_checkpoints", EXPORT_CHECKPOINTS),
    ("export_message_places", EXPORT_MESSAGE_PLACES),
    ("export_messages", EXPORT_MESSAGES),
    ("export_parked_events", EXPORT_PARKED_EVENTS),
    ("export_timers", EXPORT_TIMERS),
    ("export_receipts", EXPORT_RECEIPTS),
    ("fail_timer", FAIL_TIMER),
    ("find_activity", FIND_ACTIVITY),
    ("find_call", FIND_CALL),
    ("find_correlated_events", FIND_CORRELATED_EVENTS),
    ("find_correlated_events_backward", FIND_CORRELATED_EVENTS_BACKWARD),
    ("find_events", FIND_EVENTS),
    ("find_events_backward", FIND_EVENTS_BACKWARD),
    ("find_written_events", FIND_WRITTEN_EVENTS),
    ("find_lease", FIND_LEASE),
    ("find_message", FIND_MESSAGE),
    ("find_migrations_table", FIND_MIGRATIONS_TABLE),
    ("find_receipts", FIND_RECEIPTS),
    ("find_response", FIND_RESPONSE),
    ("find_timer", FIND_TIMER),
    ("find_versions", FIND_VERSIONS),
    ("fire_timer", FIRE_TIMER),
    ("forget_call", FORGET_CALL),
    ("forget_timer", FORGET_TIMER),
    ("free_response", FREE_RESPONSE),
    ("give_back_timer", GIVE_BACK_TIMER),
    ("hold_lease", HOLD_LEASE),
    ("import_events", IMPORT_EVENTS),
    ("import_receipts", IMPORT_RECEIPTS),
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
    ("load_pages", LOAD_PAGES),
    ("load_stream", LOAD_STREAM),
    ("lock_checkpoint", LOCK_CHECKPOINT),
    ("lock_checkpoints", LOCK_CHECKPOINTS),
    ("lock_schema", LOCK_SCHEMA),
    ("move_timer", MOVE_TIMER),
    ("note_failure", NOTE_FAILURE),
    ("notify_events", NOTIFY_EVENTS),
    ("open_steps", OPEN_STEPS),
    ("park_event_again", PARK_EVENT_AGAIN),
    ("park_timer", PARK_TIMER),
    ("pause_checkpoints", PAUSE_CHECKPOINTS),
    ("postpone_timer", POSTPONE_TIMER),
    ("read_attempt", READ_ATTEMPT),
    ("read_channel", READ_CHANNEL),
    ("read_checkpoint", READ_CHECKPOINT),
    ("read_head", READ_HEAD),
    ("read_holder", READ_HOLDER),
    ("read_horizon", READ_HORIZON),
    ("read_last_position", READ_LAST_POSITION),
    ("read_log", READ_LOG),
    ("read_log_groups", READ_LOG_GROUPS),
    ("read_log_selected", READ_LOG_SELECTED),
    ("read_mark", READ_MARK),
    ("read_parked_aggregate", READ_PARKED_AGGREGATE),
    ("read_parked_events", READ_PARKED_EVENTS),
    ("read_receipt", READ_RECEIPT),
    ("read_requested_parked_events", READ_REQUESTED_PARKED_EVENTS),
    ("read_schema", READ_SCHEMA),
    ("read_standing", READ_STANDING),
    ("read_storage", READ_STORAGE),
    ("read_stream", READ_STREAM),
    ("read_stream_backward", READ_STREAM_BACKWARD),
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
    ("withdraw_message", WITHDRAW_MESSAGE),
    ("write_step", WRITE_STEP),
];
