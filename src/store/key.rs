//! The client's key for one request.

use std::{fmt, str::FromStr, sync::Arc};

use uuid::Uuid;

use super::Error;

/// Names one request of a client.
///
/// Whatever is sent again under the same key is the same request.
///
/// 1 to 255 visible ASCII bytes (`!` to `~`: no blanks, no control characters). Keys are told apart by case. A key is
/// valid for one aggregate: the same key at another aggregate is another request.
///
/// `Debug` shows the length alone: keys stay out of logs.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct IdempotencyKey(Arc<str>);

impl IdempotencyKey {
    /// The most bytes a key may have.
    pub const MAX_BYTES: usize = 255;

    /// Takes a client's key.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where the key is empty, longer than 255 bytes or holds anything but visible ASCII: tell the
    /// client.
    pub fn new(key: impl AsRef<str>) -> Result<Self, Error> {
        let key = key.as_ref();
        if key.is_empty() || key.len() > Self::MAX_BYTES {
            return Err(Error::invalid(format!(
                "an idempotency key has 1 to {} bytes, this one has {}",
                Self::MAX_BYTES,
                key.len()
            )));
        }
        if let Some(at) = key.bytes().position(|byte| !byte.is_ascii_graphic()) {
            return Err(Error::invalid(format!(
                "an idempotency key has visible ASCII characters only, byte {} is none",
                at + 1
            )));
        }
        Ok(Self(key.into()))
    }

    /// Makes a fresh random key: a version 7 UUID.
    #[must_use]
    pub fn random() -> Self {
        Self(Uuid::now_v7().to_string().into())
    }

    /// The key under which the receipt of a command without a client's key is kept.
    ///
    /// Begins with a blank, so no client's key can be the same.
    pub(crate) fn of_command(command_id: Uuid) -> Self {
        Self(format!(" {command_id}").into())
    }

    /// A key that is a hash in hexadecimal digits: 1 to 255 of them.
    pub(crate) fn of_hash(digits: &str) -> Self {
        debug_assert!(!digits.is_empty() && digits.bytes().all(|digit| digit.is_ascii_hexdigit()));
        Self(digits.into())
    }

    /// Takes a key as it was stored, those that no client could send included.
    pub(crate) fn from_stored(stored: &str) -> Self {
        Self(stored.into())
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Tells whether it is the store's own: no client sent one with the command.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.0.starts_with(' ')
    }

    /// The command id that follows from this key at an aggregate.
    ///
    /// Every attempt under the key has the same.
    #[must_use]
    pub fn command_id(&self, aggregate_id: Uuid) -> Uuid {
        Uuid::new_v5(&aggregate_id, self.0.as_bytes())
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdempotencyKey({} bytes)", self.0.len())
    }
}

impl FromStr for IdempotencyKey {
    type Err = Error;

    fn from_str(key: &str) -> Result<Self, Error> {
        Self::new(key)
    }
}

impl From<Uuid> for IdempotencyKey {
    fn from(uuid: Uuid) -> Self {
        Self(uuid.to_string().into())
    }
}
