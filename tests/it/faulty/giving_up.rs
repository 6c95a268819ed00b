//! Where the bounds of a retry end, and what is said then.

use std::time::Duration;

use annals::{
    Error, EventStoreExt as _, ExecuteError, Executed, Id, LogQuery, Repository, Retry, SqliteStore, testing::Faulty,
};

use super::{Command, Event, Jar, NoRoom, Overtaken, attempts, key, memory};

const PUT: Command = Command::Put { request: 1, marbles: 2 };

async fn execute(faulty: &Faulty<SqliteStore>, retry: Retry, keyed: bool) -> Result<Executed, ExecuteError<NoRoom>> {
    let jars = Repository::<Jar>::new(faulty).retry(retry);
    let execute = jars.execute(Id::natural("jar"), &PUT);
    if keyed { execute.idempotency_key(key(1)).await } else { execute.await }
}

async fn events(store: &SqliteStore) -> usize {
    store.collect_log(&LogQuery::all()).await.unwrap().len()
}

#[tokio::test]
async fn each_fault_that_does_not_end_is_given_up_under_its_own_name_after_the_last_attempt() {
    type Says = fn(&Error) -> bool;
    let contention: Says = |error| matches!(error, Error::Contention { .. });
    for keyed in [false, true] {
        for (max_attempts, retry) in [(1, Retry::never()), (1, attempts(0)), (7, attempts(7))] {
            let store = memory().await;
            let faulty = || Faulty::new(store.clone(), 1);
            let kinds: [(Faulty<SqliteStore>, Says); 5] = [
                (faulty().lost_requests(1.0), Error::is_outcome_unknown),
                (faulty().conflicts(1.0), contention),
                (faulty().contention(1.0), contention),
                (faulty().outages(1.0), |error| matches!(error, Error::Unavailable { .. })),
                (faulty().lost_replies(1.0), Error::is_outcome_unknown),
            ];
            for (at, (faulty, says)) in kinds.into_iter().enumerate() {
                assert_eq!(events(&store).await, 0, "what was given up so far has left nothing");
                let ended = execute(&faulty, retry, keyed).await;
                let Err(ExecuteError::Store(error)) = ended else { panic!("{at}: {ended:?}") };
                assert!(says(&error), "{at}: {error:?}");
                assert_eq!(faulty.faults(), max_attempts, "{at}: {error:?}");
            }
            // Only the reply was lost: under its key the command is answered, and whole.
            assert_eq!(events(&store).await, 2);
            if keyed {
                let done = execute(&faulty(), retry, true).await.unwrap();
                assert_eq!((done.version, done.replayed), (2, true));
            }
        }
    }
}

#[tokio::test]
async fn an_attempt_that_may_be_written_is_unknown_whatever_the_question_is_answered_with() {
    type Lose = fn(&Faulty<SqliteStore>);
    let hindrances = [
        Error::Contention { source: None },
        Error::Unavailable { source: None },
        Error::OutcomeUnknown { source: None },
        Error::corrupt("the disk has died"),
    ];
    for (lose, written) in [(Faulty::lose_next_reply as Lose, 2), (Faulty::lose_next_request, 0)] {
        for hindrance in &hindrances {
            for keyed in [false, true] {
                let store = memory().await;
                let faulty = Faulty::new(store.clone(), 1);
                lose(&faulty);
                faulty.fail_next(hindrance.clone());
                let ended = execute(&faulty, attempts(2), keyed).await;
                let Err(ExecuteError::Store(error)) = ended else { panic!("{hindrance:?}: {ended:?}") };
                assert!(error.is_outcome_unknown(), "{hindrance:?}: {error:?}");
                assert!(!error.is_retryable());
                assert_eq!((faulty.faults(), events(&store).await), (2, written));
            }
        }
    }
}

