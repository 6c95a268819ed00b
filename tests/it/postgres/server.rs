//! The servers that tests are given.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Child, Stdio},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    fd::OwnedFd,
    process::{Pid, PidfdFlags, pidfd_open},
};
use sqlx::{Connection as _, PgConnection};

use crate::{
    faults::child,
    postgres_server::{
        Database, Server,
        binaries::Search,
        keeper::Keeper,
        supervisor::{Conditions, Supervisor},
        url::{with_database, with_user},
    },
};

/// The longest a process is waited for that has been told to end.
const LONGEST_END: Timespec = Timespec { tv_sec: 60, tv_nsec: 0 };

/// A process that is not this one's child, to be waited for.
fn process(pid: u32) -> OwnedFd {
    let pid = Pid::from_raw(pid.cast_signed()).unwrap();
    pidfd_open(pid, PidfdFlags::empty()).expect("the process runs")
}

fn assert_ends(process: &OwnedFd, which: &str) {
    let ended = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&LONGEST_END)).unwrap();
    assert_eq!(ended, 1, "{which} still runs");
}

fn assert_has_ended(process: &OwnedFd, which: &str) {
    let ended = poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&Timespec::default())).unwrap();
    assert_eq!(ended, 1, "{which} still runs");
}

/// What a child has said, up to some number of lines.
fn said(child: &mut Child, lines: usize) -> Vec<String> {
    let out = BufReader::new(child.stdout.as_mut().unwrap()).lines();
    let said = out.map(Result::unwrap).filter_map(|line| child::said(&line).map(str::to_owned));
    said.take(lines).collect()
}

/// Starts a test of this binary as a child that lives until its standard input ends, or it is killed.
fn start_child(test: &str, url: &str) -> Child {
    let mut command = child::command(&format!("postgres::server::{test}"), Path::new("-"), "child", &[]);
    command.env("DATABASE_URL", url).stdin(Stdio::piped()).spawn().unwrap()
}

fn wait_to_be_killed() {
    let _ = std::io::stdin().read_to_string(&mut String::new());
}

async fn connect(url: &str) -> PgConnection {
    PgConnection::connect(url).await.unwrap()
}

async fn databases(connection: &mut PgConnection, name: &str) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM pg_database WHERE datname = $1").bind(name);
    count.fetch_one(connection).await.unwrap()
}

async fn setting(connection: &mut PgConnection, name: &str) -> String {
    sqlx::query_scalar("SELECT current_setting($1)").bind(name).fetch_one(connection).await.unwrap()
}

#[tokio::test]
async fn two_databases_know_nothing_of_each_other() {
    let (one, other) = tokio::join!(Database::create(), Database::create());
    assert_ne!(one.name(), other.name());
    let mut connection = one.connection().await;
    sqlx::query("CREATE TABLE seen (number int)").execute(&mut connection).await.unwrap();
    let tables = || sqlx::query_scalar::<_, bool>("SELECT to_regclass('seen') IS NOT NULL");
    assert!(tables().fetch_one(&mut connection).await.unwrap());
    assert!(!tables().fetch_one(&mut other.connection().await).await.unwrap());
}

#[tokio::test]
async fn a_database_goes_with_its_value_and_whoever_is_connected() {
    let gone = Database::create().await;
    let stays = Database::create().await;
    let mut connected = gone.connection().await;
    let name = gone.name().to_owned();
    drop(gone);
    assert!(connected.ping().await.is_err());
    let mut connection = stays.connection().await;
    assert_eq!(databases(&mut connection, &name).await, 0);
    assert_eq!(databases(&mut connection, stays.name()).await, 1);
}

