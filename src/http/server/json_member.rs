//! One member of a JSON object, without reading the rest.

use std::fmt;

use serde::{
    Deserializer as _,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// What there is under a name in a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum JsonMember {
    /// No such member, or no object.
    Absent,
    /// A string.
    Text(String),
    /// Something else, `null` included.
    NoText,
    /// Two members of that name: which is meant nobody can tell.
    Twice,
    /// The body is not JSON.
    NoJson,
}

/// Looks a member of a body up.
pub(super) fn json_member(body: &[u8], name: &str) -> JsonMember {
    if body.trim_ascii_start().first() != Some(&b'{') {
        return match serde_json::from_slice::<IgnoredAny>(body) {
            Ok(_) => JsonMember::Absent,
            Err(_) => JsonMember::NoJson,
        };
    }
    let mut reader = serde_json::Deserializer::from_slice(body);
    match reader.deserialize_map(Find(name)).and_then(|found| reader.end().map(|()| found)) {
        Ok(found) => found,
        Err(_) => JsonMember::NoJson,
    }
}

struct Find<'n>(&'n str);

impl<'de> Visitor<'de> for Find<'_> {
    type Value = JsonMember;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<JsonMember, M::Error> {
        let mut found = JsonMember::Absent;
        while let Some(name) = map.next_key::<String>()? {
            if name != self.0 {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let value = map.next_value::<&'de RawValue>()?;
            found = match found {
                JsonMember::Absent => serde_json::from_str(value.get()).map_or(JsonMember::NoText, JsonMember::Text),
                _ => JsonMember::Twice,
            };
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::{JsonMember, json_member};

    #[test]
    fn a_member_is_found_or_it_is_said_why_not() {
        let text = |text: &str| JsonMember::Text(text.to_owned());
        for (body, found) in [
            ("{\"key\":\"abc\"}", text("abc")),
            (" { \"a\": [1, {\"key\":2}], \"k\\u0065y\" : \"a\\\"b\" } ", text("a\"b")),
            ("{\"a\":{\"key\":\"abc\"}}", JsonMember::Absent),
            ("{\"a\":1,\"a\":2}", JsonMember::Absent),
            ("[\"key\"]", JsonMember::Absent),
            ("null", JsonMember::Absent),
            ("{\"key\":null}", JsonMember::NoText),
            ("{\"key\":12}", JsonMember::NoText),
            ("{\"key\":\"a\",\"key\":\"a\"}", JsonMember::Twice),
            ("{\"key\":1,\"key\":\"a\",\"key\":\"a\"}", JsonMember::Twice),
            ("{\"key\":\"abc\"", JsonMember::NoJson),
            ("{\"key\":\"abc\"} x", JsonMember::NoJson),
            ("key=abc", JsonMember::NoJson),
            ("", JsonMember::NoJson),
        ] {
            assert_eq!(json_member(body.as_bytes(), "key"), found, "{body}");
        }
        assert_eq!(json_member(b"{\"key\":\"\xff\"}", "key"), JsonMember::NoJson);
    }
}