#[tokio::test]
async fn an_error_that_no_retry_mends_is_returned_at_once() {
    let store = memory().await;
    for error in [
        Error::corrupt("the disk has died"),
        Error::invalid("no"),
        Error::Schema { message: "no".into(), source: None },
    ] {
        let faulty = Faulty::new(store.clone(), 1);
        faulty.fail_next(error.clone());
        let ended = execute(&faulty, attempts(9), true).await;
        let Err(ExecuteError::Store(found)) = ended else { panic!("{ended:?}") };
        assert_eq!(found.to_string(), error.to_string());
        assert_eq!((faulty.faults(), events(&store).await), (1, 0));
    }
}

#[tokio::test]
async fn the_time_of_a_retry_bounds_it_as_well_as_its_attempts() {
    let store = memory().await;
    let faulty = Faulty::new(store.clone(), 1).contention(1.0);
    let no_time = Retry { max_time: Duration::ZERO, min_delay: Duration::from_millis(1), ..attempts(1_000) };
    let error = execute(&faulty, no_time, true).await.unwrap_err();
    assert!(matches!(error, ExecuteError::Store(Error::Contention { .. })), "{error:?}");
    assert_eq!(faulty.faults(), 1);
    // Time without end, and pauses without end that do not fit into it.
    let forever = Retry { max_time: Duration::MAX, ..attempts(3) };
    execute(&faulty, forever, true).await.unwrap_err();
    assert_eq!(faulty.faults(), 4);
    let asleep = Retry { max_time: Duration::MAX, min_delay: Duration::MAX, max_delay: Duration::MAX, max_attempts: 9 };
    execute(&faulty, asleep, true).await.unwrap_err();
    assert_eq!(faulty.faults(), 5);
}

#[tokio::test]
async fn conflicts_and_lost_replies_draw_on_the_same_attempts() {
    let store = memory().await;
    let id = Id::natural("jar");
    // Lost, then dead because another came first, then lost again: the fourth attempt would have been the answer.
    let faulty = Faulty::new(Overtaken::nth(1, &store, id, &Event::Shaken { request: 7 }), 1);
    faulty.lose_next_request();
    let jars = Repository::<Jar>::new(&faulty).retry(attempts(3));
    let error = {
        let jars = jars.clone().retry(attempts(2));
        jars.execute(id, &PUT).await.unwrap_err()
    };
    let Some(Error::Contention { source: Some(source) }) = error.store_error() else { panic!("{error:?}") };
    assert!(source.to_string().contains("expected to have version 0, but is at version 1"), "{source}");
    assert_eq!(events(&store).await, 1, "only the other's");
    faulty.lose_next_request();
    faulty.lose_next_request();
    assert_eq!(jars.execute(id, &PUT).await.unwrap().version, 3);
}

/// In a process of its own: a subscriber of one thread hears nothing of a line that another thread came by first.
#[cfg(feature = "tracing")]
#[test]
fn a_command_is_given_up_in_one_line() {
    const ALONE: &str = "ANNALS_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return lines_of_giving_up();
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faulty::giving_up::a_command_is_given_up_in_one_line"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
}

#[cfg(feature = "tracing")]
fn lines_of_giving_up() {
    use std::sync::{Arc, Mutex};

    use tracing::field::{Field, Visit};
    use tracing_subscriber::{Layer, Registry, layer::Context, layer::SubscriberExt as _};

    #[derive(Default, Clone)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    struct Message<'l>(&'l mut String);

    impl Visit for Message<'_> {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            if field.name() == "message" {
                *self.0 = format!("{value:?}");
            }
        }
    }

    impl Layer<Registry> for Lines {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, Registry>) {
            let mut line = String::new();
            event.record(&mut Message(&mut line));
            self.0.lock().unwrap().push(line);
        }
    }

    let lines = Lines::default();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tracing::subscriber::with_default(Registry::default().with(lines.clone()), || {
        runtime.block_on(async {
            let store = memory().await;
            for fault in [Faulty::lost_requests, Faulty::contention, Faulty::conflicts] {
                execute(&fault(Faulty::new(store.clone(), 1), 1.0), attempts(3), true).await.unwrap_err();
            }
        });
    });
    let lines = lines.0.lock().unwrap();
    let of = |what: &str| lines.iter().filter(|line| *line == what).count();
    assert_eq!((of("command: trying again"), of("command: gave up")), (6, 3), "{lines:?}");
}
