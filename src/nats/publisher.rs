//! What takes messages to JetStream.

use std::{fmt, pin::pin, time::Duration};

use async_nats::{
    Client, ConnectOptions, HeaderMap,
    connection::State,
    header::NATS_MESSAGE_ID,
    jetstream::{
        context::{Context, ContextBuilder, CreateStreamErrorKind, GetStreamErrorKind},
        stream::Config,
    },
};
use async_trait::async_trait;
use futures_util::{
    FutureExt as _,
    future::{Either, join_all, select},
};
use tokio::time::{interval, timeout};

use super::{NatsStream, answer};
use crate::{
    process::{Message, PublishError, Publisher},
    store::Error,
};

/// Publishes messages to a stream of NATS JetStream.
///
/// Each to the subject `<prefix>.<aggregate_type>.<aggregate_id>`, with its id in the header `Nats-Msg-Id`, by which the broker
/// drops what it has. It is published once the broker has acknowledged it: JetStream has written it down.
///
/// While there is no connection nothing is sent and nothing piles up.
///
/// ```no_run
/// # async fn example(store: annals::SqliteStore) -> Result<(), annals::Error> {
/// use annals::{nats::{NatsPublisher, NatsStream}, process::Relay};
///
/// let broker = NatsPublisher::connect("nats://127.0.0.1", "orders").await?;
/// broker.ensure_stream(&NatsStream::new("orders")?).await?; // or an operator makes it, with the subjects orders.>
/// let shutdown = async { /* any future: a signal, a channel, a token */ };
/// Relay::new(&store, "orders-to-nats", broker)?.source("/orders")?.run(shutdown).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct NatsPublisher {
    client: Client,
    jetstream: Context,
    prefix: String,
}

/// How long an acknowledgement is waited for, by default.
const ACK_WITHIN: Duration = Duration::from_secs(5);

/// How often it is looked whether the connection is still the one that messages were sent by.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How many requests the client holds for its connection, at the most.
const CLIENT_CAPACITY: usize = 1_024;

/// How long a first connection is waited for. It is made later where the broker is away.
const FIRST_CONNECTION: Duration = Duration::from_secs(1);

/// The longest prefix, in bytes.
const PREFIX_BYTES: usize = 200;

impl NatsPublisher {
    /// Connects to a broker, or to one of several: URLs with commas between them.
    ///
    /// `nats://` or, encrypted, `tls://`; with user and password where they are asked for. Succeeds where the broker is away: it is
    /// connected to once it is back. For other credentials and certificates, see [`with_client`](Self::with_client).
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: the URL or the prefix. [`Error::Unavailable`]: it cannot be connected to, as it is set up.
    pub async fn connect(url: &str, prefix: &str) -> Result<Self, Error> {
        check_prefix(prefix)?;
        let servers: Result<Vec<async_nats::ServerAddr>, _> = url.split(',').map(|url| url.trim().parse()).collect();
        // What is wrong with it could have a password in it.
        let servers = servers.map_err(|_| Error::invalid("a URL of a broker cannot be read"))?;
        let client = ConnectOptions::new()
            .name("annals")
            .client_capacity(CLIENT_CAPACITY)
            .retry_on_initial_connect()
            .connect(servers)
            .await
            .map_err(Error::unavailable)?;
        let connected = async {
            let mut looks = interval(LOOK_EVERY);
            while client.connection_state() != State::Connected {
                looks.tick().await;
            }
        };
        // One that takes longer is waited for by whoever publishes.
        let _ = timeout(FIRST_CONNECTION, connected).await;
        Self::with_client(client, prefix)
    }

    /// Publishes through a client that is there, below a prefix.
    ///
    /// The prefix has 1 to 200 bytes: tokens of letters, digits, `-` and `_` with dots between them.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: choose another prefix.
    pub fn with_client(client: Client, prefix: &str) -> Result<Self, Error> {
        check_prefix(prefix)?;
        let jetstream = jetstream(&client, ACK_WITHIN);
        Ok(Self { client, jetstream, prefix: prefix.to_owned() })
    }

    /// Sets how long an acknowledgement is waited for. Default: 5 seconds.
    ///
    /// 10 milliseconds to a minute. Then the message is sent again: the broker knows its id.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: another time.
    pub fn ack_within(mut self, time: Duration) -> Result<Self, Error> {
        if time < Duration::from_millis(10) || time > Duration::from_secs(60) {
            return Err(Error::invalid("an acknowledgement is waited for from 10 ms to a minute"));
        }
        self.jetstream = jetstream(&self.client, time);
        Ok(self)
    }

