//! Puts an adjacently tagged enum together from a type name and a payload.

use std::{cell::Cell, fmt};

use serde::{
    Deserializer,
    de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, MapAccess, Visitor},
};

use super::EventError;
use crate::domain::without_data;

pub(super) fn decode<E: DeserializeOwned>(event_type: &str, payload: &str) -> Result<E, EventError> {
    E::deserialize(Envelope { event_type, payload: Some(payload), variants: &Cell::new(None) })
        .map_err(|refusal| refusal.explain(event_type))
}

/// Asks the enum for its variants: it names them when it is handed the tag.
pub(super) fn variants<E: DeserializeOwned>() -> Result<&'static [&'static str], EventError> {
    let variants = Cell::new(None);
    let outcome = E::deserialize(Envelope { event_type: "", payload: None, variants: &variants });
    match (variants.get(), outcome) {
        // An event type that looks at the tag itself names its variants when it refuses it.
        (Some(names), _) | (None, Err(Refusal::UnknownVariant(names))) => Ok(names),
        (None, Err(refusal)) => Err(refusal.explain("")),
        (None, Ok(_)) => Err(EventError::NotAdjacentlyTagged("it reads no tag".to_owned())),
    }
}

/// Why serde could not build the event, before the event's type is put to it.
#[derive(Debug)]
enum Refusal {
    UnknownVariant(&'static [&'static str]),
    Payload(serde_json::Error),
    Shape(String),
}

