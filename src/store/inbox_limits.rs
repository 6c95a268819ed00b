//! Bounds on messages that are taken in, checked before any I/O.

use super::Error;
#[cfg(any(feature = "sqlite", feature = "postgres"))]
use super::{Consumer, InboxMessage, MessagePlace, response_limits::check_kept};

/// The most bytes of a message's id.
pub(crate) const MESSAGE_ID_BYTES: usize = 255;

/// The greatest place: what a column holds.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
const GREATEST_SEQUENCE: u64 = i64::MAX.unsigned_abs();

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl InboxMessage {
    /// Makes sure that the message can be remembered.
    pub(crate) fn check(&self) -> Result<(), Error> {
        check_message(&self.consumer, &self.message_id)?;
        self.place.map_or(Ok(()), MessagePlace::check)?;
        self.keep_for.map_or(Ok(()), check_kept)
    }
}

#[cfg(any(feature = "sqlite", feature = "postgres"))]
impl MessagePlace {
    fn check(self) -> Result<(), Error> {
        if self.sequence == 0 || self.sequence > GREATEST_SEQUENCE {
            return Err(Error::invalid(format!(
                "the messages of a source are counted from 1 to {GREATEST_SEQUENCE}, {} is none",
                self.sequence
            )));
        }
        Ok(())
    }
}

/// Makes sure that there can be such a message.
#[cfg(any(feature = "sqlite", feature = "postgres"))]
pub(crate) fn check_message(consumer: &str, message_id: &str) -> Result<(), Error> {
    Consumer::new(consumer)?;
    check_message_id(message_id)
}

/// Makes sure that a message's id can be stored.
pub(crate) fn check_message_id(id: &str) -> Result<(), Error> {
    if id.is_empty() || id.len() > MESSAGE_ID_BYTES || id.chars().any(char::is_control) {
        return Err(Error::invalid(format!(
            "a message's id has 1 to {MESSAGE_ID_BYTES} bytes without control characters, this one has {} bytes",
            id.len()
        )));
    }
    Ok(())
}

#[cfg(all(test, any(feature = "sqlite", feature = "postgres")))]
mod tests {
    use super::{MESSAGE_ID_BYTES, check_message};

    #[test]
    fn ids_of_messages_have_bounds() {
        for id in ["a", "K\u{e4}se \u{1f9c0}", &"x".repeat(MESSAGE_ID_BYTES)] {
            check_message("billing", id).unwrap();
        }
        for id in ["", "a\0b", "a\nb", "\u{7f}", "\u{85}", &"x".repeat(MESSAGE_ID_BYTES + 1), &"\u{e4}".repeat(128)] {
            assert!(check_message("billing", id).is_err(), "{id:?}");
        }
        for consumer in ["", "two words", &"x".repeat(201)] {
            assert!(check_message(consumer, "a").is_err(), "{consumer:?}");
        }
    }
}
