//! The integration tests, in one binary.
#![allow(missing_docs, unreachable_pub, reason = "tests are not an interface")]

mod architecture;
mod cache;
mod campaign;
mod cases;
mod checkpoints;
#[cfg(feature = "cli")]
mod cli;
mod conformance;
mod faults;
mod faulty;
#[cfg(all(feature = "client", feature = "http"))]
mod fulfilment_campaign;
#[cfg(all(feature = "client", feature = "http"))]
mod fulfilment_example;
#[cfg(feature = "http")]
mod http;
#[cfg(feature = "client")]
mod http_client;
mod inbox;
mod migrations;
mod model;
#[cfg(feature = "nats")]
#[path = "../nats_server/mod.rs"]
mod nats_server;
mod order_example;
#[cfg(feature = "http")]
mod payments_campaign;
#[cfg(feature = "http")]
mod payments_example;
mod pinned;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "postgres")]
#[path = "../postgres_server/mod.rs"]
mod postgres_server;
mod process;
mod projection_example;
mod projector;
mod queue;
#[cfg(feature = "redis")]
mod redis;
#[cfg(feature = "redis")]
#[path = "../redis_server/mod.rs"]
mod redis_server;
mod relay;
mod responses;
mod scenario;
mod search;
mod snapshots;
mod sqlite;
mod statements;
mod steps;
mod stored_names;
mod sweeper;
mod takeover;
#[cfg(all(feature = "tracing", feature = "metrics"))]
mod telemetry;
mod timers;
mod verify;
mod watch;
#[cfg(feature = "webhook")]
mod webhook;
mod work;
