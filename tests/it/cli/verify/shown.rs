//! What it prints, as people and as programs read it.

use super::{ground::Ground, shop::Shop};
use crate::cli::{
    program::{annals, run_on},
    shown::shows_but_for,
    terminal::at_a_terminal,
};

/// What differs from run to run: how long it took.
const TIMES: [(&str, &str); 2] =
    [(" in [0-9]+(ms|s)", " in [time]"), ("\"seconds\": ?[0-9.e-]+", "\"seconds\":[time]")];

fn shown(name: &str, (code, out, err): &(i32, String, String)) {
    shows_but_for(name, &format!("exit code {code}\n\n{out}\n{err}"), &TIMES);
}

async fn a_sound_database(ground: &Ground) {
    let plot = ground.plot("sound").await;
    for format in ["table", "json", "jsonl"] {
        shown(&format!("verify_sound_{format}"), &run_on(&plot.url, &["verify", "--format", format]));
    }
    assert_eq!(run_on(&plot.url, &["verify", "-q"]), (0, String::new(), String::new()));
    plot.clear().await;
}

async fn a_handful_of_faults(ground: &Ground, shop: &Shop) {
    let plot = ground.plot("handful").await;
    let id = |id| ground.id(id);
    let event = |set: &str, aggregate, sequence: u64| {
        format!("UPDATE annals_events SET {set} WHERE aggregate_id = {} AND sequence = {sequence};", id(aggregate))
    };
    let (a, b, note) = (shop.orders[3], shop.orders[11], shop.notes[5]);
    let sql = [
        event("payload = '{\"line\":1,\"quantity\":11}'", a, 5),
        event("aggregate_type = 'invoice'", b, 4),
        format!("DELETE FROM annals_events WHERE aggregate_id = {} AND sequence = 2;", id(note)),
        format!("UPDATE annals_receipts SET last_sequence = 12 WHERE aggregate_id = {} AND last_sequence = 9;", id(a)),
        format!("UPDATE annals_receipts SET rejection = NULL WHERE aggregate_id = {};", id(shop.refused)),
        "UPDATE annals_snapshots SET state = '{\"sum\":7}';".to_owned(),
        format!("UPDATE annals_checkpoints SET position = {} WHERE name = 'mail';", shop.head() + 9),
        "UPDATE annals_parked_events SET sequence = 77".to_owned(),
    ];
    plot.plant(&sql.concat()).await;
    for format in ["table", "json", "jsonl"] {
        shown(&format!("verify_wrong_{format}"), &run_on(&plot.url, &["verify", "--format", format]));
    }
    let (code, out, err) = run_on(&plot.url, &["verify", "-q"]);
    assert_eq!((code, err.as_str(), out.lines().count()), (3, "", 9), "quiet, the findings are there: {out}");
    plot.clear().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sound_and_what_is_not_is_shown_of_sqlite() {
    let (ground, shop) = Ground::sqlite().await;
    a_sound_database(&ground).await;
    a_handful_of_faults(&ground, &shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_sound_and_what_is_not_is_shown_of_postgresql() {
    let (ground, shop) = Ground::postgres().await;
    a_sound_database(&ground).await;
    a_handful_of_faults(&ground, &shop).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_a_bar_is_drawn_and_taken_away() {
    let (ground, shop) = Ground::sqlite().await;
    let plot = ground.plot("terminal").await;
    let missing =
        format!("DELETE FROM annals_events WHERE aggregate_id = {} AND sequence = 2", ground.id(shop.notes[5]));
    plot.plant(&missing).await;
    let (code, screen) = at_a_terminal(&plot.url, &["verify"], "", true);
    assert_eq!(code, Some(3), "{screen}");
    for said in ["checking events by aggregate", "is missing\r\n", "something is wrong"] {
        assert!(screen.contains(said), "{said}: {screen:?}");
    }
    // Taken away before the last words.
    let (_, last) = screen.rsplit_once("checking ").unwrap();
    assert!(last.contains("\u{1b}[2K") && last.contains("annals: checked 323 events"), "{screen:?}");
    let (code, screen) = at_a_terminal(&plot.url, &["verify", "-q"], "", true);
    assert!(code == Some(3) && !screen.contains("checking") && screen.contains("is missing"), "{screen:?}");
    let (code, screen) = at_a_terminal(&plot.url, &["verify", "-v"], "", true);
    assert!(code == Some(3) && screen.contains("per_second="), "{screen:?}");
}

#[test]
fn the_help_of_verify_says_what_is_to_be_known() {
    let output = annals(&["verify", "--help"]).output().unwrap();
    let help = String::from_utf8(output.stdout).unwrap();
    for said in ["Exit codes:", "annals types --format json > types.json", "beside whoever writes"] {
        assert!(help.contains(said), "{said}: {help}");
    }
}
