//! One way of writing a path or a query.

/// What stands for itself in paths and queries: RFC 3986's reserved characters mean something where they are bare and
/// something else where they are escaped.
const RESERVED: &[u8] = b":/?#[]@!$&'()*+,;=";

/// Writes percent escapes in one way (RFC 3986 §6.2.2).
///
/// What needs no escape has none, what needs one has it in upper case. A `%` that begins no escape stays.
pub(super) fn one_form(text: &str) -> Vec<u8> {
    let mut form = Vec::with_capacity(text.len());
    let mut bytes = text.as_bytes();
    while let [first, rest @ ..] = bytes {
        bytes = rest;
        let (byte, was_escaped) = match (*first, rest) {
            (b'%', [high, low, behind @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    bytes = behind;
                    (high << 4 | low, true)
                }
                _ => {
                    form.push(b'%');
                    continue;
                }
            },
            (b'%', _) => {
                form.push(b'%');
                continue;
            }
            (byte, _) => (byte, false),
        };
        if is_unreserved(byte) || (RESERVED.contains(&byte) && !was_escaped) {
            form.push(byte);
        } else {
            form.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
    form
}

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// The value of a hexadecimal digit.
pub(super) const fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::one_form;

    #[test]
    fn escapes_are_written_in_one_way() {
        for (one, other) in [
            ("/%7Eann", "/~ann"),
            ("/%7eann", "/~ann"),
            ("/%c3%a9", "/%C3%A9"),
            ("/%C3%A9", "/\u{e9}"),
            ("/a|b", "/a%7Cb"),
            ("a=%41", "a=A"),
        ] {
            assert_eq!(one_form(one), one_form(other), "{one} {other}");
        }
    }

    #[test]
    fn what_means_something_else_stays_apart() {
        for (one, other) in [
            ("/a%2Fb", "/a/b"),
            ("/a", "/a/"),
            ("a=1%262", "a=1&2"),
            ("a=1+2", "a=1%2B2"),
            ("a=1&b=2", "b=2&a=1"),
            ("/%2541", "/A"),
            ("/%zz", "/%25zz"),
            ("/%4", "/%254"),
            ("/A", "/a"),
            ("/a/../b", "/b"),
        ] {
            assert_ne!(one_form(one), one_form(other), "{one} {other}");
        }
    }
}
