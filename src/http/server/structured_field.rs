//! Structured fields, as far as keys need them: an item that is a string, with parameters.

/// Tells what is wrong with a field that should be one quoted string.
///
/// Never says what was sent.
pub(super) type Flaw = &'static str;

/// Reads a field that is one string of [RFC 9651](https://www.rfc-editor.org/rfc/rfc9651), which replaced RFC 8941.
///
/// Parameters are read by their grammar and then dropped: a flaw in them is a flaw of the field, as in any list or item.
pub(super) fn string_item(field: &[u8]) -> Result<String, Flaw> {
    let mut rest = Rest(field);
    rest.skip_blanks();
    let text = rest.string()?;
    rest.parameters()?;
    rest.skip_blanks();
    match rest.peek() {
        None => Ok(text),
        Some(b',') => Err("there is more than one key"),
        Some(_) => Err("something stands behind the closing quote"),
    }
}

/// What has not been read yet.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    fn peek(&self) -> Option<u8> {
        self.0.first().copied()
    }

    fn next(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.peek() == Some(byte);
        if is_there {
            self.0 = &self.0[1..];
        }
        is_there
    }

    fn skip_blanks(&mut self) {
        while self.take(b' ') {}
    }

    /// Skips what `fits`; says how much it was.
    fn skip(&mut self, fits: impl Fn(u8) -> bool) -> usize {
        let found = self.0.iter().take_while(|byte| fits(**byte)).count();
        self.0 = &self.0[found..];
        found
    }

    fn string(&mut self) -> Result<String, Flaw> {
        if !self.take(b'"') {
            return Err("the key does not stand in double quotes");
        }
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err("the closing quote is missing"),
                Some(b'"') => return Ok(text),
                Some(b'\\') => match self.next() {
                    Some(escaped @ (b'"' | b'\\')) => text.push(char::from(escaped)),
                    _ => return Err("a backslash may stand before a quote or a backslash only"),
                },
                Some(byte @ b' '..=b'~') => text.push(char::from(byte)),
                Some(_) => return Err("there is a byte that is no visible ASCII character"),
            }
        }
    }

    fn parameters(&mut self) -> Result<(), Flaw> {
        while self.take(b';') {
            self.skip_blanks();
            if !self.peek().is_some_and(|byte| byte.is_ascii_lowercase() || byte == b'*') {
                return Err("a parameter has no name");
            }
            self.skip(|byte| {
                byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'-' | b'.' | b'*')
            });
            if self.take(b'=') {
                self.bare_item().ok_or("a parameter's value is malformed")?;
            }
        }
        Ok(())
    }

    fn bare_item(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().ok().map(drop),
            b'-' | b'0'..=b'9' => self.number().map(drop),
            b'?' => {
                self.next();
                (self.take(b'0') || self.take(b'1')).then_some(())
            }
            b':' => self.bytes(),
            b'@' => {
                self.next();
                self.number()?.then_some(())
            }
            b'%' => self.display_string(),
            byte if byte.is_ascii_alphabetic() || byte == b'*' => {
                self.skip(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&byte));
                Some(())
            }
            _ => None,
        }
    }

    /// Up to 15 digits, or up to 12 with up to 3 behind the point. Says whether it is whole.
    fn number(&mut self) -> Option<bool> {
        self.take(b'-');
        let whole = self.skip(|byte| byte.is_ascii_digit());
        if !self.take(b'.') {
            return (1..=15).contains(&whole).then_some(true);
        }
        let fraction = self.skip(|byte| byte.is_ascii_digit());
        ((1..=12).contains(&whole) && (1..=3).contains(&fraction)).then_some(false)
    }

    fn bytes(&mut self) -> Option<()> {
        self.next();
        self.skip(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
        self.take(b':').then_some(())
    }

    /// `%"caf%c3%a9"`: visible ASCII, and lower-case percent escapes that make UTF-8.
    fn display_string(&mut self) -> Option<()> {
        self.next();
        if !self.take(b'"') {
            return None;
        }
        let mut text = Vec::new();
        loop {
            match self.next()? {
                b'"' => return std::str::from_utf8(&text).ok().map(drop),
                b'%' => {
                    let (high, low) = (lower_hex(self.next()?)?, lower_hex(self.next()?)?);
                    text.push(high << 4 | low);
                }
                byte @ b' '..=b'~' => text.push(byte),
                _ => return None,
            }
        }
    }
}

const fn lower_hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::string_item;

    #[test]
    fn strings_are_read_with_their_escapes() {
        for (field, text) in [
            (r#""abc""#, "abc"),
            (r#"  "abc"  "#, "abc"),
            (r#""a\"b\\c""#, r#"a"b\c"#),
            (r#""a, b;c=d""#, "a, b;c=d"),
            (r#""""#, ""),
        ] {
            assert_eq!(string_item(field.as_bytes()).as_deref(), Ok(text), "{field}");
        }
    }

    #[test]
    fn parameters_of_every_type_are_dropped() {
        for parameters in [
            ";v",
            ";v=1",
            ";  v=-12.345",
            "; *a_b-c.d*=?0;b=?1",
            ";v=\"x\\\"y\"",
            ";v=tok/en:1",
            ";v=*a",
            ";v=:aGk=:",
            ";v=::",
            ";v=@1659578233",
            ";v=%\"caf%c3%a9\"",
            ";a;b;c=1",
            ";v=123456789012345",
        ] {
            assert_eq!(string_item(format!("\"abc\"{parameters}").as_bytes()).as_deref(), Ok("abc"), "{parameters}");
        }
        for parameters in [
            ";",
            ";1=a",
            ";V=1",
            ";v=",
            ";v=-",
            ";v=1.",
            ";v=1.2345",
            ";v=1234567890123456",
            ";v=?2",
            ";v=:a",
            ";v=@1.5",
            ";v=%\"%C3%A9\"",
            ";v=%\"%ff\"",
            ";v=%x",
            ";v=\"x",
            ";v=(1 2)",
            ";v =1",
            ";v= 1",
            " ;v=1",
            "=1",
            ";v=\u{e9}",
        ] {
            assert!(string_item(format!("\"abc\"{parameters}").as_bytes()).is_err(), "{parameters}");
        }
    }

    #[test]
    fn whatever_else_is_refused() {
        for field in [
            "",
            " ",
            "abc",
            "\"abc",
            "abc\"",
            "\"a\"b\"",
            "\"a\\x\"",
            "\"a\\",
            "\"a\", \"b\"",
            "\"a\",\"a\"",
            "'a'",
            "\"a\tb\"",
            "\"a\u{7f}\"",
            "\"\u{e9}\"",
            ":YQ==:",
            "(\"a\")",
        ] {
            assert!(string_item(field.as_bytes()).is_err(), "{field:?}");
        }
    }
}
