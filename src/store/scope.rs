//! Whose key it is.

use std::{fmt, sync::Arc};

use sha2::{Digest as _, Sha256};
use uuid::{Builder, Uuid};

use super::{Error, Fingerprint, IdempotencyKey, fingerprint::hex};

/// Names the principal or tenant whose keys are told apart from everybody else's.
///
/// Take what stays when a token is changed: an account's id, not the token. 1 to 200 bytes without control characters.
///
/// `Debug` shows the length alone.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope(Arc<str>);

impl Scope {
    /// The most bytes of a principal's name.
    pub const MAX_BYTES: usize = 200;

    /// Stands between a principal and an endpoint; no principal has it.
    const ENDPOINT: char = '\u{1f}';

    /// Names a principal.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where the name is empty, longer than 200 bytes or has control characters.
    pub fn new(principal: impl AsRef<str>) -> Result<Self, Error> {
        let principal = principal.as_ref();
        if principal.is_empty() || principal.len() > Self::MAX_BYTES || principal.chars().any(char::is_control) {
            return Err(Error::invalid(format!(
                "a scope is named by 1 to {} bytes without control characters, this one has {} bytes",
                Self::MAX_BYTES,
                principal.len()
            )));
        }
        Ok(Self(principal.into()))
    }

    /// The part of this scope that belongs to one endpoint alone.
    ///
    /// The same key at two endpoints is then two keys.
    #[must_use]
    pub fn at_endpoint(&self, method: &str, path: &str) -> Self {
        let hash = Fingerprint::of_parts(&[b"annals endpoint 1", method.as_bytes(), path.as_bytes()]);
        Self(format!("{}{}{}", self.principal(), Self::ENDPOINT, hex(&hash.as_bytes()[..16])).into())
    }

    /// The principal's name.
    #[must_use]
    pub fn principal(&self) -> &str {
        self.0.split(Self::ENDPOINT).next().unwrap_or(&self.0)
    }

    /// The scope as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes a scope as it was stored.
    #[must_use]
    pub fn from_stored(stored: &str) -> Self {
        Self(stored.into())
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Scope({} bytes)", self.0.len())
    }
}

/// A client's key, with whose it is.
///
/// What is derived from it is the same for every attempt, in every process and at every time.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct ScopedKey {
    /// Whose key it is.
    pub scope: Scope,
    /// The key.
    pub key: IdempotencyKey,
}

impl ScopedKey {
    /// Joins a key with whose it is.
    #[must_use]
    pub const fn new(scope: Scope, key: IdempotencyKey) -> Self {
        Self { scope, key }
    }

    /// The key for a [`Repository`](crate::Repository): two scopes never meet in one.
    #[must_use]
    pub fn receipt_key(&self) -> IdempotencyKey {
        self.derived_key("receipt")
    }

    /// A key of 64 hexadecimal digits that follows from this one and a name.
    #[must_use]
    pub fn derived_key(&self, name: &str) -> IdempotencyKey {
        IdempotencyKey::of_hash(&hex(&self.hash(name)))
    }

    /// A UUID, version 8, that follows from this key and a name.
    ///
    /// For ids that would be made at random otherwise.
    #[must_use]
    pub fn derived_uuid(&self, name: &str) -> Uuid {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.hash(name)[..16]);
        Builder::from_custom_bytes(bytes).into_uuid()
    }

    /// Cryptographic: whoever chooses keys cannot make two of them meet.
    fn hash(&self, name: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        for part in ["annals derived key 1", self.scope.as_str(), self.key.as_str(), name] {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::{Scope, ScopedKey};
    use crate::store::IdempotencyKey;

    fn key(scope: &str, key: &str) -> ScopedKey {
        ScopedKey::new(Scope::new(scope).unwrap(), IdempotencyKey::new(key).unwrap())
    }

    #[test]
    fn what_is_derived_stays_and_meets_nothing_else() {
        let one = key("ab", "c");
        assert_eq!(one.receipt_key(), key("ab", "c").receipt_key());
        assert_eq!(one.derived_uuid("charge"), key("ab", "c").derived_uuid("charge"));
        assert_ne!(one.receipt_key(), key("a", "bc").receipt_key());
        assert_ne!(one.derived_key("one"), one.derived_key("two"));
        assert_eq!(one.derived_uuid("charge").get_version_num(), 8);
    }

    #[test]
    fn an_endpoint_is_a_part_of_its_principal() {
        let scope = Scope::new("acct_1").unwrap();
        let charges = scope.at_endpoint("POST", "/v1/charges");
        assert_ne!(charges, scope.at_endpoint("POST", "/v1/refunds"));
        assert_eq!(charges.principal(), "acct_1");
        assert_eq!(charges, charges.at_endpoint("POST", "/v1/charges"));
        for refused in ["", "a\u{1f}b", &"x".repeat(201)] {
            assert!(Scope::new(refused).is_err());
        }
        assert_eq!(format!("{scope:?}"), "Scope(6 bytes)");
    }
}
