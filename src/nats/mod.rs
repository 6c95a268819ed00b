//! NATS JetStream: where a relay takes recorded events.
//!
//! [`NatsPublisher`] publishes; [`NatsStream`] says what the stream should be like. Whoever consumes reads messages with
//! [`CloudEvent::parse`](crate::process::CloudEvent::parse), takes them into an inbox in the transaction of their effects, and
//! acknowledges them after the commit:
//!
//! ```no_run
//! # use annals::{Transactional as _, Work as _, store::InboxWork as _};
//! # async fn example(store: annals::SqliteStore) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
//! use annals::{nats::async_nats, process::CloudEvent, store::Received};
//! use async_nats::jetstream::{self, consumer::pull};
//! use futures_util::StreamExt as _;
//!
//! let stream = jetstream::new(async_nats::connect("127.0.0.1").await?).get_stream("orders").await?;
//! // One message at a time: what is behind one that is not acknowledged does not overtake it.
//! let settings = pull::Config { durable_name: Some("mail".into()), max_ack_pending: 1, ..Default::default() };
//! let mut messages = stream.get_or_create_consumer("mail", settings).await?.messages().await?;
//! while let Some(message) = messages.next().await {
//!     let message = message?;
//!     let event = CloudEvent::parse(&message.payload)?;
//!     let mut work = store.begin().await?;
//!     match work.receive(&event.inbox_message("mail")).await? {
//!         Received::New => {
//!             // Effects, on work.connection(); then
//!             work.commit().await?;
//!             message.double_ack().await?;
//!         }
//!         Received::Duplicate { .. } => message.double_ack().await?,
//!         // The first is another message under an id that was seen; the second comes before its turn.
//!         other => println!("{} is set aside: {other:?}", event.id()),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod answer;
mod publisher;
mod stream;

pub use async_nats;
pub use publisher::NatsPublisher;
pub use stream::NatsStream;
