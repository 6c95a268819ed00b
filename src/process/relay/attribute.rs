//! The rules for attributes of CloudEvents 1.0.

use crate::store::Error;

/// A number that is ordered as a text: as the extension `sequence` asks for. A CloudEvent's own integers have 32 bits.
pub(super) fn ordered(number: u64) -> String {
    format!("{number:020}")
}

/// Tells whether an attribute can have this name: lower-case letters and digits.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit())
}

/// Tells whether a text can be an attribute's value: no control characters, and no characters that are none.
pub(super) fn is_text(text: &str) -> bool {
    text.chars().all(|char| !char.is_control() && !is_noncharacter(char))
}

const fn is_noncharacter(char: char) -> bool {
    let code = char as u32;
    matches!(code, 0xFDD0..=0xFDEF) || code & 0xFFFE == 0xFFFE
}

/// Makes sure that a text can be the value of an attribute that has to be there.
pub(super) fn check_required(name: &str, text: &str) -> Result<(), Error> {
    if text.is_empty() || !is_text(text) {
        return Err(Error::invalid(format!(
            "the attribute {name} of a CloudEvent is a text without control characters"
        )));
    }
    Ok(())
}

/// Tells whether a text can stand for a URI-reference: the characters that RFC 3986 has, percent signs before two digits.
pub(super) fn is_uri_reference(text: &str) -> bool {
    let bytes = text.as_bytes();
    let is_fit = |(at, byte): (usize, &u8)| match byte {
        b'%' => bytes.get(at + 1..at + 3).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)),
        byte => byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(byte),
    };
    !text.is_empty() && bytes.iter().enumerate().all(is_fit)
}

/// Tells whether a text is the `traceparent` of W3C's trace context, version 00.
pub(super) fn is_traceparent(text: &str) -> bool {
    let is_hex = |part: &str, digits: usize| {
        part.len() == digits && part.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    };
    let is_set = |part: &str| part.bytes().any(|byte| byte != b'0');
    let parts: Vec<&str> = text.split('-').collect();
    let [version, trace, span, flags] = parts[..] else { return false };
    version == "00" && is_hex(trace, 32) && is_set(trace) && is_hex(span, 16) && is_set(span) && is_hex(flags, 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_texts_and_references_are_what_the_standard_says() {
        assert!(is_name("aggregatetype") && is_name("x1"));
        assert!(!is_name("") && !is_name("aggregate_type") && !is_name("Type"));
        assert!(is_text("") && is_text("ä ∞ 𝄞"));
        for wrong in ["a\nb", "\u{7f}", "\u{85}", "\u{fdd0}", "\u{ffff}", "\u{1fffe}"] {
            assert!(!is_text(wrong), "{wrong:?}");
        }
        assert!(
            is_uri_reference("/orders")
                && is_uri_reference("urn:example:a%20b")
                && is_uri_reference("https://a.b/c?d#e")
        );
        for wrong in ["", "a b", "%2", "%zz", "ä", "<a>"] {
            assert!(!is_uri_reference(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn numbers_are_ordered_as_texts() {
        assert_eq!(ordered(7), "00000000000000000007");
        assert!(ordered(9) < ordered(10) && ordered(10) < ordered(u64::MAX));
    }

    #[test]
    fn a_traceparent_is_told_from_what_only_looks_like_one() {
        let sound = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert!(is_traceparent(sound));
        for wrong in [&sound[..54], &sound.to_uppercase(), &sound.replace("4bf9", "4bg9"), "", "00---"] {
            assert!(!is_traceparent(wrong), "{wrong}");
        }
        assert!(!is_traceparent("00-00000000000000000000000000000000-00f067aa0ba902b7-01"));
    }
}