    /// Makes the stream, where there is none of its name.
    ///
    /// One that is there stays as it is; it has to take the subjects below the prefix.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: the settings, or the stream that is there takes other subjects. [`Error::Unavailable`]: the broker is
    /// away, or has no JetStream; try again later.
    pub async fn ensure_stream(&self, stream: &NatsStream) -> Result<(), Error> {
        let config = stream.config(format!("{}.>", self.prefix))?;
        let found = match self.jetstream.get_stream(stream.name()).await {
            Ok(found) => found.cached_info().config.clone(),
            Err(error) if matches!(error.kind(), GetStreamErrorKind::JetStream(said) if said.code() == 404) => {
                self.make(config.clone()).await?
            }
            Err(error) => return Err(Error::unavailable(error)),
        };
        let wanted = &config.subjects[0];
        if !found.subjects.iter().any(|subject| subject == wanted || subject == ">") {
            return Err(Error::invalid(format!("the stream {} does not take {wanted}", stream.name())));
        }
        Ok(())
    }

    async fn make(&self, config: Config) -> Result<Config, Error> {
        match self.jetstream.create_stream(config).await {
            Ok(made) => Ok(made.cached_info().config.clone()),
            Err(error) => Err(match error.kind() {
                // Its subjects are another's, or there are not so many servers.
                CreateStreamErrorKind::JetStream(said) if said.code() < 500 => {
                    Error::invalid(format!("the stream cannot be made: {said}"))
                }
                _ => Error::unavailable(error),
            }),
        }
    }

    /// How often a connection was made. `None`: there is none.
    fn connection(&self) -> Option<u64> {
        let connects = self.client.statistics().connects.load(std::sync::atomic::Ordering::Relaxed);
        (self.client.connection_state() == State::Connected).then_some(connects)
    }

    async fn publish_one(&self, message: &Message) -> Result<(), PublishError> {
        if !is_token(message.aggregate_type()) {
            return Err(PublishError::refused("the aggregate's type cannot be a part of a subject"));
        }
        let subject = format!("{}.{}.{}", self.prefix, message.aggregate_type(), message.aggregate_id());
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, message.id());
        headers.insert("Content-Type", "application/cloudevents+json");
        let body = message.cloud_event().to_owned().into();
        let sent = self.jetstream.publish_with_headers(subject, headers, body).await.map_err(answer::published)?;
        // One that the broker has already is acknowledged as well.
        sent.await.map(drop).map_err(answer::published)
    }

    /// An acknowledgement does not come by another connection: who waits for it would wait in vain.
    async fn until_connection_is_not(&self, used: u64) {
        let mut looks = interval(LOOK_EVERY);
        while self.connection() == Some(used) {
            looks.tick().await;
        }
    }
}

fn jetstream(client: &Client, ack_within: Duration) -> Context {
    ContextBuilder::new().timeout(ack_within).ack_timeout(ack_within).build(client.clone())
}

#[async_trait]
impl Publisher for NatsPublisher {
    async fn publish(&self, messages: &[Message]) -> Vec<Result<(), PublishError>> {
        let Some(connection) = self.connection() else {
            // What is given to the client now would be sent at some time, maybe long after it was given up.
            return messages.iter().map(|_| Err(PublishError::unavailable("there is no connection to NATS"))).collect();
        };
        let lost = self.until_connection_is_not(connection).shared();
        let publish =
            messages.iter().map(async |message| match select(pin!(self.publish_one(message)), lost.clone()).await {
                Either::Left((answer, _)) => answer,
                Either::Right(_) => Err(PublishError::unavailable("the connection to NATS was lost")),
            });
        join_all(publish).await
    }
}

impl fmt::Debug for NatsPublisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsPublisher").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

fn check_prefix(prefix: &str) -> Result<(), Error> {
    if prefix.len() > PREFIX_BYTES || !prefix.split('.').all(is_token) {
        return Err(Error::invalid(format!(
            "a prefix of subjects has 1 to {PREFIX_BYTES} bytes: letters, digits, - and _, with dots between them"
        )));
    }
    Ok(())
}

/// Tells whether a text can stand between the dots of a subject.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}
