//! One text for every way of writing the same JSON.

use serde::de::{Error as _, IgnoredAny};

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
    // First of all it is JSON: from here on only what JSON does not say is looked at.
    serde_json::from_str::<IgnoredAny>(json)?;
    let leave_out: Vec<_> = leave_out.iter().map(JsonPointer::tokens).collect();
    let mut canonical = String::with_capacity(json.len());
    Rewriter { json, at: 0 }.value(&leave_out, 0, &mut canonical)?;
    Ok(canonical)
}

/// As deep as serde_json itself goes.
const MAX_DEPTH: usize = 128;

/// Rewrites a text that is known to be JSON, in one walk: what is nested is not read once for each level.
struct Rewriter<'j> {
    json: &'j str,
    at: usize,
}

/// The pointers that lead into a value, each with the tokens that are still to come.
type LeaveOut<'l, 'p> = &'l [&'p [String]];

impl<'j> Rewriter<'j> {
    fn value(&mut self, leave_out: LeaveOut<'_, '_>, depth: usize, out: &mut String) -> Result<(), serde_json::Error> {
        if depth > MAX_DEPTH {
            return Err(serde_json::Error::custom("nested too deep"));
        }
        match self.next() {
            Some(b'{') => self.object(leave_out, depth, out),
            Some(b'[') => self.array(leave_out, depth, out),
            Some(b'"') => write_string(&self.text()?, out),
            _ => {
                let rest = &self.json.as_bytes()[self.at..];
                let ends = |byte: &u8| matches!(byte, b',' | b']' | b'}') || byte.is_ascii_whitespace();
                let length = rest.iter().position(ends).unwrap_or(rest.len());
                out.push_str(&self.json[self.at..self.at + length]);
                self.at += length;
                Ok(())
            }
        }
    }

    fn object(&mut self, leave_out: LeaveOut<'_, '_>, depth: usize, out: &mut String) -> Result<(), serde_json::Error> {
        let mut members = Vec::new();
        let open = self.open(out);
        while self.has_more(b'}') {
            let name = self.text()?;
            // The colon.
            self.next();
            self.at += 1;
            let is_left_out = is_named(leave_out, &name);
            let begin = begin_part(out, open);
            if !is_left_out {
                write_string(&name, out)?;
                out.push(':');
            }
            self.value(&inside(leave_out, &name), depth + 1, out)?;
            if is_left_out {
                out.truncate(begin.whole);
            }
            members.push((name, begin.part..out.len(), is_left_out));
        }
        sort_members(members, open, out)?;
        out.push('}');
        Ok(())
    }

    fn array(&mut self, leave_out: LeaveOut<'_, '_>, depth: usize, out: &mut String) -> Result<(), serde_json::Error> {
        let open = self.open(out);
        let mut place = 0_usize;
        while self.has_more(b']') {
            let begin = begin_part(out, open);
            if leave_out.is_empty() {
                self.value(&[], depth + 1, out)?;
            } else {
                let name = place.to_string();
                self.value(&inside(leave_out, &name), depth + 1, out)?;
                if is_named(leave_out, &name) {
                    out.truncate(begin.whole);
                }
            }
            place += 1;
        }
        out.push(']');
        Ok(())
    }

    /// Goes past an opening bracket; where what is inside begins in the output.
    fn open(&mut self, out: &mut String) -> usize {
        out.push_str(&self.json[self.at..=self.at]);
        self.at += 1;
        out.len()
    }

    /// Goes to the next part, or past the closing bracket.
    fn has_more(&mut self, close: u8) -> bool {
        if self.next() == Some(b',') {
            self.at += 1;
        }
        let next = self.next();
        if next == Some(close) {
            self.at += 1;
        }
        next.is_some_and(|next| next != close)
    }

    /// Goes past blanks; the byte behind them.
    fn next(&mut self) -> Option<u8> {
        let rest = &self.json.as_bytes()[self.at..];
        let blanks = rest.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(rest.len());
        self.at += blanks;
        rest.get(blanks).copied()
    }

    /// Goes past a string; what it says.
    fn text(&mut self) -> Result<String, serde_json::Error> {
        self.next();
        let begin = self.at;
        let (mut is_escaped, mut quotes) = (false, 0);
        for &byte in &self.json.as_bytes()[begin..] {
            self.at += 1;
            match byte {
                _ if is_escaped => is_escaped = false,
                b'\\' => is_escaped = true,
                b'"' => quotes += 1,
                _ => {}
            }
            if quotes == 2 {
                break;
            }
        }
        serde_json::from_str(&self.json[begin..self.at])
    }
}

/// Where a member or item begins in the output: with the comma before it, and without.
struct Begin {
    whole: usize,
    part: usize,
}

fn begin_part(out: &mut String, open: usize) -> Begin {
    let whole = out.len();
    if whole > open {
        out.push(',');
    }
    Begin { whole, part: out.len() }
}

/// Puts the members of an object, as they were written, into their order; each name once, also of those left out.
fn sort_members(
    mut members: Vec<(String, std::ops::Range<usize>, bool)>,
    open: usize,
    out: &mut String,
) -> Result<(), serde_json::Error> {
    let in_utf_16 = |one: &str, other: &str| one.encode_utf16().cmp(other.encode_utf16());
    if members.is_sorted_by(|one, other| in_utf_16(&one.0, &other.0).is_lt()) {
        return Ok(());
    }
    members.sort_by(|one, other| in_utf_16(&one.0, &other.0));
    if members.windows(2).any(|pair| pair[0].0 == pair[1].0) {
        return Err(serde_json::Error::custom("two members of one name"));
    }
    let kept: Vec<_> =
        members.into_iter().filter(|(.., is_left_out)| !is_left_out).map(|(_, part, _)| &out[part]).collect();
    let sorted = kept.join(",");
    out.truncate(open);
    out.push_str(&sorted);
    Ok(())
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

/// serde_json escapes exactly what RFC 8785 §3.2.2.2 asks for, in its notation.
fn write_string(text: &str, out: &mut String) -> Result<(), serde_json::Error> {
    out.push_str(&serde_json::to_string(text)?);
    Ok(())
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
    fn what_is_nested_deep_is_read_once() {
        let wide = format!("\"{}\"", "x".repeat(100));
        let nested = |open: &str, close: &str, levels: usize| open.repeat(levels) + &wide + &close.repeat(levels);
        for (open, close) in [("[", "]"), ("{\"b\":1,\"a\":", "}"), ("{\"a\":", ",\"b\":1}")] {
            assert!(canonical_json(&nested(open, close, 128)).is_ok());
            assert!(canonical_json(&nested(open, close, 129)).is_err());
        }
        assert_eq!(canonical_json("{\"b\":{\"d\":1,\"c\":2},\"a\":[]}").unwrap(), "{\"a\":[],\"b\":{\"c\":2,\"d\":1}}");
        assert_eq!(canonical_json(" [ ] ").unwrap(), "[]");
        assert_eq!(
            canonical_json("{ \"a\\\"b\\\\\" : \"}\" , \"a\" : -0.0e-1 }").unwrap(),
            "{\"a\":-0.0e-1,\"a\\\"b\\\\\":\"}\"}"
        );
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
