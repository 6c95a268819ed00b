//! Calls that are kept until their outcome is known.

use std::time::Duration;

use http::HeaderMap;

use super::{
    Answer, ClientError, GaveUp, Last, RetryingClient,
    attempt::Call,
    secrets,
    send::{Ended, Sending},
    telemetry,
};
use crate::store::{BegunCall, CallLease, Error, Fingerprint, IdempotencyKey, NewCall, PendingCall, StoredRequest};

/// How often the store is asked where its reply was lost, and told what has become of a call.
const STORE_ATTEMPTS: u32 = 3;

/// Keeps a call, and sends it. The answer comes with the right to the call, which is still kept.
pub(super) async fn send(
    client: &RetryingClient,
    mut call: Call,
    key: IdempotencyKey,
) -> Result<(Answer, CallLease), ClientError> {
    let content_type = call.headers.get(http::header::CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    let fingerprint = Fingerprint::of_parts(&[
        b"annals client call 1",
        call.method.as_str().as_bytes(),
        call.url.as_str().as_bytes(),
        content_type,
        &call.body,
    ]);
    let request = StoredRequest {
        method: call.method.as_str().to_owned(),
        uri: call.url.as_str().to_owned(),
        headers: secrets::kept(&call.headers, &client.settings().secrets),
        body: (&*call.body).into(),
    };
    add_key(client, &mut call.headers, &key)?;
    let name = client.call_name(key);
    let lease = CallLease::new(name.clone());
    let is_again = begin(client, &NewCall { name, fingerprint, request }, &lease).await?;
    send_held(client, &call, lease, is_again).await
}

/// Puts the key where the service looks for it.
pub(super) fn add_key(
    client: &RetryingClient,
    headers: &mut HeaderMap,
    key: &IdempotencyKey,
) -> Result<(), ClientError> {
    let settings = client.settings();
    let value = settings.key_form.write(key).map_err(|error| ClientError::invalid(error.to_string()))?;
    headers.insert(&settings.key_header, value);
    Ok(())
}

/// Whether the call may have been sent before.
async fn begin(client: &RetryingClient, call: &NewCall, lease: &CallLease) -> Result<bool, ClientError> {
    let key = || call.name.key.clone();
    let mut begun = client.keys().begin_call(call, lease, client.settings().lease(Duration::ZERO)).await;
    for _ in 1..STORE_ATTEMPTS {
        if !matches!(&begun, Err(error) if error.is_outcome_unknown()) {
            break;
        }
        begun = client.keys().begin_call(call, lease, client.settings().lease(Duration::ZERO)).await;
    }
    match begun {
        Ok(BegunCall::New) => Ok(false),
        Ok(BegunCall::Again(pending)) => match too_old(client, &pending) {
            Some(error) => {
                let_go(client, lease).await;
                Err(error)
            }
            None => Ok(true),
        },
        Ok(BegunCall::InHand { lease_left }) => Err(ClientError::InHand { key: key(), lease_left }),
        Ok(BegunCall::OtherRequest) => Err(ClientError::KeyReused { key: key() }),
        Err(Error::Invalid { message }) => Err(ClientError::Invalid { message }),
        // It may be kept, and would then be resumed.
        Err(error) if error.is_outcome_unknown() => {
            Err(ClientError::OutcomeUnknown { key: key(), attempts: 0, why: GaveUp::Keys, last: Last::Keys(error) })
        }
        Err(error) => Err(ClientError::Keys(error)),
    }
}

/// What is said of a call that the service may have forgotten.
pub(super) fn too_old(client: &RetryingClient, call: &PendingCall) -> Option<ClientError> {
    (call.age > client.settings().keys_last).then(|| ClientError::OutcomeUnknown {
        key: call.name.key.clone(),
        attempts: 0,
        why: GaveUp::TooOld,
        last: Last::None,
    })
}

/// Sends a call to which one has the right, and sees to what is kept of it where it has no answer.
pub(super) async fn send_held(
    client: &RetryingClient,
    call: &Call,
    lease: CallLease,
    is_again: bool,
) -> Result<(Answer, CallLease), ClientError> {
    match Sending::new(client, call, Some((&lease, is_again))).run().await {
        Ok(mut answer) => {
            answer.key = Some(lease.name.key.clone());
            Ok((answer, lease))
        }
        Err(ended) => Err(give_up(client, &lease, ended).await),
    }
}

async fn give_up(client: &RetryingClient, lease: &CallLease, mut ended: Ended) -> ClientError {
    if !ended.may_have_happened {
        // What nobody has seen is not kept; but if that cannot be told to the store, it may yet be sent.
        match client.keys().resolve_call(lease).await {
            Ok(true) => return unsent(ended),
            Ok(false) => ended.why = GaveUp::TakenOver,
            Err(error) => telemetry::not_told("unsent", &error),
        }
    }
    let_go(client, lease).await;
    let Ended { attempts, why, last, .. } = ended;
    ClientError::OutcomeUnknown { key: lease.name.key.clone(), attempts, why, last }
}

fn unsent(ended: Ended) -> ClientError {
    match ended {
        Ended { is_untrusted: true, last: Last::Failed(source), .. } => ClientError::Tls { source },
        Ended { is_unbuildable: true, .. } => ClientError::invalid("the request cannot be sent as it is"),
        Ended { attempts, why, last, .. } => ClientError::Unsent { attempts, why, last },
    }
}

/// What is said of a read.
pub(super) fn unread(ended: Ended) -> ClientError {
    match ended {
        Ended { may_have_happened: true, attempts, why, last, .. } => ClientError::NoAnswer { attempts, why, last },
        ended => unsent(ended),
    }
}

/// Removes a call that has its answer. Where that fails it is sent again some day, and has the same answer.
pub(super) async fn resolve(client: &RetryingClient, lease: &CallLease) {
    for left in (0..STORE_ATTEMPTS).rev() {
        match client.keys().resolve_call(lease).await {
            Ok(_) => return,
            Err(error) if left == 0 => telemetry::not_told("answered", &error),
            Err(_) => {}
        }
    }
}

/// Lets others have a call at once, and not when its lease has lapsed.
pub(super) async fn let_go(client: &RetryingClient, lease: &CallLease) {
    if let Err(error) = client.keys().let_go_of_call(lease).await {
        telemetry::not_told("free", &error);
    }
}
