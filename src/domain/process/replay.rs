//! Reads a process's event: by its name it is the runner's note, or else the process manager's own.

use std::{fmt, marker::PhantomData};

use serde::{
    Deserialize as _, Deserializer,
    de::{DeserializeOwned, DeserializeSeed, IgnoredAny, IntoDeserializer, MapAccess, Visitor},
};

use super::{ProcessEvent, ProcessNote};

/// What the names of notes begin with.
pub(super) const NOTE: &str = "process-";

pub(super) fn deserialize<'de, D: Deserializer<'de>, E: DeserializeOwned>(
    deserializer: D,
) -> Result<ProcessEvent<E>, D::Error> {
    deserializer.deserialize_struct("ProcessEvent", &["type", "data"], Both(PhantomData))
}

struct Both<E>(PhantomData<fn() -> E>);

impl<'de, E: DeserializeOwned> Visitor<'de> for Both<E> {
    type Value = ProcessEvent<E>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event of a process: a tag and a content")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<ProcessEvent<E>, M::Error> {
        map.next_key::<IgnoredAny>()?;
        let tag: String = map.next_value()?;
        if tag.starts_with(NOTE) {
            return ProcessNote::deserialize(Again { tag, map }).map(ProcessEvent::Note);
        }
        E::deserialize(Again { tag, map }).map(ProcessEvent::Own)
    }
}

/// Offers the tag that was read, and then the content, once more.
struct Again<M> {
    tag: String,
    map: M,
}

impl<'de, M: MapAccess<'de>> Deserializer<'de> for Again<M> {
    type Error = M::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, M::Error> {
        self.deserialize_struct("", &["type", "data"], visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, M::Error> {
        let [tag, content] = *fields else {
            return Err(serde::de::Error::custom("it is a struct"));
        };
        visitor.visit_map(Parts { keys: [Some(tag), Some(content)], tag: Some(self.tag), map: self.map })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, M::Error> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct Parts<M> {
    keys: [Option<&'static str>; 2],
    tag: Option<String>,
    map: M,
}

impl<'de, M: MapAccess<'de>> MapAccess<'de> for Parts<M> {
    type Error = M::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, M::Error> {
        let [tag, content] = &mut self.keys;
        if let Some(key) = tag.take() {
            return seed.deserialize(key.into_deserializer()).map(Some);
        }
        match content.take() {
            Some(key) if self.map.next_key::<IgnoredAny>()?.is_some() => {
                seed.deserialize(key.into_deserializer()).map(Some)
            }
            _ => Ok(None),
        }
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, M::Error> {
        match self.tag.take() {
            Some(tag) => seed.deserialize(tag.into_deserializer()),
            None => self.map.next_value_seed(seed),
        }
    }
}
