//! The port: plain values, and one object-safe trait per role.
//!
//! [`EventStore`] is what callers see; [`Backend`] is what a database implements; [`Front`] stands between the two.

mod append;
mod audit;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod call_headers;
mod canonical_json;
mod checkpoint;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod checkpoint_limits;
mod checkpoints;
mod checksum;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "client"))]
mod client_key_limits;
mod client_keys;
mod clock;
mod cursor;
mod error;
mod event;
mod fingerprint;
mod front;
mod inbox;
mod inbox_limits;
mod inspect;
mod json_pointer;
mod key;
mod limits;
mod metadata;
mod moved_row;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod moves;
mod page;
mod port;
mod query;
mod queue;
mod receipt;
mod response;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod response_limits;
mod responses;
mod retention;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod schema;
mod scope;
mod search;
mod snapshot;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod split;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod standing;
mod step_record;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod stored_response;
#[cfg_attr(
    not(any(feature = "sqlite", feature = "postgres")),
    allow(dead_code, reason = "some of it is told by backends alone")
)]
pub(crate) mod telemetry;
mod timer;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod timer_limits;
mod timers;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
mod transaction;
mod transfer;
mod version;
mod watch;
mod work;

pub use append::{Append, Appended, KeyRequest};
pub use audit::{
    Audit, Auditable, CheckpointKey, CheckpointRow, EventKey, EventName, EventRow, ParkedKey, ParkedRow, Place,
    PositionSource, ReceiptKey, ReceiptRow, SnapshotRow,
};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use call_headers::{headers_from_json, headers_to_json};
pub use canonical_json::{CanonicalJsonError, canonical_json, canonical_json_without};
pub(crate) use checkpoint::check_moves;
pub use checkpoint::{
    Checkpoint, Claim, Claimed, Consumer, ConsumerKind, Failure, Lease, LeaseHolder, NewParkedEvent, ParkedChoice,
    ParkedEvent, ParkedQuery, Renewal, Step,
};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use checkpoint_limits::{
    ANSWER_CHECKPOINTS, COUNTED_EVENTS, check_cursor, check_name, check_number, check_partitions, check_requested,
    check_table_name, storable_text,
};
pub use checkpoints::{CheckpointStore, CheckpointWork, ProjectionStore};
pub use checksum::{Trail, event_checksum, event_index};
#[cfg(feature = "client")]
pub(crate) use client_key_limits::CALL_BODY_BYTES;
pub use client_keys::{BegunCall, CallLease, CallName, CallQuery, KeyStore, NewCall, PendingCall, TakenCall};
pub use clock::{Clock, ManualClock, SystemClock};
pub use cursor::{Cursor, EventMark};
pub use error::{AggregateName, Error, Fault};
pub(crate) use error::{beneath, with_sources};
pub use event::{EventRef, NewEvent, RecordedEvent};
pub use fingerprint::Fingerprint;
pub use front::Front;
pub use inbox::{InboxMessage, InboxStore, InboxWork, MessagePlace, Received};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use inbox_limits::check_message;
pub(crate) use inbox_limits::check_message_id;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use inspect::{COUNTED_ROWS, check_most};
pub use inspect::{Inspect, Readable, RowCount, Storage, TableSize, TypeCount};
pub use json_pointer::JsonPointer;
pub use key::IdempotencyKey;
pub use limits::Limits;
#[cfg(any(feature = "sqlite", feature = "postgres", feature = "client"))]
pub(crate) use limits::check_lease;
pub(crate) use limits::is_valid_event_type;
pub use metadata::Metadata;
pub use moved_row::{
    MovedCheckpoint, MovedMessage, MovedMessagePlace, MovedParkedEvent, MovedRow, MovedTimer, RowKind,
};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use moves::Moves;
pub use page::{Page, PageQuery};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use port::forward_event_store;
pub use port::{Backend, Concurrency, EventStore, EventStoreExt, Visit};
pub use query::{Direction, LogQuery, LogRead, Selection, StreamQuery, StreamRead};
pub use receipt::{NewReceipt, Receipt, ReceiptOutcome};
pub use response::{
    AbandonedRequest, ClaimedResponse, FinishedResponse, LetGo, Operation, ResponseAction, ResponseClaim,
    ResponseLease, ResponseQuery, ResponseRow, ResponseState, RunningResponse, StoredBody, StoredRequest,
    StoredResponse,
};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use response_limits::{check_abandoned, check_kept, check_operator};
pub use responses::{ResponseStore, ResponseWork};
pub use retention::{Expiring, Retention};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub use schema::{PendingMigration, SchemaState};
pub use scope::{Scope, ScopedKey};
pub use search::{EventSearch, EventsFound, KeyedReceipt, ReceiptQuery, Search};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use search::{SearchPage, SearchPages};
pub use snapshot::{LoadQuery, LoadVisitor, SnapshotRef};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use split::Split;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use standing::{Head, Request};
pub use step_record::{StepRecord, StepRun, StepState, StepStore};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use stored_response::{
    FoundResponse, body_columns, fingerprint, headers_json, number, recipe, request_json, request_of, state,
};
pub use timer::{Due, DueClaim, HeldTimer, NewTimer, Settled, Timer, TimerCounts, TimerQuery, TimerState};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use timer_limits::{
    COUNTED_TIMERS, check_due, check_new_timers, check_queue, check_renewed, check_woken, due_in_micros,
};
pub use timers::{TimerStore, TimerWork};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use transaction::HeldTransaction;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use transfer::{Arrivals, ReceiptAction, ReceiptPlace};
pub use transfer::{Misfit, MisfitKind, MovedReceipt, TransferError, TransferStore, Written};
pub use version::{ExpectedVersion, Position};
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) use version::{from_column, to_column};
pub use watch::Polling;
pub use work::{Transactional, Work};