#[test]
fn child_holds_a_database() {
    let Some(_) = child::file() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(Database::create());
    child::say(database.name());
    wait_to_be_killed();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_run_has_left_is_dropped_by_the_next_and_nothing_of_a_run_that_lives() {
    let server = Server::start().await;
    let url = server.url("postgres");
    let [mut killed, mut lives] = [(); 2].map(|()| start_child("child_holds_a_database", &url));
    let [left, used] = [&mut killed, &mut lives].map(|child| said(child, 1).remove(0));
    killed.kill().unwrap();
    killed.wait().unwrap();
    let mut connection = connect(&url).await;
    assert_eq!(databases(&mut connection, &left).await, 1, "killed before its database was dropped");
    // The server has noticed when the dead run's lock is free.
    let run = u64::from_str_radix(left.split('_').nth(3).unwrap(), 16).unwrap().cast_signed();
    for lock in ["SELECT pg_advisory_lock($1)", "SELECT pg_advisory_unlock($1)"] {
        sqlx::query(lock).bind(run).execute(&mut connection).await.unwrap();
    }
    let next = Keeper::start(&url).await.unwrap();
    assert_eq!(databases(&mut connection, &left).await, 0);
    assert_eq!(databases(&mut connection, &used).await, 1);
    let made = next.create().await.unwrap();
    assert_eq!(databases(&mut connection, &made).await, 1);
    drop(lives.stdin.take());
    assert!(lives.wait().unwrap().success());
    assert_eq!(databases(&mut connection, &used).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_keeper_whose_connection_was_cut_takes_another() {
    let server = Server::start().await;
    let mut connection = connect(&server.url("postgres")).await;
    let keeper = Keeper::start(&server.url("postgres")).await.unwrap();
    let before = keeper.create().await.unwrap();
    let cut = "SELECT count(pg_terminate_backend(pid, 60000)) FROM pg_stat_activity \
               WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";
    assert_eq!(sqlx::query_scalar::<_, i64>(cut).fetch_one(&mut connection).await.unwrap(), 1);
    let after = keeper.create().await.unwrap();
    keeper.drop_now(&before).unwrap();
    assert_eq!(databases(&mut connection, &before).await, 0);
    assert_eq!(databases(&mut connection, &after).await, 1);
}

#[test]
fn child_holds_a_server() {
    let Some(_) = child::file() else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let server = runtime.block_on(Server::start());
    child::say(&server.supervisor_pid().to_string());
    child::say(&server.pid().unwrap().to_string());
    child::say(server.folder().to_str().unwrap());
    wait_to_be_killed();
}

#[tokio::test]
async fn a_killed_test_run_leaves_no_server_and_no_directory() {
    let mut killed = start_child("child_holds_a_server", "");
    let [shell, server, folder] = said(&mut killed, 3).try_into().unwrap();
    let [shell, server] = [shell, server].map(|pid| process(pid.parse().unwrap()));
    assert!(Path::new(&folder).join("data/postmaster.pid").is_file());
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_ends(&shell, "the shell");
    assert_has_ended(&server, "the server");
    assert!(!Path::new(&folder).exists(), "{folder} is left");
}

#[tokio::test]
async fn a_server_that_nobody_waits_for_any_more_leaves_nothing() {
    let supervisor = Supervisor::spawn(&Search::here().find().unwrap(), &Conditions::default(), &[]).await.unwrap();
    let folder = supervisor.folder().to_owned();
    let shell = process(supervisor.pid());
    assert!(folder.is_dir());
    drop(supervisor);
    assert_has_ended(&shell, "the shell");
    assert!(!folder.exists());
}

#[tokio::test]
async fn a_server_started_again_after_an_immediate_stop_has_its_data() {
    let mut server = Server::start().await;
    let url = server.url("postgres");
    let mut connection = connect(&url).await;
    sqlx::query("CREATE TABLE kept AS SELECT 7 AS number").execute(&mut connection).await.unwrap();
    let (pid, process) = (server.pid().unwrap(), process(server.pid().unwrap()));
    server.stop_immediately().await;
    assert_has_ended(&process, "the server");
    assert_eq!(server.pid(), None);
    assert!(connection.ping().await.is_err());
    assert!(PgConnection::connect(&url).await.is_err());

    server.start_again().await;
    assert_ne!(server.pid(), Some(pid));
    let kept = sqlx::query_scalar::<_, i32>("SELECT number FROM kept");
    assert_eq!(kept.fetch_one(&mut connect(&url).await).await.unwrap(), 7);
    let log = || fs::read_to_string(server.folder().join("log")).unwrap();
    assert_eq!(log().matches("automatic recovery in progress").count(), 1, "{}", log());
    server.stop().await;
    server.start_again().await;
    let log = fs::read_to_string(server.folder().join("log")).unwrap();
    assert_eq!(log.matches("automatic recovery in progress").count(), 1, "{log}");
}

#[tokio::test]
async fn servers_are_durable_and_take_the_settings_they_are_given() {
    let server =
        Server::options().setting("lock_timeout", "123ms").setting("max_connections", "7").start().await.unwrap();
    let mut connection = connect(&server.url("postgres")).await;
    assert_eq!(setting(&mut connection, "lock_timeout").await, "123ms");
    assert_eq!(setting(&mut connection, "max_connections").await, "7");
    assert_eq!(setting(&mut connection, "listen_addresses").await, "");
    for durable in ["fsync", "synchronous_commit", "full_page_writes"] {
        assert_eq!(setting(&mut connection, durable).await, "on", "{durable}");
    }
    assert_eq!(server.tcp_address(), None);
    assert!(!server.folder().starts_with("/dev/shm"), "durable means on disk");
    let refused = Server::options().setting("no_such_setting", "1").start().await.unwrap_err();
    assert!(refused.contains("unrecognized configuration parameter \"no_such_setting\""), "{refused}");
}

#[tokio::test]
async fn over_tcp_a_server_asks_for_its_password_and_keeps_its_port() {
    let mut server = Server::options().tcp().start().await.unwrap();
    let address = server.tcp_address().unwrap();
    assert!(address.ip().is_loopback());
    let url = server.tcp_url(address, "postgres");
    let inet = "SELECT inet_server_port()";
    let port: i32 = sqlx::query_scalar(inet).fetch_one(&mut connect(&url).await).await.unwrap();
    assert_eq!(port, i32::from(address.port()));
    let guessed = with_user(&url, "postgres", Some("guessed")).unwrap();
    assert!(PgConnection::connect(&guessed).await.is_err());
    server.stop_immediately().await;
    server.start_again().await;
    assert_eq!(server.tcp_address(), Some(address));
    connect(&url).await.ping().await.unwrap();
    connect(&server.url("postgres")).await.ping().await.unwrap();
}

#[test]
fn the_newest_server_is_taken_and_a_named_one_before_all_others() {
    let root = tempfile::tempdir().unwrap();
    let install = |folder: &str| {
        let folder = root.path().join(folder);
        fs::create_dir_all(&folder).unwrap();
        for program in ["initdb", "postgres"] {
            fs::write(folder.join(program), "").unwrap();
        }
        folder.canonicalize().unwrap()
    };
    let mut search = Search {
        named: None,
        versions: root.path().join("versions"),
        path: Some(std::env::join_paths([root.path().join("none"), root.path().join("path")]).unwrap()),
    };
    let path = install("path");
    assert_eq!(search.find().unwrap().canonicalize().unwrap(), path);
    install("versions/9/bin");
    let newest = install("versions/18/bin");
    fs::create_dir_all(root.path().join("versions/19/bin")).unwrap();
    assert_eq!(search.find().unwrap().canonicalize().unwrap(), newest, "19 has client programs alone");
    search.named = Some(install("named").into());
    assert_eq!(search.find().unwrap(), root.path().join("named").canonicalize().unwrap());
}

#[test]
fn without_a_server_the_tests_fail_and_say_what_to_install() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = Search { named: None, versions: folder.path().join("none"), path: None };
    let hint = nowhere.find().unwrap_err();
    for part in ["no PostgreSQL server was found", "the package postgresql", "ANNALS_TEST_PG_BIN", "DATABASE_URL"] {
        assert!(hint.contains(part), "{hint}");
    }
    let wrong = Search { named: Some(folder.path().into()), ..Search::here() }.find().unwrap_err();
    assert!(wrong.contains("has no initdb and postgres") && wrong.contains("the package postgresql"), "{wrong}");

    // And in a whole run: the test that asked has failed, and shows the hint.
    let mut run = child::command("postgres::server::two_databases_know_nothing_of_each_other", "-".as_ref(), "-", &[]);
    let output = run.env_remove("DATABASE_URL").env("ANNALS_TEST_PG_BIN", folder.path()).output().unwrap();
    let said = [output.stdout, output.stderr].map(|said| String::from_utf8(said).unwrap()).concat();
    assert!(!output.status.success() && said.contains("the package postgresql"), "{said}");
}

#[test]
fn urls_are_changed_in_one_part_and_keep_the_others() {
    let cases = [
        ("postgres://localhost", "postgres://localhost/x", "postgres://a%40b:p%3A@localhost"),
        ("postgres://u:p@h:1/db?a=b", "postgres://u:p@h:1/x?a=b", "postgres://a%40b:p%3A@h:1/db?a=b"),
        ("postgresql:///db?host=/run", "postgresql:///x?host=/run", "postgresql://a%40b:p%3A@/db?host=/run"),
    ];
    for (url, database, user) in cases {
        assert_eq!(with_database(url, "x").unwrap(), database);
        assert_eq!(with_user(url, "a@b", Some("p:")).unwrap(), user);
    }
    for wrong in ["sqlite:secret", "mysql://u:secret@h/db", "postgres://h/db?password=secret", "secret"] {
        let error = with_database(wrong, "x").unwrap_err();
        assert!(!error.contains("secret"), "{error}");
    }
}
