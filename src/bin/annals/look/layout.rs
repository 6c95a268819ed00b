//! JSON, laid out for people: members by name, numbers as they were written, in their own order.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// How wide a line is where nobody looks at it on a terminal.
const WIDTH: usize = 100;

/// What a line never is narrower than.
const NARROWEST: usize = 40;

/// How deep members are taken apart; what lies deeper is shown as it stands.
const DEPTH: usize = 16;

/// JSON, taken apart. Unlike a `Value` it keeps the order of members and every digit.
enum Node<'j> {
    Members(Vec<(String, Self)>),
    Items(Vec<Self>),
    Text(String),
    /// A number, true, false or null; or what is not taken apart.
    Other(&'j str),
}

struct Members<'j>(Vec<(String, &'j RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct InOrder;
        impl<'de> Visitor<'de> for InOrder {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(InOrder)
    }
}

impl<'j> Node<'j> {
    fn of(json: &'j str, depth: usize) -> Self {
        let json = json.trim();
        let node = match json.as_bytes().first() {
            _ if depth == 0 => None,
            Some(b'{') => serde_json::from_str(json).ok().map(|Members(members)| {
                let members = members.into_iter().map(|(name, value)| (name, Self::of(value.get(), depth - 1)));
                Self::Members(members.collect())
            }),
            Some(b'[') => serde_json::from_str(json).ok().map(|items: Vec<&RawValue>| {
                Self::Items(items.into_iter().map(|item| Self::of(item.get(), depth - 1)).collect())
            }),
            Some(b'"') => serde_json::from_str(json).ok().map(Self::Text),
            _ => None,
        };
        node.unwrap_or(Self::Other(json))
    }

    /// Writes it on one line, but not much more than so many bytes of it.
    fn write(&self, line: &mut String, most: usize) {
        if line.len() > most {
            return;
        }
        match self {
            Self::Members(members) => {
                line.push('{');
                write_members(members, line, most);
                line.push('}');
            }
            Self::Items(items) => {
                line.push('[');
                for (at, item) in items.iter().enumerate() {
                    if line.len() > most {
                        return;
                    }
                    line.push_str(if at == 0 { "" } else { ", " });
                    item.write(line, most);
                }
                line.push(']');
            }
            Self::Text(text) => line.push_str(&bare(text)),
            Self::Other(json) => line.push_str(&plain(json)),
        }
    }

    fn line(&self, most: usize) -> String {
        let mut line = String::new();
        self.write(&mut line, most);
        line
    }
}

fn write_members(members: &[(String, Node<'_>)], line: &mut String, most: usize) {
    for (at, (name, value)) in members.iter().enumerate() {
        if line.len() > most {
            return;
        }
        line.push_str(if at == 0 { "" } else { ", " });
        line.push_str(&bare(name));
        line.push_str(": ");
        value.write(line, most);
    }
}

/// A text without quotes, where nobody can take it for anything else.
fn bare(text: &str) -> String {
    let is_clear = !text.is_empty()
        && text.trim() == text
        && !text.contains(['"', ',', '{', '}', '[', ']', '\\'])
        && !text.contains(": ")
        && !text.ends_with(':')
        && !text.contains(char::is_control)
        && serde_json::from_str::<&RawValue>(text).is_err();
    if is_clear { text.to_owned() } else { plain(&serde_json::Value::from(text).to_string()) }
}

/// A text whose control characters cannot do anything to a terminal.
pub fn plain(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '\n' | '\r' | '\t' => shown.push(' '),
            character if character.is_control() => shown.extend(character.escape_default()),
            character => shown.push(character),
        }
    }
    shown
}

/// JSON on one line; an object without its braces. What comes after so many bytes may be missing.
pub fn line_of(json: &str, most: usize) -> String {
    match Node::of(json, DEPTH) {
        Node::Members(members) => {
            let mut line = String::new();
            write_members(&members, &mut line, most);
            line
        }
        node => node.line(most),
    }
}

/// Lines for people to read.
#[derive(Debug)]
pub struct Layout {
    width: usize,
    text: String,
}

impl Layout {
    /// Lays out JSON for lines of this width, the first column of which is so far to the right.
    pub fn of(json: &str, indent: usize, width: Option<usize>) -> String {
        let width = width.unwrap_or(WIDTH).max(indent + NARROWEST);
        let mut layout = Self { width, text: String::new() };
        match Node::of(json, DEPTH) {
            Node::Members(members) => layout.members(&members, indent),
            node => layout.node(&node, indent),
        }
        layout.text
    }

    fn room(&self, indent: usize) -> usize {
        self.width.saturating_sub(indent).max(NARROWEST)
    }

