//! Taking the key of a command, so that it is not carried out any more.

use super::{Executed, Outcome, Repository, send::send};
use crate::{
    domain::{Aggregate, Id},
    store::{
        Append, Error, ExpectedVersion, Fingerprint, IdempotencyKey, KeyRequest, Receipt, ReceiptOutcome, StreamQuery,
    },
};

/// What stands for the request where there is to be none. No request is fingerprinted from this one part.
const FORESTALLED: &[u8] = b"annals forestalled 1";

/// What stands for the rejection: nobody reads it.
const NOTHING: &str = "null";

/// Reads an outcome off a receipt.
pub(super) fn outcome<A: Aggregate>(receipt: &Receipt) -> Result<Outcome<A::Rejection>, Error> {
    Ok(match &receipt.outcome {
        ReceiptOutcome::Accepted => Outcome::Accepted(Executed {
            first_sequence: receipt.first_sequence,
            version: receipt.last_sequence,
            position: receipt.position,
            replayed: true,
        }),
        ReceiptOutcome::Rejected { .. } if receipt.fingerprint == fingerprint() => Outcome::Forestalled,
        ReceiptOutcome::Rejected { rejection } => Outcome::Rejected(Repository::<A>::read_rejection(rejection)?),
    })
}

pub(super) async fn forestall<A: Aggregate>(
    repository: &Repository<A>,
    id: Id<A>,
    key: &IdempotencyKey,
) -> Result<Outcome<A::Rejection>, Error> {
    let store = &*repository.store;
    // Behind every event: the version and the receipt are what is asked for.
    let query = StreamQuery { receipt_of: Some(key.clone()), ..StreamQuery::of(id).from_sequence(i64::MAX as u64) };
    let mut attempts = repository.retry.begin("forestall");
    loop {
        let read = store.read_stream(&query, &mut |_| Ok(())).await;
        let taken = match read {
            Ok(read) => match &read.receipt {
                Some(receipt) => return outcome::<A>(receipt),
                // An outcome without events, which stands under the key in whatever comes later.
                None => send(store, append_at(id, read.version, key), &mut attempts).await,
            },
            Err(error) => Err(error),
        };
        match taken {
            Ok(_) => return Ok(Outcome::Forestalled),
            // Somebody has written meanwhile; whether under this key is seen next.
            Err(error @ (Error::Conflict { .. } | Error::KeyReused { .. })) => attempts.pause_after(error).await?,
            Err(error) if error.is_retryable() && !attempts.are_over() => attempts.pause_after(error).await?,
            Err(error) => return Err(error),
        }
    }
}

fn append_at<A: Aggregate>(id: Id<A>, version: u64, key: &IdempotencyKey) -> Append {
    let mut append = Append::to(id).expected(ExpectedVersion::Exact(version)).rejected(NOTHING.into());
    append.key = Some(KeyRequest { key: key.clone(), fingerprint: Some(fingerprint()), keep_for: None });
    append
}

fn fingerprint() -> Fingerprint {
    Fingerprint::of_parts(&[FORESTALLED])
}
