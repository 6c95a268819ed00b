//! The shape of a JSON value: which paths it has, and what kind of value lies at each.

use std::collections::BTreeSet;

use serde_json::Value;

/// Holds the paths of a JSON value with the kinds found there. Values themselves do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JsonShape(BTreeSet<(String, &'static str)>);

impl JsonShape {
    pub(super) fn of(value: &Value) -> Self {
        let mut paths = BTreeSet::new();
        walk("data", value, &mut paths);
        Self(paths)
    }

    /// Lists what `other` has lost and gained, one path per line.
    pub(super) fn differences(&self, other: &Self) -> Vec<String> {
        let lost = self.0.difference(&other.0).map(|(path, kind)| format!("- {path}: {kind}"));
        let gained = other.0.difference(&self.0).map(|(path, kind)| format!("+ {path}: {kind}"));
        lost.chain(gained).collect()
    }
}

fn walk(path: &str, value: &Value, paths: &mut BTreeSet<(String, &'static str)>) {
    paths.insert((path.to_owned(), kind(value)));
    match value {
        // All elements lie at one path: how many there are is not part of the shape.
        Value::Array(elements) => elements.iter().for_each(|element| walk(&format!("{path}[]"), element, paths)),
        Value::Object(members) => {
            members.iter().for_each(|(name, member)| walk(&format!("{path}.{name}"), member, paths))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::JsonShape;

    #[test]
    fn values_do_not_count_but_paths_and_kinds_do() {
        let shape = JsonShape::of(&json!({ "lines": [{ "sku": "a", "price": 1 }], "note": null }));
        let same =
            JsonShape::of(&json!({ "note": null, "lines": [{ "price": 2.5, "sku": "b" }, { "sku": "", "price": 0 }] }));
        assert_eq!(shape, same);
        let other = JsonShape::of(&json!({ "lines": [{ "sku": 7, "price": 1 }] }));
        assert_eq!(
            shape.differences(&other),
            ["- data.lines[].sku: string", "- data.note: null", "+ data.lines[].sku: number"]
        );
    }
}