    fn line(&mut self, indent: usize, line: &str) {
        self.text.extend(std::iter::repeat_n(' ', indent));
        self.text.push_str(line);
        self.text.push('\n');
    }

    fn fits(&self, line: &str, indent: usize) -> bool {
        line.chars().count() <= self.room(indent)
    }

    /// Short members share lines, long ones have their own.
    fn members(&mut self, members: &[(String, Node<'_>)], indent: usize) {
        let mut shared = String::new();
        for (name, value) in members {
            let (name, most) = (bare(name), self.room(indent) * 4);
            let short = format!("{name}: {}", value.line(most));
            let together = if shared.is_empty() { short.clone() } else { format!("{shared}, {short}") };
            if self.fits(&together, indent) {
                shared = together;
                continue;
            }
            if !shared.is_empty() {
                self.line(indent, &shared);
                shared.clear();
            }
            if self.fits(&short, indent) {
                shared = short;
            } else {
                self.line(indent, &format!("{name}:"));
                self.node(value, indent + 2);
            }
        }
        if !shared.is_empty() {
            self.line(indent, &shared);
        }
    }

    fn node(&mut self, node: &Node<'_>, indent: usize) {
        let short = node.line(self.room(indent) * 4);
        match node {
            _ if self.fits(&short, indent) => self.line(indent, &short),
            Node::Members(members) => self.members(members, indent),
            Node::Items(items) => {
                for item in items {
                    let begin = self.text.len() + indent;
                    self.node(item, indent + 2);
                    self.text.replace_range(begin..=begin, "-");
                }
            }
            Node::Text(text) => self.wrapped(&bare(text), indent),
            Node::Other(json) => self.wrapped(&plain(json), indent),
        }
    }

    /// A long text, broken at blanks where it has some.
    fn wrapped(&mut self, text: &str, indent: usize) {
        let room = self.room(indent);
        let mut rest = text;
        while !rest.is_empty() {
            let edge = rest.char_indices().nth(room).map_or(rest.len(), |(at, _)| at);
            let (mut line, mut behind) = rest.split_at(edge);
            if !behind.is_empty()
                && !behind.starts_with(' ')
                && let Some(blank) = line.rfind(' ').filter(|blank| *blank > 0)
            {
                (line, behind) = rest.split_at(blank);
            }
            self.line(indent, line.trim_end());
            rest = behind.trim_start();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Layout, line_of, plain};

    #[test]
    fn json_is_shown_in_its_own_order_with_every_digit() {
        let json = r#"{"total":10.00,"big":9007199254740993,"country":"United Kingdom","code":"17","note":"a, b","none":null,"lines":[{"sku":"85123A"},[]],"":""}"#;
        let line = r#"total: 10.00, big: 9007199254740993, country: United Kingdom, code: "17", note: "a, b", none: null, lines: [{sku: 85123A}, []], "": """#;
        assert_eq!(line_of(json, usize::MAX), line);
        assert_eq!(line_of("null", 9), "null");
        assert_eq!(line_of("\"x\"", 9), "x");
        assert_eq!(line_of("{broken", 9), "{broken");
        assert!(line_of(json, 20).starts_with("total: 10.00, big: 9"));
    }

    #[test]
    fn what_is_long_is_broken_into_lines() {
        let json = r#"{"customer":17850,"country":"United Kingdom","note":"one two three four five six seven eight nine ten","lines":[{"sku":"85123A","text":"WHITE HANGING HEART"},{"sku":"71053","text":"WHITE METAL LANTERN"}],"paid":true}"#;
        let shown = "  customer: 17850, country: United Kingdom
  note:
    one two three four five six seven eight
    nine ten
  lines:
    - {sku: 85123A, text: WHITE HANGING HEART}
    - sku: \"71053\", text: WHITE METAL LANTERN
  paid: true
";
        assert_eq!(Layout::of(json, 2, Some(40)), shown);
        let blob = format!("\"{}\"", "x".repeat(95));
        assert_eq!(Layout::of(&blob, 0, Some(40)), format!("{0}\n{0}\n{1}\n", "x".repeat(40), "x".repeat(15)));
    }

    #[test]
    fn what_could_do_something_to_a_terminal_is_shown_as_what_it_is() {
        assert_eq!(plain("a\u{1b}[31m\nb\u{9b}"), "a\\u{1b}[31m b\\u{9b}");
        assert_eq!(line_of(r#"{"a":"\u001b[2J","b\u0007":1}"#, 99), r#"a: "\u001b[2J", "b\u0007": 1"#);
    }
}
