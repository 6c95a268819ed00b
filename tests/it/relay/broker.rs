//! A broker in memory that does as it is told.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use annals::process::{Message, PublishError, Publisher};
use async_trait::async_trait;
use tokio::sync::watch;
use uuid::Uuid;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Stored,
    /// It is stored, and the acknowledgement is lost.
    AckLost,
    /// It is stored, and never answered: whoever waits for it is killed.
    Silent,
    Away,
    /// Away, and not to be asked again for this long.
    AwayFor(Duration),
    Failed,
    Refused,
    Gone,
}

type Judge = Box<dyn FnMut(&Message) -> Fate + Send>;

/// Shared by its clones. What it has by its id it drops, as brokers do that know ids.
#[derive(Clone)]
pub struct Broker {
    inner: Arc<Mutex<Inner>>,
    /// How many messages it was sent.
    sent: watch::Sender<usize>,
}

struct Inner {
    judge: Judge,
    sent: Vec<Message>,
    stored: Vec<Message>,
    ids: HashSet<String>,
    under_way: HashSet<Uuid>,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Broker")
    }
}

impl Broker {
    pub fn new() -> Self {
        Self::that(|_| Fate::Stored)
    }

    pub fn that(judge: impl FnMut(&Message) -> Fate + Send + 'static) -> Self {
        let inner = Inner {
            judge: Box::new(judge),
            sent: Vec::new(),
            stored: Vec::new(),
            ids: HashSet::new(),
            under_way: HashSet::new(),
        };
        Self { inner: Arc::new(Mutex::new(inner)), sent: watch::channel(0).0 }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap()
    }

    /// From now on.
    pub fn does(&self, judge: impl FnMut(&Message) -> Fate + Send + 'static) {
        self.inner().judge = Box::new(judge);
    }

    /// All it was ever sent, in order.
    pub fn sent(&self) -> Vec<Message> {
        self.inner().sent.clone()
    }

    /// What it has, in order, each id once.
    pub fn stored(&self) -> Vec<Message> {
        self.inner().stored.clone()
    }

    pub fn stored_ids(&self) -> Vec<String> {
        self.stored().iter().map(|message| message.id().to_owned()).collect()
    }

    /// Waits until it was sent so many messages.
    pub async fn has_been_sent(&self, messages: usize) {
        let mut sent = self.sent.subscribe();
        let waited = tokio::time::timeout(super::PATIENCE, sent.wait_for(|sent| *sent >= messages)).await;
        assert!(waited.is_ok(), "{} of {messages} messages were sent", *self.sent.borrow());
    }

    /// Each aggregate's messages came in order: one after the other, and none but the last one again.
    pub fn assert_order(&self) {
        let mut last: HashMap<Uuid, u64> = HashMap::new();
        for message in self.sent() {
            let last = last.entry(message.aggregate_id()).or_default();
            let sequence = message.sequence();
            assert!(sequence == *last || sequence == *last + 1, "{} was sent behind {last}", message.id());
            *last = sequence;
        }
    }
}

/// Messages are under way no longer, however the call ends.
struct UnderWay<'b>(&'b Broker, Vec<Uuid>);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        let mut inner = self.0.inner();
        inner.under_way.retain(|id| !self.1.contains(id));
    }
}

#[async_trait]
impl Publisher for Broker {
    async fn publish(&self, messages: &[Message]) -> Vec<Result<(), PublishError>> {
        let mut fates = Vec::new();
        let ids = messages.iter().map(Message::aggregate_id).collect();
        {
            let mut inner = self.inner();
            for message in messages {
                assert!(inner.under_way.insert(message.aggregate_id()), "two of one aggregate are under way");
                let fate = (inner.judge)(message);
                inner.sent.push(message.clone());
                if matches!(fate, Fate::Stored | Fate::AckLost | Fate::Silent)
                    && inner.ids.insert(message.id().to_owned())
                {
                    inner.stored.push(message.clone());
                }
                fates.push(fate);
            }
        }
        let _under_way = UnderWay(self, ids);
        self.sent.send_modify(|sent| *sent += messages.len());
        tokio::task::yield_now().await;
        if fates.contains(&Fate::Silent) {
            std::future::pending::<()>().await;
        }
        let answer = |fate| match fate {
            Fate::Stored | Fate::Silent => Ok(()),
            Fate::AckLost => Err(PublishError::unavailable("no acknowledgement")),
            Fate::Away => Err(PublishError::unavailable("away")),
            Fate::AwayFor(time) => Err(PublishError::unavailable_for(time, "asks for patience")),
            Fate::Failed => Err(PublishError::failed("has failed")),
            Fate::Refused => Err(PublishError::refused("too large")),
            Fate::Gone => Err(PublishError::gone("unsubscribed")),
        };
        fates.into_iter().map(answer).collect()
    }
}
