//! What serde_json says of data that does not fit, without the data.

use serde::de::Error as _;

/// Takes the data out of a message: what a code's type expected, and where, may be told; what was found may be secret.
pub(crate) fn without_data(error: serde_json::Error) -> serde_json::Error {
    if !error.is_data() {
        return error;
    }
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = error.to_string();
    let message = text.strip_suffix(&place).unwrap_or(&text);
    let place = if error.line() == 0 { "" } else { &place };
    serde_json::Error::custom(format!("{}{place}", message_without_data(message)))
}

/// The forms are those of serde's own constructors. Any other message is some type's own, and may hold anything.
fn message_without_data(message: &str) -> String {
    if ["missing field `", "duplicate field `", "invalid length "].iter().any(|known| message.starts_with(known)) {
        return message.to_owned();
    }
    let forms = ["invalid type: ", "invalid value: ", "unknown variant ", "unknown field "];
    let Some(form) = forms.iter().find(|form| message.starts_with(**form)) else {
        return "a value does not fit".to_owned();
    };
    // Behind the last of these stands what the code expected; before the first mark, what kind of thing was found.
    let (found, expected) = message.rsplit_once(", expected ").unwrap_or((message, ""));
    let kind = found[form.len()..].split(['`', '"']).next().unwrap_or_default().trim_end();
    let told = format!("{form}{kind}");
    let told = told.trim_end().trim_end_matches(':');
    if expected.is_empty() { told.to_owned() } else { format!("{told}, expected {expected}") }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, de::DeserializeOwned};

    use super::without_data;

    fn told<T: DeserializeOwned>(json: &str) -> String {
        without_data(serde_json::from_str::<T>(json).err().unwrap()).to_string()
    }

    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Line {
        #[allow(dead_code, reason = "only its shape matters")]
        count: u8,
    }

    #[derive(Deserialize)]
    enum Kind {
        Known,
    }

    #[test]
    fn what_was_expected_is_told_and_what_was_found_is_not() {
        for (found, expected) in [
            (told::<Line>("{}"), "missing field `count` at line 1 column 2"),
            (
                told::<Line>("{\"count\":\"secret, expected x\"}"),
                "invalid type: string, expected u8 at line 1 column 29",
            ),
            (told::<Line>("{\"count\":4711}"), "invalid value: integer, expected u8 at line 1 column 13"),
            (told::<Line>("{\"count\":[\"secret\"]}"), "invalid type: sequence, expected u8 at line 1 column 9"),
            (told::<Line>("{\"secret\":1}"), "unknown field, expected `count` at line 1 column 9"),
            (told::<Kind>("\"secret\""), "unknown variant, expected `Known` at line 1 column 8"),
            (told::<uuid::Uuid>("\"secret\""), "a value does not fit at line 1 column 8"),
            (told::<u8>("1x"), "trailing characters at line 1 column 2"),
        ] {
            assert_eq!(found, expected);
        }
        let Kind::Known = serde_json::from_str("\"Known\"").unwrap();
    }
}
