//! What differs where somebody sits at a terminal: headings, and questions.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::Stdio,
};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::{
    place,
    program::{annals, run_on},
};

/// Runs the program at a terminal, at which somebody types this: the exit code, and what is on the screen.
pub fn at_a_terminal(url: &str, args: &[&str], typed: &str, is_plain: bool) -> (Option<i32>, String) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let theirs = || File::options().read(true).write(true).open(&name).unwrap();
    let mut command = annals(args);
    command.env("DATABASE_URL", url).env("TERM", "xterm").env("COLUMNS", "100");
    if is_plain {
        command.env("NO_COLOR", "1");
    }
    command.stdin(Stdio::from(theirs())).stdout(Stdio::from(theirs())).stderr(Stdio::from(theirs()));
    let mut child = command.spawn().unwrap();
    drop(command);
    let mut ours = File::from(ours);
    ours.write_all(typed.as_bytes()).unwrap();
    // Read until the last of theirs is closed, which Linux tells as an error.
    let (mut screen, mut some) = (Vec::new(), [0; 4_096]);
    while let Ok(read @ 1..) = ours.read(&mut some) {
        screen.extend_from_slice(&some[..read]);
    }
    (child.wait().unwrap().code(), String::from_utf8(screen).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn headings_are_bold_at_a_terminal_unless_nobody_wants_it() {
    let (url, store, clock, _folder) = place::sqlite().await;
    super::shop::fill(&store, &clock).await;
    let (code, screen) = at_a_terminal(&url, &["types"], "", false);
    assert_eq!((code, screen.contains("\u{1b}[1m")), (Some(0), true), "{screen:?}");
    let (code, screen) = at_a_terminal(&url, &["types"], "", true);
    assert_eq!((code, screen.contains('\u{1b}')), (Some(0), false), "{screen:?}");
    assert!(screen.contains("order-placed"), "{screen}");
}

/// Whoever is asked says yes or no; nobody is asked where there is nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_question_is_asked_at_a_terminal_and_no_is_the_default() {
    let (url, store, clock, _folder) = place::sqlite().await;
    super::shop::fill(&store, &clock).await;
    super::shop::consume(&store).await;
    let reset = ["subscriptions", "reset", "receipt-mail", "--to", "start"];
    let position = async || annals::Consumers::new(&store).progress("receipt-mail").await.unwrap()[0].position.get();
    for no in ["n\n", "\n", "yesterday\n"] {
        let (code, screen) = at_a_terminal(&url, &reset, no, true);
        assert_eq!((code, position().await), (Some(1), 5), "{no:?}: {screen}");
        assert!(screen.contains("[y/N]") && screen.contains("nothing was done"), "{screen}");
    }
    let (code, _, err) = run_on(&url, &reset);
    assert_eq!((code, position().await), (2, 5), "{err}");
    assert!(err.contains("--yes"), "{err}");
    let (code, screen) = at_a_terminal(&url, &reset, "y\n", true);
    assert_eq!((code, position().await), (Some(0), 0), "{screen}");
}
