//! The transaction in which a message is handled.

use std::{
    fmt,
    marker::PhantomData,
    ops::{Deref, DerefMut},
};

use async_trait::async_trait;

use crate::store::{Append, Appended, Error, StreamQuery, StreamRead, Visit, Work};

/// The transaction in which a message is handled, for its effects.
///
/// It is a [`Work`], and gives whatever else the store's own can do. [`Inbox::handle`](super::Inbox::handle) commits it.
///
/// `'e` is what the effects may borrow.
pub struct Handling<'e, W> {
    work: W,
    // With it the compiler knows that whatever effects borrow outlives their use of the transaction.
    effects: PhantomData<&'e ()>,
}

impl<W> Handling<'_, W> {
    pub(super) const fn new(work: W) -> Self {
        Self { work, effects: PhantomData }
    }

    pub(super) fn into_work(self) -> W {
        self.work
    }
}

impl<W> Deref for Handling<'_, W> {
    type Target = W;

    fn deref(&self) -> &W {
        &self.work
    }
}

impl<W> DerefMut for Handling<'_, W> {
    fn deref_mut(&mut self) -> &mut W {
        &mut self.work
    }
}

#[async_trait]
impl<W: Work> Work for Handling<'_, W> {
    type Connection = W::Connection;

    async fn append(&mut self, append: &Append) -> Result<Appended, Error> {
        self.work.append(append).await
    }

    async fn read_stream(&mut self, query: &StreamQuery, visit: Visit<'_>) -> Result<StreamRead, Error> {
        self.work.read_stream(query, visit).await
    }

    fn connection(&mut self) -> &mut W::Connection {
        self.work.connection()
    }

    async fn commit(self) -> Result<(), Error> {
        self.work.commit().await
    }
}

impl<W: fmt::Debug> fmt::Debug for Handling<'_, W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Handling").field(&self.work).finish()
    }
}
