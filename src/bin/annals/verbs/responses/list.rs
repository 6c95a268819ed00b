//! `annals responses list`.

use annals::{
    IdempotencyKey, ResponseStore, ScopedKey,
    store::{ResponseQuery, ResponseRow, ResponseState},
};
use clap::{Args as ClapArgs, ValueEnum};
use serde_json::{Value, json};

use super::{PAGE, endpoint, scope};
use crate::{
    args::Session,
    ending::{Ended, Failure},
    printer::{exact, time},
};

/// Lists stored answers and requests at work, by scope and key
///
/// Without bodies. Keys are shortened, since whoever knows one can ask for its answer; --keys shows them whole. UNTIL is when a
/// running one's lease lapses, or when a finished answer is forgotten. STATE and STATUS: see `annals responses --help`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  annals responses list --state dead
  annals responses list --scope acct_1 --keys --limit 20
  annals responses list --format jsonl --limit 1000000 | jq -r .state | sort | uniq -c")]
pub struct ListArgs {
    /// Of this account or tenant alone
    #[arg(long, value_name = "SCOPE")]
    scope: Option<String>,

    /// In this state alone
    #[arg(long, value_enum)]
    state: Option<State>,

    /// The most rows
    #[arg(long, value_name = "ROWS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    limit: u64,

    /// Those behind this row, as an earlier call with --keys has said
    #[arg(long, value_name = "ROW", value_parser = row)]
    after: Option<ScopedKey>,

    /// Show keys whole
    #[arg(long)]
    keys: bool,
}

/// How a request stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum State {
    /// Somebody is at work on it, or was
    Running,
    /// It has its answer
    Completed,
    /// It was given up after too many attempts
    Dead,
}

impl From<State> for ResponseState {
    fn from(state: State) -> Self {
        match state {
            State::Running => Self::Running,
            State::Completed => Self::Completed,
            State::Dead => Self::Dead,
        }
    }
}

/// A row's place: its key, its endpoint or a hyphen, and whose it is, with blanks between.
fn row(text: &str) -> Result<ScopedKey, String> {
    let mut parts = text.splitn(3, ' ');
    let (Some(key), Some(of), Some(principal)) = (parts.next(), parts.next(), parts.next()) else {
        return Err("it is 'KEY ENDPOINT SCOPE', as --keys has it said at the end".to_owned());
    };
    let key = IdempotencyKey::new(key).map_err(|error| error.to_string())?;
    let scope = scope(principal, (of != "-").then_some(of)).map_err(|_| "the scope cannot be".to_owned())?;
    Ok(ScopedKey::new(scope, key))
}

fn place(key: &ScopedKey) -> String {
    let of = endpoint(&key.scope).unwrap_or("-");
    format!("'{} {of} {}'", key.key.as_str(), key.scope.principal()).replace('\n', " ")
}

pub async fn run<S: ResponseStore>(session: &Session, store: &S, args: &ListArgs) -> Result<Ended, Failure> {
    let printer = &session.printer;
    let mut list =
        printer.list(&["SCOPE", "ENDPOINT", "KEY", "STATE", "STATUS", "ATTEMPTS", "BEGUN", "UNTIL", "OPERATED"]);
    let principal = args.scope.as_deref();
    let own = principal.map(|principal| scope(principal, None)).transpose()?;
    // First those of the principal itself; those at its endpoints stand behind them, before any other's.
    let mut query =
        ResponseQuery { scope: own.clone(), state: args.state.map(Into::into), after: args.after.clone(), limit: PAGE };
    let behind = |key: &ScopedKey| own.as_ref().is_some_and(|own| key.scope != *own);
    if args.after.as_ref().is_some_and(behind) {
        query.scope = None;
    }
    let (mut last, mut is_more): (Option<ScopedKey>, bool) = (None, false);
    'pages: loop {
        let page = store.list_responses(&query).await?;
        for row in &page {
            if principal.is_some_and(|principal| row.key.scope.principal() != principal) {
                break 'pages;
            }
            if list.len() == args.limit {
                is_more = true;
                break 'pages;
            }
            list.row(&object(row, args.keys), cells(row, args.keys))?;
            last = Some(row.key.clone());
        }
        match page.last() {
            Some(end) if page.len() == PAGE as usize => query.after = Some(end.key.clone()),
            _ => match (query.scope.take(), &own) {
                (Some(_), Some(own)) => query.after = Some(ScopedKey::new(own.clone(), greatest()?)),
                _ => break,
            },
        }
    }
    let count = list.len();
    list.end()?;
    if count == 0 {
        printer.words("there is none");
    }
    match last.filter(|_| is_more) {
        Some(last) if args.keys => printer.words(format!("there are more: --after {}", place(&last))),
        Some(_) => printer.words("there are more: give a larger --limit; with --keys it says where to go on"),
        None => {}
    }
    Ok(Ended::Done)
}

/// No key comes behind it.
fn greatest() -> Result<IdempotencyKey, Failure> {
    Ok(IdempotencyKey::new("~".repeat(255))?)
}

/// A key, or so much of it that it can be told from others and is of no use.
pub fn shown(row: &ResponseRow, is_whole: bool) -> String {
    let key = row.key.key.as_str();
    match key.char_indices().nth(8) {
        Some((end, _)) if !is_whole => format!("{}…", &key[..end]),
        _ if !is_whole => "…".to_owned(),
        _ => key.to_owned(),
    }
}

pub fn object(row: &ResponseRow, is_whole: bool) -> Value {
    json!({
        "scope": row.key.scope.principal(),
        "endpoint": endpoint(&row.key.scope),
        "key": shown(row, is_whole),
        "state": row.state.as_str(),
        "status": row.status,
        "attempts": row.attempts,
        "run_id": row.run_id,
        "created_at": exact(row.created_at),
        "lease_expires_at": row.lease_expires_at.map(exact),
        "expires_at": exact(row.expires_at),
        "operation": row.operation.as_ref().map(|operation| json!({
            "name": operation.name,
            "operator": operation.operator,
            "at": exact(operation.at),
        })),
    })
}

fn cells(row: &ResponseRow, is_whole: bool) -> [String; 9] {
    let dash = || "-".to_owned();
    [
        row.key.scope.principal().to_owned(),
        endpoint(&row.key.scope).map_or_else(dash, str::to_owned),
        shown(row, is_whole),
        row.state.as_str().to_owned(),
        row.status.map_or_else(dash, |status| status.to_string()),
        row.attempts.to_string(),
        time(row.created_at),
        time(row.lease_expires_at.unwrap_or(row.expires_at)),
        row.operation.as_ref().map_or_else(dash, |done| format!("{} by {}", done.name, done.operator)),
    ]
}
