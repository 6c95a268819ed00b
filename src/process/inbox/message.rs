//! A message as it came in.

use std::{fmt, sync::Arc};

use uuid::Uuid;

use crate::store::{Error, Fingerprint, IdempotencyKey, MessagePlace, Scope, ScopedKey, check_message_id};

/// A message that came in.
///
/// Its id, the hash of what it says, and its place where its source counts.
///
/// `Debug` leaves the id out.
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct IncomingMessage {
    id: Arc<str>,
    content: Fingerprint,
    place: Option<MessagePlace>,
}

/// The recipe of the hash.
const MESSAGE_V1: &[u8] = b"annals message 1";

impl IncomingMessage {
    /// Names a message that has an id of its own.
    ///
    /// The payload is what must be the same when the message comes again, byte by byte: the body, without what a broker
    /// adds, such as how often it was delivered.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: an id has 1 to 255 bytes without control characters. Refuse the message.
    pub fn new(id: impl AsRef<str>, payload: impl AsRef<[u8]>) -> Result<Self, Error> {
        let id = id.as_ref();
        check_message_id(id)?;
        Ok(Self { id: id.into(), content: content_of(payload.as_ref()), place: None })
    }

    /// Names a message whose producer gives it no id, by what it says.
    ///
    /// The hash of the payload alone is its id, so two messages that say the same are one for as long as the first is
    /// remembered: nothing tells a second order of the same goods from the first one's repetition. Have the producer
    /// send ids, or keep such messages for a short time.
    pub fn without_id(payload: impl AsRef<[u8]>) -> Self {
        let content = content_of(payload.as_ref());
        Self { id: format!("content:{}", content.to_hex()).into(), content, place: None }
    }

    /// Says where the message stands among those of its source, such as an aggregate.
    ///
    /// The last place of each source is remembered for ever. A message that comes again is known however late that is,
    /// also when the message itself is long forgotten. Places may be left out, and must rise: of a source that sends 5 before
    /// 3, the 3 is taken for a duplicate. Where that can happen leave the place away, and keep messages for longer than
    /// they may be under way.
    pub const fn placed(mut self, source: Uuid, sequence: u64) -> Self {
        self.place = Some(MessagePlace { source, sequence, is_dense: false });
        self
    }

    /// Says the same of a source that leaves no place out, from 1 on.
    ///
    /// A message before its turn is then [`Early`](super::Handled::Early), and is not handled.
    pub const fn in_order(mut self, source: Uuid, sequence: u64) -> Self {
        self.place = Some(MessagePlace { source, sequence, is_dense: true });
        self
    }

    /// Says the same by a place that is known: that of a CloudEvent, say.
    pub const fn at(mut self, place: MessagePlace) -> Self {
        self.place = Some(place);
        self
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The hash of what it says.
    ///
    /// For a command under the message's key: the same id with something else in it is then
    /// [`KeyReused`](Error::KeyReused).
    #[must_use]
    pub const fn fingerprint(&self) -> Fingerprint {
        self.content
    }

    /// Where it stands among those of its source.
    #[must_use]
    pub const fn place(&self) -> Option<MessagePlace> {
        self.place
    }

    /// The key for the command that this message is to a consumer.
    ///
    /// A message that brings about one command to one aggregate needs no inbox and no transaction: its id is the
    /// idempotency key, and the receipt of the command remembers it.
    ///
    /// ```
    /// # async fn example<Order: annals::Aggregate>(orders: annals::Repository<Order>, command: Order::Command,
    /// #     id: annals::Id<Order>, body: &[u8]) -> Result<(), Box<dyn std::error::Error>> {
    /// use annals::IncomingMessage;
    ///
    /// let message = IncomingMessage::new("evt_1", body)?;
    /// let done = orders
    ///     .execute(id, &command)
    ///     .idempotency_key(message.idempotency_key("billing")?)
    ///     .fingerprint(message.fingerprint())
    ///     .await?;
    /// // A delivery again: the first answer, and nothing is written.
    /// println!("{}", if done.replayed { "known" } else { "done" });
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: a consumer is named by 1 to 200 bytes without control characters.
    pub fn idempotency_key(&self, consumer: &str) -> Result<IdempotencyKey, Error> {
        // The key in between takes any id, also those that no header could carry.
        let id = Fingerprint::of_parts(&[b"annals message id 1", self.id.as_bytes()]);
        Ok(ScopedKey::new(Scope::new(consumer)?, IdempotencyKey::new(id.to_hex())?).derived_key("message"))
    }
}

fn content_of(payload: &[u8]) -> Fingerprint {
    Fingerprint::of_parts(&[MESSAGE_V1, payload])
}

impl fmt::Debug for IncomingMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IncomingMessage")
            .field("content", &self.content)
            .field("place", &self.place)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::IncomingMessage;

    #[test]
    fn keys_are_told_apart_by_consumer_and_id_and_not_by_content() {
        let key =
            |consumer: &str, id: &str| IncomingMessage::new(id, "paid").unwrap().idempotency_key(consumer).unwrap();
        assert_eq!(
            key("billing", "a"),
            IncomingMessage::new("a", "refunded").unwrap().idempotency_key("billing").unwrap()
        );
        for other in [key("billing", "b"), key("shipping", "a"), key("billing", "a b \u{e4}")] {
            assert_ne!(other, key("billing", "a"));
        }
        assert!(IncomingMessage::new("a", "paid").unwrap().idempotency_key("").is_err());
    }

    #[test]
    fn a_message_without_an_id_is_known_by_what_it_says_alone() {
        assert_eq!(IncomingMessage::without_id("paid"), IncomingMessage::without_id(b"paid"));
        assert_ne!(IncomingMessage::without_id("paid").id(), IncomingMessage::without_id("paid ").id());
        assert_eq!(IncomingMessage::without_id("").id().len(), "content:".len() + 64);
    }

    #[test]
    fn ids_have_bounds_and_are_not_shown() {
        for id in ["", "a\nb", &"x".repeat(256)] {
            assert!(IncomingMessage::new(id, "").is_err(), "{id:?}");
        }
        let shown = format!("{:?}", IncomingMessage::new("secret-id", "paid").unwrap());
        assert!(!shown.contains("secret-id") && !shown.contains("paid"), "{shown}");
    }
}
