//! The examples of read models, from outside: that their sums are right, and that nothing stops them for long.

mod kill;
mod rebuild;
pub mod runs;
mod sums;

use std::process::Command;

use serde_json::Value;

use crate::order_example::program::{Shop, example, summary_of, text};

/// The example, about to do something in a shop's folder and database.
fn projection(shop: &Shop, task: &[&str]) -> Command {
    let mut projection = example("projection");
    projection.current_dir(shop.path("")).args(task).args(["--database-url", &shop.database_url()]);
    projection
}

/// Runs it until it has caught up, with further arguments, and returns what it has printed as JSON.
fn catch_up(shop: &Shop, arguments: &[&str]) -> Value {
    let run = &["run", "--until-caught-up", "--format", "json"];
    summary_of(&projection(shop, run).args(arguments).output().unwrap())
}

#[test]
fn the_story_is_told_as_it_is_committed() {
    let told = example("projection").output().unwrap();
    assert!(told.status.success() && told.stderr.is_empty(), "{}", text(&told.stderr));
    assert_eq!(
        text(&told.stdout),
        include_str!("../../../examples/projection/transcript.txt"),
        "the story has changed; if it was meant to: \
         cargo run --example projection > examples/projection/transcript.txt"
    );
}

#[test]
fn an_order_is_replayed_and_the_read_model_made_again_is_the_same() {
    let told = example("replay").output().unwrap();
    let (out, err) = (text(&told.stdout), text(&told.stderr));
    assert!(told.status.success() && err.is_empty(), "{err}");
    for line in
        ["      4  11:15     -2 × MUG at 1.25", "At version 3 it came to 35.34.", "… 62 rows in all, of which 0 differ"]
    {
        assert!(out.lines().any(|found| found.starts_with(line)), "{line} is not in\n{out}");
    }
}
