//! Events and rejections, written as a store writes them and read back.

use crate::{
    domain::{Aggregate, EncodedEvent, Upcasters, decode_event, encode_event},
    store::with_sources,
};

/// Writes an event and reads it back, as a store would.
pub(super) fn event<A: Aggregate>(upcasters: &Upcasters, event: &A::Event) -> Result<(EncodedEvent, A::Event), String> {
    let encoded = encode_event(event).map_err(|error| format!("it cannot be written: {}", with_sources(&error)))?;
    let schema_version = upcasters.schema_version(encoded.event_type);
    let read = decode_event(upcasters, encoded.event_type, schema_version, &encoded.payload).map_err(|error| {
        format!("it is stored as {} and cannot be read back: {}", shown(&encoded), with_sources(&error))
    })?;
    Ok((encoded, read))
}

/// Writes a rejection and reads it back, as a receipt would.
pub(super) fn rejection<A: Aggregate>(rejection: &A::Rejection) -> Result<A::Rejection, String> {
    let json = serde_json::to_string(rejection).map_err(|error| format!("it cannot be written: {error}"))?;
    serde_json::from_str(&json).map_err(|error| format!("it is stored as {json} and cannot be read back: {error}"))
}

/// An event as it lies in the table: its type and its payload.
pub(super) fn shown(encoded: &EncodedEvent) -> String {
    format!("{:?} {}", encoded.event_type, encoded.payload)
}
