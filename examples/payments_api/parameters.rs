//! What a request's body says: a form, as Stripe's clients send it, or JSON.

use std::{collections::BTreeMap, str::FromStr};

use serde_json::Value;

use super::{api_error::ApiError, charge::Notes};

/// How many notes an object takes, and how many bytes their names and values have at the most.
const NOTES: usize = 50;
const NAME_BYTES: usize = 40;
const VALUE_BYTES: usize = 500;

/// The parameters of a request, until they are taken.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    values: BTreeMap<String, String>,
    metadata: Notes,
}

impl Parameters {
    /// Reads a form: `amount=2000&currency=eur&metadata[order]=42`.
    pub fn of_form(body: &[u8]) -> Result<Self, ApiError> {
        let mut parameters = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            parameters.put(&name, value.into_owned())?;
        }
        parameters.checked()
    }

    /// Reads an object: `{"amount":2000,"currency":"eur","metadata":{"order":"42"}}`. Numbers may stand in quotes.
    pub fn of_json(body: &[u8]) -> Result<Self, ApiError> {
        let unreadable = |error: serde_json::Error| {
            let (line, column) = (error.line(), error.column());
            ApiError::invalid(None, format!("the body is not a JSON object (line {line}, column {column})"))
        };
        let members: BTreeMap<String, Value> = serde_json::from_slice(body).map_err(unreadable)?;
        let mut parameters = Self::default();
        for (name, value) in members {
            match value {
                Value::Object(notes) if name == "metadata" => {
                    for (note, value) in notes {
                        let name = format!("metadata[{note}]");
                        let value = scalar(&name, value)?;
                        parameters.note(&note, value.unwrap_or_default())?;
                    }
                }
                value => {
                    if let Some(value) = scalar(&name, value)? {
                        parameters.put(&name, value)?;
                    }
                }
            }
        }
        parameters.checked()
    }

    /// Takes a parameter that has to be there.
    pub fn take<T: FromStr<Err: ToString>>(&mut self, name: &str) -> Result<T, ApiError> {
        let missing = || ApiError::missing(name);
        self.take_if_any(name)?.ok_or_else(missing)
    }

    /// Takes a parameter that may be there.
    pub fn take_if_any<T: FromStr<Err: ToString>>(&mut self, name: &str) -> Result<Option<T>, ApiError> {
        let unfit = |error: T::Err| ApiError::invalid(Some(name), error.to_string());
        self.values.remove(name).map(|value| value.parse().map_err(unfit)).transpose()
    }

    /// Takes the notes; whatever is left then is unknown, and refused: a misspelt parameter would be left out in silence.
    pub fn notes(self) -> Result<Notes, ApiError> {
        match self.values.into_keys().next() {
            Some(unknown) => Err(ApiError::invalid(Some(&unknown), format!("there is no parameter {unknown:?} here"))),
            None => Ok(self.metadata),
        }
    }

    fn put(&mut self, name: &str, value: String) -> Result<(), ApiError> {
        if let Some(note) = name.strip_prefix("metadata[").and_then(|note| note.strip_suffix(']')) {
            return self.note(note, value);
        }
        match self.values.insert(name.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(ApiError::invalid(Some(name), "the parameter is given twice")),
        }
    }

    fn note(&mut self, note: &str, value: String) -> Result<(), ApiError> {
        match self.metadata.insert(note.to_owned(), value) {
            None => Ok(()),
            Some(_) => Err(ApiError::invalid(Some(&format!("metadata[{note}]")), "the parameter is given twice")),
        }
    }

    fn checked(self) -> Result<Self, ApiError> {
        if self.metadata.len() > NOTES {
            return Err(ApiError::invalid(Some("metadata"), format!("at most {NOTES} notes are kept")));
        }
        let is_unfit = |(name, value): &(&String, &String)| {
            name.is_empty()
                || name.len() > NAME_BYTES
                || name.contains(['[', ']', '\0'])
                || value.len() > VALUE_BYTES
                || value.contains('\0')
        };
        match self.metadata.iter().find(is_unfit) {
            None => Ok(self),
            Some((name, _)) => Err(ApiError::invalid(
                Some(&format!("metadata[{}]", name.chars().take(NAME_BYTES).collect::<String>())),
                format!(
                    "a note has a name of 1 to {NAME_BYTES} bytes without brackets, a value of at most {VALUE_BYTES} \
                     bytes, and no zero bytes"
                ),
            )),
        }
    }
}

/// A value without parts, as text: numbers as they were written. `None`: null, as if it were left out.
fn scalar(name: &str, value: Value) -> Result<Option<String>, ApiError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) => Ok(Some(text)),
        Value::Number(number) => Ok(Some(number.to_string())),
        Value::Bool(is_true) => Ok(Some(is_true.to_string())),
        Value::Array(_) | Value::Object(_) => Err(ApiError::invalid(Some(name), "this takes a single value")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::amount::Amount;
    use super::*;

    #[test]
    fn a_form_and_json_say_the_same() {
        let form = Parameters::of_form(b"amount=2000&currency=eur&metadata%5Border%5D=42&metadata[note]=a+b").unwrap();
        let json = br#"{"metadata":{"note":"a b","order":42},"currency":"eur","amount":"2000","source":null}"#;
        assert_eq!(form, Parameters::of_json(json).unwrap());
    }

    #[test]
    fn a_parameter_is_taken_once_and_none_is_left_over() {
        let mut parameters = Parameters::of_form(b"amount=5&amonut=6&metadata[a]=b").unwrap();
        assert_eq!(parameters.take::<Amount>("amount").unwrap().units(), 5);
        assert_eq!(parameters.take::<Amount>("amount").unwrap_err().param(), Some("amount"));
        assert_eq!(parameters.notes().unwrap_err().param(), Some("amonut"));
    }

    #[test]
    fn what_is_unfit_is_named() {
        let long = format!("metadata[a]={}", "x".repeat(501));
        let many = (0..51).map(|note| format!("metadata[{note}]=x&")).collect::<String>();
        for (form, param) in [
            ("amount=1&amount=1", "amount"),
            ("metadata[a]=1&metadata[a]=1", "metadata[a]"),
            ("metadata[]=1", "metadata[]"),
            ("metadata[a][b]=1", "metadata[a][b]"),
            ("metadata[a]=%00", "metadata[a]"),
            (&long, "metadata[a]"),
            (&many, "metadata"),
        ] {
            assert_eq!(Parameters::of_form(form.as_bytes()).unwrap_err().param(), Some(param), "{form}");
        }
        for (json, param) in [
            (r#"{"amount":[1]}"#, Some("amount")),
            (r#"{"metadata":{"a":{"b":1}}}"#, Some("metadata[a]")),
            (r#"{"metadata":5,"metadata[a]":5"#, None),
            ("[]", None),
            ("", None),
        ] {
            assert_eq!(Parameters::of_json(json.as_bytes()).unwrap_err().param(), param, "{json}");
        }
    }
}
