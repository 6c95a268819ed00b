//! The statements, one per file.

pub(super) const APPEND_BATCH: &str = include_str!("sql/append_batch.sql");
pub(super) const APPEND_EVENT: &str = include_str!("sql/append_event.sql");
pub(super) const APPEND_KEYED_EVENT: &str = include_str!("sql/append_keyed_event.sql");
pub(super) const APPEND_ONE: &str = include_str!("sql/append_one.sql");
pub(super) const AUDIT_CHECKPOINTS: &str = include_str!("sql/audit_checkpoints.sql");
pub(super) const AUDIT_EVENTS: &str = include_str!("sql/audit_events.sql");
pub(super) const AUDIT_PLACES: &str = include_str!("sql/audit_places.sql");
pub(super) const AUDIT_RECEIPTS: &str = include_str!("sql/audit_receipts.sql");
pub(super) const AUDIT_SNAPSHOTS: &str = include_str!("sql/audit_snapshots.sql");
pub(super) const CHECK_POSITIONS: &str = include_str!("sql/check_positions.sql");
pub(super) const CHECK_TRANSACTION: &str = include_str!("sql/check_transaction.sql");
pub(super) const DELETE_RECEIPT: &str = include_str!("sql/delete_receipt.sql");
pub(super) const FIND_MIGRATIONS_TABLE: &str = include_str!("sql/find_migrations_table.sql");
pub(super) const LOAD_PAGES: &str = include_str!("sql/load_pages.sql");
pub(super) const LOAD_STREAM: &str = include_str!("sql/load_stream.sql");
pub(super) const LOCK_SCHEMA: &str = include_str!("sql/lock_schema.sql");
pub(super) const NOTIFY_EVENTS: &str = include_str!("sql/notify_events.sql");
pub(super) const READ_ATTEMPT: &str = include_str!("sql/read_attempt.sql");
pub(super) const READ_CHANNEL: &str = include_str!("sql/read_channel.sql");
pub(super) const READ_HEAD: &str = include_str!("sql/read_head.sql");
pub(super) const READ_HOLDER: &str = include_str!("sql/read_holder.sql");
pub(super) const READ_HORIZON: &str = include_str!("sql/read_horizon.sql");
pub(super) const READ_LAST_POSITION: &str = include_str!("sql/read_last_position.sql");
pub(super) const READ_LOG: &str = include_str!("sql/read_log.sql");
pub(super) const READ_MARK: &str = include_str!("sql/read_mark.sql");
pub(super) const READ_RECEIPT: &str = include_str!("sql/read_receipt.sql");
pub(super) const READ_SCHEMA: &str = include_str!("sql/read_schema.sql");
pub(super) const READ_STANDING: &str = include_str!("sql/read_standing.sql");
pub(super) const READ_STREAM: &str = include_str!("sql/read_stream.sql");
pub(super) const READ_STREAM_BACKWARD: &str = include_str!("sql/read_stream_backward.sql");
pub(super) const READ_VERSION: &str = include_str!("sql/read_version.sql");
pub(super) const READ_VERSION_UNTIL: &str = include_str!("sql/read_version_until.sql");
pub(super) const SAVE_SNAPSHOT: &str = include_str!("sql/save_snapshot.sql");

/// Every statement by its file's name.
pub(super) const ALL: [(&str, &str); 33] = [
    ("append_batch", APPEND_BATCH),
    ("append_event", APPEND_EVENT),
    ("append_keyed_event", APPEND_KEYED_EVENT),
    ("append_one", APPEND_ONE),
    ("audit_checkpoints", AUDIT_CHECKPOINTS),
    ("audit_events", AUDIT_EVENTS),
    ("audit_places", AUDIT_PLACES),
    ("audit_receipts", AUDIT_RECEIPTS),
    ("audit_snapshots", AUDIT_SNAPSHOTS),
    ("check_positions", CHECK_POSITIONS),
    ("check_transaction", CHECK_TRANSACTION),
    ("delete_receipt", DELETE_RECEIPT),
    ("find_migrations_table", FIND_MIGRATIONS_TABLE),
    ("load_pages", LOAD_PAGES),
    ("load_stream", LOAD_STREAM),
    ("lock_schema", LOCK_SCHEMA),
    ("notify_events", NOTIFY_EVENTS),
    ("read_attempt", READ_ATTEMPT),
    ("read_channel", READ_CHANNEL),
    ("read_head", READ_HEAD),
    ("read_holder", READ_HOLDER),
    ("read_horizon", READ_HORIZON),
    ("read_last_position", READ_LAST_POSITION),
    ("read_log", READ_LOG),
    ("read_mark", READ_MARK),
    ("read_receipt", READ_RECEIPT),
    ("read_schema", READ_SCHEMA),
    ("read_standing", READ_STANDING),
    ("read_stream", READ_STREAM),
    ("read_stream_backward", READ_STREAM_BACKWARD),
    ("read_version", READ_VERSION),
    ("read_version_until", READ_VERSION_UNTIL),
    ("save_snapshot", SAVE_SNAPSHOT),
];