impl Refusal {
    fn explain(self, event_type: &str) -> EventError {
        let event_type = event_type.to_owned();
        match self {
            Self::UnknownVariant(known) => EventError::UnknownType { event_type, known },
            Self::Payload(error) => EventError::Payload { event_type, source: without_data(error) },
            Self::Shape(message) => EventError::NotAdjacentlyTagged(message),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownVariant(_) => f.write_str("unknown variant"),
            Self::Payload(source) => source.fmt(f),
            Self::Shape(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for Refusal {}

impl de::Error for Refusal {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Shape(message.to_string())
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::UnknownVariant(expected)
    }
}

/// Offers the map `{tag: event_type, content: payload}`, the tag first, so that serde buffers nothing.
#[derive(Clone, Copy)]
struct Envelope<'a> {
    event_type: &'a str,
    payload: Option<&'a str>,
    variants: &'a Cell<Option<&'static [&'static str]>>,
}

impl<'de> Deserializer<'de> for Envelope<'de> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Refusal> {
        Err(de::Error::custom("it does not ask for a tag and a content"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        let [tag, content] = *fields else {
            return Err(de::Error::custom("it is a struct"));
        };
        visitor.visit_map(Parts { envelope: self, keys: [Some(tag), Some(content)], tag_is_next: true })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Parts<'a> {
    envelope: Envelope<'a>,
    keys: [Option<&'static str>; 2],
    tag_is_next: bool,
}

impl<'de> MapAccess<'de> for Parts<'de> {
    type Error = Refusal;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Refusal> {
        let [tag, content] = &mut self.keys;
        match tag.take().or_else(|| content.take()) {
            Some(key) => seed.deserialize(key.into_deserializer()).map(Some),
            None => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refusal> {
        if std::mem::take(&mut self.tag_is_next) {
            return seed.deserialize(Tag(self.envelope));
        }
        let payload = self.envelope.payload.ok_or_else(|| Refusal::Shape("no payload was given".to_owned()))?;
        let mut json = serde_json::Deserializer::from_str(payload);
        let value = seed.deserialize(&mut json).map_err(Refusal::Payload)?;
        json.end().map_err(Refusal::Payload)?;
        Ok(value)
    }
}

/// Offers the event's type as the name of a variant.
struct Tag<'a>(Envelope<'a>);

impl<'de> Deserializer<'de> for Tag<'de> {
    type Error = Refusal;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        visitor.visit_str(self.0.event_type)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.0.variants.set(Some(variants));
        visitor.visit_enum(self.0.event_type.into_deserializer())
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use crate::domain::{EventError, Upcasters, decode_event, encode_event, event_types};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "type", content = "data", rename_all = "kebab-case")]
    enum Event {
        Opened,
        Named(String),
        Moved {
            x: i64,
            y: Option<i64>,
        },
        Pair(u8, u8),
        #[serde(alias = "old-name")]
        Maybe(Option<u8>),
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Wrapped(Event);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Plain {
        Named(String),
        Opened,
    }

    fn there_and_back(event: &Event, event_type: &str, payload: &str) {
        let encoded = encode_event(event).unwrap();
        assert_eq!((encoded.event_type, encoded.payload.as_str()), (event_type, payload));
        assert_eq!(&decode_event::<Event>(&Upcasters::none(), event_type, 1, payload).unwrap(), event);
    }

    #[test]
    fn every_kind_of_variant_goes_there_and_back() {
        there_and_back(&Event::Opened, "opened", "null");
        there_and_back(&Event::Named("é\u{0}\"".into()), "named", "\"é\\u0000\\\"\"");
        there_and_back(&Event::Moved { x: i64::MIN, y: None }, "moved", "{\"x\":-9223372036854775808,\"y\":null}");
        there_and_back(&Event::Pair(1, 2), "pair", "[1,2]");
        there_and_back(&Event::Maybe(None), "maybe", "null");
        let none = Upcasters::none();
        assert_eq!(decode_event::<Event>(&none, "old-name", 1, "3").unwrap(), Event::Maybe(Some(3)));
        assert_eq!(decode_event::<Wrapped>(&none, "opened", 1, "null").unwrap(), Wrapped(Event::Opened));
        assert_eq!(encode_event(&Wrapped(Event::Opened)).unwrap().event_type, "opened");
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let none = Upcasters::none();
        let unknown = decode_event::<Event>(&none, "closed", 1, "null").unwrap_err();
        assert!(matches!(&unknown, EventError::UnknownType { event_type, .. } if event_type == "closed"), "{unknown}");
        let unfit = decode_event::<Event>(&none, "named", 1, "7").unwrap_err();
        assert!(matches!(&unfit, EventError::Payload { event_type, .. } if event_type == "named"), "{unfit}");
        let trailing = decode_event::<Event>(&none, "named", 1, "\"a\" 1").unwrap_err();
        assert!(matches!(trailing, EventError::Payload { .. }), "{trailing}");
        let newer = decode_event::<Event>(&none, "named", 2, "\"a\"").unwrap_err();
        assert!(matches!(newer, EventError::NewerSchema { stored: 2, known: 1, .. }), "{newer}");
    }

    #[test]
    fn other_taggings_are_refused() {
        for refused in [
            encode_event(&Plain::Named("x".into())).unwrap_err(),
            encode_event(&Plain::Opened).unwrap_err(),
            decode_event::<Plain>(&Upcasters::none(), "Opened", 1, "null").unwrap_err(),
            event_types::<Plain>().unwrap_err(),
            encode_event("text").unwrap_err(),
        ] {
            assert!(matches!(refused, EventError::NotAdjacentlyTagged(_)), "{refused}");
        }
    }

    #[test]
    fn an_enum_names_its_events() {
        let names = event_types::<Event>().unwrap();
        assert!(names.starts_with(&["opened", "named", "moved", "pair"]), "{names:?}");
        assert_eq!(event_types::<Wrapped>().unwrap(), names);
    }

    #[test]
    fn old_shapes_are_lifted_step_by_step() {
        let upcasters =
            Upcasters::none().upcast("moved", |old| Ok(serde_json::json!({ "x": old }))).upcast("moved", |mut data| {
                data.as_object_mut().ok_or("not an object")?.insert("y".into(), 7.into());
                Ok(data)
            });
        let lifted = |version, payload| decode_event::<Event>(&upcasters, "moved", version, payload);
        assert_eq!(lifted(1, "5").unwrap(), Event::Moved { x: 5, y: Some(7) });
        assert_eq!(lifted(2, "{\"x\":5}").unwrap(), Event::Moved { x: 5, y: Some(7) });
        assert_eq!(lifted(3, "{\"x\":5,\"y\":6}").unwrap(), Event::Moved { x: 5, y: Some(6) });
        assert!(matches!(lifted(2, "5").unwrap_err(), EventError::Upcast { from: 2, .. }));
        assert!(matches!(lifted(4, "5").unwrap_err(), EventError::NewerSchema { .. }));
    }
}
