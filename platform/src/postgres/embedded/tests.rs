//! The embedded server against its traps, on real processes. Some tests run this test binary again as a
//! child (see [`serve_in_a_child`]), to kill it or to run it as somebody else.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::{
    borrow::Cow,
    env,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    process::{ChildStdout, Command, Stdio},
};

use nix::unistd::{User, geteuid};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, Row};

use super::*;
use crate::postgres::testing::{PrivateServer, fresh_database};

async fn connect(options: &PgConnectOptions) -> PgConnection {
    options.connect().await.expect("connect")
}

fn is_alive(pid: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z ")
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(30), "waited in vain until {what}");
        thread::sleep(POLL);
    }
}

/// A directory that the server's user can get to, unlike those that `tempfile` makes by default.
fn data_dir() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("counterfoil-embedded-").tempdir().unwrap()
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_crash_and_after_a_clean_stop() {
    let private = PrivateServer::start().await;
    let port = private.server.port();
    let mut connection = connect(&private.databases.owner).await;
    connection.execute("create schema shop").await.unwrap();
    connection.execute("create table shop.till (amount bigint)").await.unwrap();
    connection.execute("insert into shop.till values (1999)").await.unwrap();

    private.server.crash().unwrap();
    assert!(connection.execute("select 1").await.is_err(), "the crash left a connection open");
    private.server.resume().unwrap();
    private.server.stop().unwrap();
    private.server.resume().unwrap();

    assert_eq!(private.server.port(), port);
    let mut connection = connect(&private.databases.owner).await;
    let row = connection.fetch_one("select amount, current_setting('fsync') from shop.till").await.unwrap();
    assert_eq!(row.get::<i64, _>(0), 1999);
    assert_eq!(row.get::<String, _>(1), "on");
}

#[tokio::test]
async fn a_second_start_on_the_same_directory_finds_the_same_data_and_passwords() {
    let dir = data_dir();
    let first = Server::start(dir.path()).await.unwrap();
    let databases = first.databases("counterfoil").await.unwrap();
    connect(&databases.owner).await.execute("create schema kept").await.unwrap();
    first.stop().unwrap();
    drop(first);

    let second = Server::start(dir.path()).await.unwrap();
    let databases = second.databases("counterfoil").await.unwrap();
    let kept: bool = sqlx::query_scalar("select exists (select from pg_namespace where nspname = 'kept')")
        .fetch_one(&mut connect(&databases.owner).await)
        .await
        .unwrap();
    assert!(kept);
    second.stop().unwrap();
}

#[tokio::test]
async fn no_role_is_sent_notices_about_what_is_as_it_should_be() {
    let databases = fresh_database().await;
    for role in [&databases.owner, &databases.service, &databases.projector, &databases.reader] {
        let level: String =
            sqlx::query_scalar("show client_min_messages").fetch_one(&mut connect(role).await).await.unwrap();
        assert_eq!(level, "warning");
    }
}

#[tokio::test]
async fn a_directory_in_use_is_refused_with_the_process_that_has_it() {
    let dir = data_dir();
    let _first = Server::start(dir.path()).await.unwrap();
    let refused = Server::start(dir.path()).await.unwrap_err();
    let us = std::process::id().to_string();
    assert!(matches!(&refused, Error::InUse { pid, .. } if *pid == us), "{refused}");
}

#[tokio::test]
async fn another_process_reaches_the_server_while_it_runs_and_only_then() {
    let dir = data_dir();
    assert!(attach(dir.path(), "counterfoil").await.unwrap().is_none());
    let server = Server::start(dir.path()).await.unwrap();
    let attached = attach(dir.path(), "counterfoil").await.unwrap().expect("it runs");
    connect(&attached.service).await.close().await.unwrap();
    server.stop().unwrap();
    drop(server);
    assert!(attach(dir.path(), "counterfoil").await.unwrap().is_none());
}

#[tokio::test]
async fn a_server_that_is_killed_comes_back_where_it_was() {
    let private = PrivateServer::start().await;
    let killed = private.server.pid().unwrap();
    connect(&private.databases.owner).await.execute("create schema kept").await.unwrap();
    kill(Pid::from_raw(i32::try_from(killed).unwrap()), Signal::SIGKILL).unwrap();
    wait_until("another server has taken its place", || {
        private.server.pid().is_some_and(|pid| pid != killed)
    });
    connect(&private.databases.owner).await.execute("create table kept.again ()").await.unwrap();
}

#[tokio::test]
async fn dropping_the_server_stops_it() {
    let dir = data_dir();
    let server = Server::start(dir.path()).await.unwrap();
    let pid = server.pid().unwrap();
    assert!(is_alive(pid));
    drop(server);
    wait_until("the dropped server has ended", || !is_alive(pid));
}

