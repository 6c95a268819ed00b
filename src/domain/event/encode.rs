//! Takes an adjacently tagged enum apart without writing the tag.

use serde::ser::{Error as _, Impossible, Serialize, SerializeStruct, Serializer};

use super::{EncodedEvent, EventError};

pub(super) fn encode<E: Serialize + ?Sized>(event: &E) -> Result<EncodedEvent, EventError> {
    event.serialize(Envelope)
}

/// Accepts what serde derives for an adjacently tagged enum: a struct of a tag and, but for unit variants, a content.
struct Envelope;

/// Accepts the tag: the name of a variant.
struct Tag;

/// The parts as they come in.
#[derive(Default)]
struct Parts {
    event_type: Option<&'static str>,
    payload: Option<String>,
}

impl serde::ser::Error for EventError {
    fn custom<T: std::fmt::Display>(message: T) -> Self {
        Self::NotAdjacentlyTagged(message.to_string())
    }
}

impl SerializeStruct for Parts {
    type Ok = EncodedEvent;
    type Error = EventError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, _: &'static str, value: &T) -> Result<(), EventError> {
        let Some(event_type) = self.event_type else {
            self.event_type = Some(value.serialize(Tag)?);
            return Ok(());
        };
        if self.payload.is_some() {
            return Err(EventError::custom("it has more than a tag and a content"));
        }
        let payload = serde_json::to_string(value)
            .map_err(|source| EventError::Payload { event_type: event_type.to_owned(), source })?;
        self.payload = Some(payload);
        Ok(())
    }

    fn end(self) -> Result<EncodedEvent, EventError> {
        let event_type = self.event_type.ok_or_else(|| EventError::custom("it has no tag"))?;
        Ok(EncodedEvent { event_type, payload: self.payload.unwrap_or_else(|| "null".to_owned()) })
    }
}

/// Refuses every shape that is not the one looked for.
macro_rules! refuse {
    ($($method:ident($($argument:ty),*) -> $ok:ty;)*) => {
        $(fn $method(self $(, _: $argument)*) -> Result<$ok, EventError> {
            Err(EventError::custom(concat!("it calls ", stringify!($method))))
        })*
    };
}

/// Refuses the scalars and containers that neither an envelope nor a tag can be.
macro_rules! refuse_values {
    () => {
        type Error = EventError;
        type SerializeSeq = Impossible<Self::Ok, EventError>;
        type SerializeTuple = Impossible<Self::Ok, EventError>;
        type SerializeTupleStruct = Impossible<Self::Ok, EventError>;
        type SerializeTupleVariant = Impossible<Self::Ok, EventError>;
        type SerializeMap = Impossible<Self::Ok, EventError>;
        type SerializeStructVariant = Impossible<Self::Ok, EventError>;

        refuse! {
            serialize_bool(bool) -> Self::Ok;
            serialize_i8(i8) -> Self::Ok;
            serialize_i16(i16) -> Self::Ok;
            serialize_i32(i32) -> Self::Ok;
            serialize_i64(i64) -> Self::Ok;
            serialize_u8(u8) -> Self::Ok;
            serialize_u16(u16) -> Self::Ok;
            serialize_u32(u32) -> Self::Ok;
            serialize_u64(u64) -> Self::Ok;
            serialize_f32(f32) -> Self::Ok;
            serialize_f64(f64) -> Self::Ok;
            serialize_char(char) -> Self::Ok;
            serialize_str(&str) -> Self::Ok;
            serialize_bytes(&[u8]) -> Self::Ok;
            serialize_none() -> Self::Ok;
            serialize_unit() -> Self::Ok;
            serialize_unit_struct(&'static str) -> Self::Ok;
            serialize_seq(Option<usize>) -> Self::SerializeSeq;
            serialize_tuple(usize) -> Self::SerializeTuple;
            serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
            serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
            serialize_map(Option<usize>) -> Self::SerializeMap;
            serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
        }

        fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<Self::Ok, EventError> {
            Err(EventError::custom("it calls serialize_some"))
        }

        fn serialize_newtype_variant<T: Serialize + ?Sized>(
            self,
            _: &'static str,
            _: u32,
            _: &'static str,
            _: &T,
        ) -> Result<Self::Ok, EventError> {
            Err(EventError::custom("it calls serialize_newtype_variant, as an externally tagged enum does"))
        }
    };
}

impl Serializer for Envelope {
    type Ok = EncodedEvent;
    type SerializeStruct = Parts;
    refuse_values!();
    refuse! {
        serialize_unit_variant(&'static str, u32, &'static str) -> Self::Ok;
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts, EventError> {
        Ok(Parts::default())
    }

    /// A newtype around an event enum is as good as the enum.
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<Self::Ok, EventError> {
        value.serialize(self)
    }
}

impl Serializer for Tag {
    type Ok = &'static str;
    type SerializeStruct = Impossible<Self::Ok, EventError>;
    refuse_values!();
    refuse! {
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<&'static str, EventError> {
        Ok(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, _: &'static str, _: &T) -> Result<Self::Ok, EventError> {
        Err(EventError::custom("its tag is not the name of a variant"))
    }
}
