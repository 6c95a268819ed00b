#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, clippy::print_stderr, clippy::panic)
)]
#![doc = include_str!("../README.md")]

pub mod command;
pub mod domain;
#[cfg(any(feature = "http", feature = "client"))]
pub mod http;
#[cfg(feature = "nats")]
pub mod nats;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod process;
pub mod read;
#[cfg(feature = "redis")]
pub mod redis;
#[cfg(feature = "sqlite")]
pub mod sqlite;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod transfer;

#[cfg(feature = "postgres")]
#[doc(inline)]
pub use crate::postgres::{PostgresOptions, PostgresStore, PostgresWork};
#[cfg(feature = "redis")]
#[doc(inline)]
pub use crate::redis::{RedisOptions, RedisResponses};
#[cfg(feature = "sqlite")]
#[doc(inline)]
pub use crate::sqlite::{SqliteOptions, SqliteStore, SqliteWork, Synchronous};
#[doc(inline)]
pub use crate::{
    command::{Execute, ExecuteError, Executed, Loaded, Outcome, Repository, Retry, Step, append},
    domain::{Aggregate, EventError, Id, Upcasters},
    process::{Handled, Inbox, IncomingMessage, ProcessManager, ProcessRunner, Processes, Relay, Sweeper, Swept},
    read::{
        Attempts, BoxError, Consumers, Finding, FindingKind, KnownType, OnFailure, ParkedRun, Progress, Projection,
        Projector, Report, Reset, RunState, Start, Subscription, Table, Target, Verify,
    },
    store::{
        AggregateName, Append, Appended, CheckpointStore, Clock, Consumer, ConsumerKind, Cursor, Error, EventRef,
        EventStore, EventStoreExt, ExpectedVersion, Fault, Fingerprint, IdempotencyKey, Inspect, KeyStore, Limits,
        LogQuery, LogRead, ManualClock, Metadata, NewEvent, ParkedChoice, ParkedEvent, Polling, Position,
        ProjectionStore, Receipt, ReceiptOutcome, RecordedEvent, ResponseStore, Retention, Scope, ScopedKey, Search,
        Selection, StepStore, StreamQuery, StreamRead, SystemClock, TimerStore, TimerWork, Transactional, Work,
    },
};
