//! What JetStream's answers say of a message.

use std::error::Error as _;

use async_nats::jetstream::{
    ErrorCode,
    context::{PublishError as Refusal, PublishErrorKind},
};

use crate::process::PublishError;

/// What will be the same however often it is sent: the message is too large for the server, or for the stream.
const FINAL: [ErrorCode; 2] = [ErrorCode::STREAM_MESSAGE_EXCEEDS_MAXIMUM, ErrorCode::STREAM_HEADER_EXCEEDS_MAXIMUM];

/// From this status on it is the server that has failed, and not the request.
const SERVER_FAILED: usize = 500;

pub(super) fn published(refusal: Refusal) -> PublishError {
    match refusal.kind() {
        PublishErrorKind::MaxPayloadExceeded => PublishError::refused(refusal),
        // Whether it arrived is not known; or JetStream, or the stream, is not there (yet).
        PublishErrorKind::TimedOut
        | PublishErrorKind::BrokenPipe
        | PublishErrorKind::MaxAckPending
        | PublishErrorKind::StreamNotFound => PublishError::unavailable(refusal),
        PublishErrorKind::WrongLastMessageId | PublishErrorKind::WrongLastSequence => PublishError::failed(refusal),
        PublishErrorKind::Other => {
            let said = refusal.source().and_then(|source| source.downcast_ref::<async_nats::jetstream::Error>());
            match said.map(|said| (said.error_code(), said.code())) {
                Some((code, _)) if FINAL.contains(&code) => PublishError::refused(refusal),
                // A stream that is full, a disk that is, a leader that is being chosen.
                Some((_, status)) if status >= SERVER_FAILED => PublishError::unavailable(refusal),
                Some(_) => PublishError::failed(refusal),
                // The client is closed, or somebody else has answered.
                None => PublishError::unavailable(refusal),
            }
        }
    }
}
