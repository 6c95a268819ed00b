//! One text for every way of writing the same JSON.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::JsonPointer;

/// Tells why a text has no canonical form.
#[derive(Debug, thiserror::Error)]
#[error("no canonical form")]
pub struct CanonicalJsonError(#[from] serde_json::Error);

/// Rewrites JSON so that equal values become equal texts.
///
/// As in [RFC 8785](https://www.rfc-editor.org/rfc/rfc8785), members are sorted by their UTF-16 code units, strings are
/// escaped in one way and blanks are dropped. Unlike there, **numbers stay as they were written**: a detour through
/// `f64` would make 9007199254740992 and 9007199254740993 one. So `1` and `1.0` are two requests.
///
/// # Errors
///
/// [`CanonicalJsonError`] where the text is not JSON, has two members of one name in an object, or is nested deeper
/// than 128 levels.
pub fn canonical_json(json: &str) -> Result<String, CanonicalJsonError> {
    canonical_json_without(json, &[])
}

/// Rewrites JSON as [`canonical_json`] does, and leaves out what the pointers name.
///
/// A pointer to what is not there names nothing.
///
/// # Errors
///
/// As [`canonical_json`]; what is left out must be JSON, too.
pub fn canonical_json_without(json: &str, leave_out: &[JsonPointer]) -> Result<String, CanonicalJsonError> {
    let mut canonical = String::with_capacity(json.len());
    let leave_out: Vec<_> = leave_out.iter().map(JsonPointer::tokens).collect();
    write_value(serde_json::from_str(json)?, &leave_out, 0, &mut canonical)?;
    Ok(canonical)
}

/// As deep as serde_json itself goes.
const MAX_DEPTH: usize = 128;

/// `leave_out`: the pointers that lead into this value, each with the tokens that are still to come.
fn write_value(
    value: &RawValue,
    leave_out: &[&[String]],
    depth: usize,
    out: &mut String,
) -> Result<(), serde_json::Error> {
    let text = value.get().trim_ascii();
    if depth > MAX_DEPTH {
        return Err(serde::de::Error::custom("nested too deep"));
    }
    match text.as_bytes().first() {
        Some(b'{') => {
            let mut members: Vec<_> = serde_json::from_str::<Members<'_>>(text)?.0;
            members.retain(|(name, _)| !is_named(leave_out, name));
            members.sort_by_cached_key(|(name, _)| name.encode_utf16().collect::<Vec<_>>());
            write_list('{', '}', members, out, |(name, value), out| {
                write_string(&name, out)?;
                out.push(':');
                write_value(value, &inside(leave_out, &name), depth + 1, out)
            })
        }
        Some(b'[') => {
            let items = serde_json::from_str::<Items<'_>>(text)?.0;
            if leave_out.is_empty() {
                return write_list('[', ']', items, out, |item, out| write_value(item, &[], depth + 1, out));
            }
            let items = items.into_iter().enumerate().map(|(at, item)| (at.to_string(), item));
            let items: Vec<_> = items.filter(|(at, _)| !is_named(leave_out, at)).collect();
            write_list('[', ']', items, out, |(at, item), out| {
                write_value(item, &inside(leave_out, &at), depth + 1, out)
            })
        }
        Some(b'"') => write_string(&serde_json::from_str::<String>(text)?, out),
        _ => {
            out.push_str(text);
            Ok(())
        }
    }
}

/// A pointer ends at this member or item.
fn is_named(leave_out: &[&[String]], name: &str) -> bool {
    leave_out.iter().any(|tokens| matches!(tokens, [only] if only == name))
}

/// The pointers that lead on through this member or item.
fn inside<'p>(leave_out: &[&'p [String]], name: &str) -> Vec<&'p [String]> {
    let first_is_name = |tokens: &&'p [String]| tokens.first().is_some_and(|first| first == name);
    leave_out.iter().copied().filter(first_is_name).map(|tokens| &tokens[1..]).collect()
}

fn write_list<T>(
    open: char,
    close: char,
    parts: Vec<T>,
    out: &mut String,
    mut write: impl FnMut(T, &mut String) -> Result<(), serde_json::Error>,
) -> Result<(), serde_json::Error> {
    out.push(open);
    for (at, part) in parts.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(part, out)?;
    }
    out.push(close);
    Ok(())
}

/// serde_json escapes exactly what RFC 8785 §3.2.2.2 asks for, in its notation.
fn write_string(text: &str, out: &mut String) -> Result<(), serde_json::Error> {
    out.push_str(&serde_json::to_string(text)?);
    Ok(())
}

/// The members of an object, each name once.
struct Members<'a>(Vec<(String, &'a RawValue)>);