#[tokio::test]
async fn the_roles_can_do_their_part_and_no_more() {
    let databases = fresh_database().await;
    let mut owner = connect(&databases.owner).await;
    owner.execute("create schema part authorization counterfoil_projector").await.unwrap();
    owner.execute("create schema own").await.unwrap();
    connect(&databases.projector).await.execute("create schema read").await.unwrap();
    for powerless in [&databases.service, &databases.reader] {
        let mut connection = connect(powerless).await;
        let refused = connection.execute("create schema mine").await.unwrap_err();
        let code = refused.as_database_error().and_then(|error| error.code().map(Cow::into_owned));
        assert!(matches!(code.as_deref(), Some("42501" | "25006")), "{refused}");
    }
}

#[tokio::test]
async fn each_fresh_database_is_empty_and_apart_from_the_others() {
    let (one, other) = (fresh_database().await, fresh_database().await);
    connect(&one.owner).await.execute("create schema only_here").await.unwrap();
    connect(&other.owner).await.execute("create schema only_here").await.unwrap();
}

#[tokio::test]
async fn provisioning_does_not_change_the_password_of_a_role_that_it_did_not_make() {
    let private = PrivateServer::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let others = Passwords::load_or_generate(elsewhere.path()).unwrap();
    let refused = provision(&private.server.superuser(), &others, "counterfoil").await.unwrap_err();
    assert!(matches!(refused, Error::UnknownPassword { role: crate::postgres::OWNER, .. }), "{refused}");
    connect(&private.databases.owner).await;
}

#[tokio::test]
async fn provisioning_twice_at_once_makes_one_of_everything() {
    let private = PrivateServer::start().await;
    let (a, b) = tokio::join!(private.server.databases("busy"), private.server.databases("busy"));
    connect(&a.unwrap().reader).await.close().await.unwrap();
    connect(&b.unwrap().reader).await.close().await.unwrap();
}

/// Not a test by itself: what the tests below run as a child. It starts a server, says its pid and
/// waits to be killed.
#[tokio::test]
#[ignore = "run as a child by other tests"]
async fn serve_in_a_child() {
    let dir = env::var("COUNTERFOIL_TEST_DATA_DIR").expect("run by another test");
    let server = Server::start(Path::new(&dir)).await.expect("start");
    println!("pid={}", server.pid().expect("running"));
    thread::sleep(Duration::from_mins(10));
}

/// Runs [`serve_in_a_child`] and waits until its server is ready.
fn child_serving(data_dir: &Path, uid: Option<u32>) -> (Child, u32, BufReader<ChildStdout>) {
    let mut command = Command::new(env::current_exe().unwrap());
    command
        .args(["postgres::embedded::tests::serve_in_a_child", "--exact", "--ignored", "--nocapture"])
        .env("COUNTERFOIL_TEST_DATA_DIR", data_dir)
        .stdout(Stdio::piped());
    if let Some(uid) = uid {
        command.uid(uid).gid(uid);
    }
    let mut child = command.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let pid = loop {
        line.clear();
        assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "the child ended before its server was ready");
        // The test harness may print its own text before ours on the same line.
        if let Some((_, pid)) = line.split_once("pid=") {
            break pid.trim().parse().unwrap();
        }
    };
    (child, pid, stdout)
}

#[tokio::test]
async fn a_killed_parent_leaves_no_server_and_the_next_start_works() {
    let dir = data_dir();
    let (mut child, pid, _stdout) = child_serving(dir.path(), None);
    assert!(is_alive(pid));
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
    wait_until("the server of the killed process has ended", || !is_alive(pid));
    Server::start(dir.path()).await.unwrap().stop().unwrap();
}

#[tokio::test]
async fn a_start_right_after_the_parent_was_killed_waits_for_the_old_server_to_go() {
    let dir = data_dir();
    let (mut child, pid, _stdout) = child_serving(dir.path(), None);
    child.kill().unwrap();
    let server = Server::start(dir.path()).await.unwrap();
    assert!(!is_alive(pid));
    assert_ne!(server.pid(), Some(pid));
    child.wait().unwrap();
    server.stop().unwrap();
}

#[tokio::test]
async fn an_ordinary_user_can_run_it_too() {
    let Some(nobody) = User::from_name("nobody").unwrap().filter(|_| geteuid().is_root()) else { return };
    let dir = data_dir();
    std::os::unix::fs::chown(dir.path(), Some(nobody.uid.as_raw()), Some(nobody.gid.as_raw())).unwrap();
    let (mut child, pid, _stdout) = child_serving(dir.path(), Some(nobody.uid.as_raw()));
    let owner = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    assert!(owner.contains(&format!("Uid:\t{}", nobody.uid)), "{owner}");
    child.kill().unwrap();
    child.wait().unwrap();
    wait_until("the server of the killed process has ended", || !is_alive(pid));
}
