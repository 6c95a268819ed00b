//! Typed ids of aggregates.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    marker::PhantomData,
    str::FromStr,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::{Aggregate, is_valid_type_name};

/// Names one aggregate of type `A`.
///
/// A UUID that cannot be mistaken for another type's.
///
/// Written and read as the hyphenated UUID, in `Display`, `FromStr` and serde alike.
///
/// ```
/// # use annals::{Aggregate, Id};
/// # #[derive(Default)] struct Order;
/// # #[derive(Debug, serde::Serialize, serde::Deserialize, thiserror::Error)] #[error("no")] struct No;
/// # impl Aggregate for Order {
/// #     const TYPE: &'static str = "order";
/// #     type Command = (); type Event = (); type Rejection = No;
/// #     fn decide(&self, _: &()) -> Result<Vec<()>, No> { Ok(vec![]) }
/// #     fn evolve(&mut self, _: &()) {}
/// # }
/// let invoice = Id::<Order>::natural("537434");
/// assert_eq!(invoice, Id::natural("537434"));
/// assert_eq!(invoice, invoice.to_string().parse()?);
/// # Ok::<(), uuid::Error>(())
/// ```
pub struct Id<A> {
    uuid: Uuid,
    aggregate: PhantomData<fn() -> A>,
}

/// The namespace under which each aggregate type has its own, from which natural keys get their ids.
const NAMESPACE: Uuid = Uuid::from_u128(0x616e_6e61_6c73_5bd1_8c7e_0d1e_4a6f_7a11);

/// Derives an aggregate's id from a business key, by the name of its type.
///
/// For code that does not know the type, such as tools: the same id as [`Id::natural`] gives.
///
/// ```
/// # use annals::domain::natural_id;
/// let invoice = natural_id("order", "537434")?;
/// assert_eq!(invoice, natural_id("order", "537434")?);
/// assert_ne!(invoice, natural_id("credit-note", "537434")?);
/// assert!(natural_id("Order", "537434").is_err());
/// # Ok::<(), annals::domain::InvalidTypeName>(())
/// ```
///
/// # Errors
///
/// The name can be no aggregate's: mend it.
pub fn natural_id(aggregate_type: &str, key: &str) -> Result<Uuid, InvalidTypeName> {
    if !is_valid_type_name(aggregate_type) {
        return Err(InvalidTypeName);
    }
    Ok(within(aggregate_type, key))
}

/// Tells that a name can be no aggregate's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an aggregate type is kebab-case, 1 to 64 bytes")]
pub struct InvalidTypeName;

fn within(aggregate_type: &str, key: &str) -> Uuid {
    let namespace = Uuid::new_v5(&NAMESPACE, aggregate_type.as_bytes());
    Uuid::new_v5(&namespace, key.as_bytes())
}

impl<A: Aggregate> Id<A> {
    /// Makes a new id, a version 7 UUID.
    ///
    /// Ids made one after another lie beside each other in an index.
    #[must_use]
    #[expect(clippy::new_without_default, reason = "every new id differs: nothing a default value could be")]
    pub fn new() -> Self {
        Self::from_uuid(Uuid::now_v7())
    }

    /// Derives the id from a business key.
    ///
    /// The same key always names the same aggregate.
    ///
    /// A version 5 UUID in a namespace of the aggregate's type. A creating command that is sent again thereby finds the
    /// aggregate it made the first time, and the receipt kept with it.
    #[must_use]
    pub fn natural(key: &str) -> Self {
        Self::from_uuid(within(A::TYPE, key))
    }

    /// Derives the id from another aggregate's: that of the one `A` that goes with it.
    ///
    /// Such as the process of an order. No two aggregates share an id, of whatever type they are. The same as
    /// [`natural`](Self::natural) with the other id as its key.
    #[must_use]
    pub fn derived<B>(from: Id<B>) -> Self {
        Self::natural(from.uuid.hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }

    /// Takes a UUID for the id of an `A`.
    #[must_use]
    pub const fn from_uuid(uuid: Uuid) -> Self {
        const { assert!(is_valid_type_name(A::TYPE), "Aggregate::TYPE must be kebab-case, 1 to 64 bytes") };
        Self { uuid, aggregate: PhantomData }
    }
}

impl<A> Id<A> {
    /// The UUID, as it is stored.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.uuid
    }
}

impl<A> Clone for Id<A> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<A> Copy for Id<A> {}

impl<A> PartialEq for Id<A> {
    fn eq(&self, other: &Self) -> bool {
        self.uuid == other.uuid
    }
}

impl<A> Eq for Id<A> {}

impl<A> PartialOrd for Id<A> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<A> Ord for Id<A> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.uuid.cmp(&other.uuid)
    }
}

impl<A> Hash for Id<A> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.uuid.hash(state);
    }
}

impl<A: Aggregate> fmt::Debug for Id<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Id<{}>({})", A::TYPE, self.uuid)
    }
}

impl<A> fmt::Display for Id<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.uuid.fmt(f)
    }
}

impl<A: Aggregate> FromStr for Id<A> {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self::from_uuid)
    }
}

impl<A> From<Id<A>> for Uuid {
    fn from(id: Id<A>) -> Self {
        id.uuid
    }
}

impl<A> Serialize for Id<A> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.uuid.serialize(serializer)
    }
}

impl<'de, A: Aggregate> Deserialize<'de> for Id<A> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Uuid::deserialize(deserializer).map(Self::from_uuid)
    }
}