/// The items of an array.
struct Items<'a>(Vec<&'a RawValue>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Self::Value, M::Error> {
                let mut members: Vec<(String, &'de RawValue)> = Vec::new();
                let mut seen = HashSet::new();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    if !seen.insert(name.clone()) {
                        return Err(serde::de::Error::custom("two members of one name"));
                    }
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Collect)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Items<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;
        impl<'de> Visitor<'de> for Collect {
            type Value = Items<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array")
            }

            fn visit_seq<S: SeqAccess<'de>>(self, mut seq: S) -> Result<Self::Value, S::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element::<&'de RawValue>()? {
                    items.push(item);
                }
                Ok(Items(items))
            }
        }
        deserializer.deserialize_seq(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::{canonical_json, canonical_json_without};
    use crate::store::JsonPointer;

    fn same(one: &str, other: &str) -> bool {
        canonical_json(one).unwrap() == canonical_json(other).unwrap()
    }

    #[test]
    fn members_blanks_and_escapes_do_not_matter() {
        assert_eq!(
            canonical_json(" {\"b\" : [1, {\"d\":null,\"c\":\"\\u00e9\\/\"}] , \"a\":true}").unwrap(),
            "{\"a\":true,\"b\":[1,{\"c\":\"é/\",\"d\":null}]}"
        );
        assert!(same("\"\\u000a\\u0001\"", "\"\\n\\u0001\""));
    }

    #[test]
    fn members_are_sorted_by_utf_16() {
        // U+1F600 is D83D DE00 in UTF-16 and so comes before U+FB33, though its code point is greater.
        assert_eq!(canonical_json("{\"\u{fb33}\":1,\"\u{1f600}\":2}").unwrap(), "{\"\u{1f600}\":2,\"\u{fb33}\":1}");
    }

    #[test]
    fn numbers_stay_as_written() {
        assert!(!same("9007199254740992", "9007199254740993"));
        assert!(!same("1", "1.0"));
        assert!(!same("12345678901234567890123", "12345678901234567890124"));
        assert!(!same("0.1", "0.10000000000000001"));
        assert_eq!(canonical_json("[1e0, -0]").unwrap(), "[1e0,-0]");
    }

    #[test]
    fn what_is_pointed_at_is_left_out_and_the_rest_stays_as_written() {
        let json = "{\"a/b\":1,\"c\":[{\"d\":9007199254740993,\"e\":1},2],\"~\":0,\"0\":{\"c\":5}}";
        for (leave_out, left) in [
            (vec![], "{\"0\":{\"c\":5},\"a/b\":1,\"c\":[{\"d\":9007199254740993,\"e\":1},2],\"~\":0}"),
            (vec!["/a~1b", "/~0", "/0"], "{\"c\":[{\"d\":9007199254740993,\"e\":1},2]}"),
            (vec!["/a~1b", "/~0", "/0", "/c/0/e"], "{\"c\":[{\"d\":9007199254740993},2]}"),
            (vec!["/a~1b", "/~0", "/0", "/c/0/e", "/c/0"], "{\"c\":[2]}"),
            (vec!["/a~1b", "/~0", "/0/c", "/c"], "{\"0\":{}}"),
            (
                vec!["/d", "/c/-", "/c/00", "/c/2", "/a/b", "/a~1b/x", "/~0", "/c/1", "/c/0/e/f", "/0", "/"],
                "{\"a/b\":1,\"c\":[{\"d\":9007199254740993,\"e\":1}]}",
            ),
        ] {
            let pointers: Vec<_> = leave_out.iter().map(|pointer| JsonPointer::parse(pointer).unwrap()).collect();
            assert_eq!(canonical_json_without(json, &pointers).unwrap(), left, "{leave_out:?}");
        }
        assert!(canonical_json_without("{\"a\":1,\"a\":1}", &[JsonPointer::of_member("a")]).is_err());
    }

    #[test]
    fn what_is_absent_null_or_empty_differs() {
        let all = ["{}", "{\"a\":null}", "{\"a\":[]}", "{\"a\":{}}", "{\"a\":\"\"}"];
        for (at, one) in all.iter().enumerate() {
            assert!(all[at + 1..].iter().all(|other| !same(one, other)), "{one}");
        }
    }

    #[test]
    fn doubtful_json_is_refused() {
        for refused in ["{\"a\":1,\"a\":1}", "{\"a\":1,\"\\u0061\":2}", "{", "", "1 2", "[\"\\ud800\"]"] {
            assert!(canonical_json(refused).is_err(), "{refused}");
        }
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(canonical_json(&deep).is_err());
        let long = format!("[{}1]", "1,".repeat(100_000));
        assert_eq!(canonical_json(&long).unwrap(), long);
    }
}
