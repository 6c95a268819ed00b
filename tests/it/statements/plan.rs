//! What is wrong with a plan of PostgreSQL's.

use serde_json::Value;

/// The tables that grow.
const TABLES: [&str; 10] = [
    "annals_events",
    "annals_receipts",
    "annals_snapshots",
    "annals_parked_events",
    "annals_responses",
    "annals_steps",
    "annals_client_keys",
    "annals_timers",
    "annals_inbox",
    "annals_inbox_places",
];

pub const NESTED_LOOP: &str = "a nested loop of rows in hand";

/// Finds what grows faster than the answer: tables that are walked through, not looked up by `key`, and rows in hand that are
/// joined each with each, unless one side is of those that have one row.
pub fn complaints(plan: &Value, key: &str, one_row: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    look(&plan[0]["Plan"], (key, one_row), &mut found);
    found
}

fn look(node: &Value, (key, one_row): (&str, &[&str]), found: &mut Vec<String>) {
    let kind = text(node, "Node Type");
    if TABLES.contains(&text(node, "Relation Name")) {
        let condition = text(node, "Index Cond");
        let is_read = kind.contains("Scan");
        // What was found and locked is taken where it lies.
        if is_read && kind != "Tid Scan" && !(kind.starts_with("Index") && condition.contains(key)) {
            found.push(format!("{kind} of {} by {condition:?}", text(node, "Relation Name")));
        }
    }
    let inputs: Vec<&Value> = inputs(node).collect();
    if let ("Nested Loop", [outer, inner]) = (kind, inputs.as_slice())
        && is_of_rows_in_hand(inner)
        && ![outer, inner].iter().any(|side| one_row.contains(&text(side, "CTE Name")))
    {
        found.push(NESTED_LOOP.to_owned());
    }
    node["Plans"].as_array().into_iter().flatten().for_each(|below| look(below, (key, one_row), found));
}

/// Tells whether every leaf is a batch's rows, so that whoever loops over them does so for each row again.
fn is_of_rows_in_hand(node: &Value) -> bool {
    let mut inputs = inputs(node).peekable();
    match inputs.peek() {
        Some(_) => inputs.all(is_of_rows_in_hand),
        None => matches!(text(node, "Node Type"), "CTE Scan" | "Function Scan"),
    }
}

/// What a node is fed by: not what was made before it, as CTEs and subplans are.
fn inputs(node: &Value) -> impl Iterator<Item = &Value> {
    let below = node["Plans"].as_array().into_iter().flatten();
    below.filter(|below| matches!(text(below, "Parent Relationship"), "Outer" | "Inner" | "Member" | "Subquery"))
}

/// Whether rows are put in order by a sort, at whatever depth.
pub fn sorts(node: &Value) -> bool {
    match node {
        Value::Object(fields) => {
            fields.get("Node Type").is_some_and(|kind| kind == "Sort") || fields.values().any(sorts)
        }
        Value::Array(nodes) => nodes.iter().any(sorts),
        _ => false,
    }
}

fn text<'p>(node: &'p Value, name: &str) -> &'p str {
    node[name].as_str().unwrap_or_default()
}
