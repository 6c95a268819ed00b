//! A server of one's own.

use std::{
    collections::hash_map::RandomState,
    hash::{BuildHasher as _, Hasher as _},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    ops::Range,
    path::Path,
    sync::atomic::{AtomicU16, Ordering},
};

use super::{
    binaries::Search,
    supervisor::{Conditions, Supervisor},
    url::{encoded, with_user},
};

/// Ports below those that systems give to outgoing connections: a server that is started again finds its own free.
const PORTS: Range<u16> = 20_000..30_000;
/// How many free ports are tried: another process can take one between the look and the start.
const PORTS_TRIED: usize = 5;
/// The port in the name of a socket's file.
const PORT_OF_SOCKET: u16 = 5432;

/// What a server of one's own is started with.
#[derive(Debug, Clone, Default)]
pub struct ServerOptions {
    tcp: bool,
    in_memory: bool,
    settings: Vec<(String, String)>,
}

impl ServerOptions {
    /// Listens on a free port of 127.0.0.1 too. The default is the unix socket alone.
    #[must_use]
    pub const fn tcp(mut self) -> Self {
        self.tcp = true;
        self
    }

    /// Keeps the data in memory where that has room: quick to sync. The default is the disk, as in production.
    #[must_use]
    pub const fn in_memory(mut self) -> Self {
        self.in_memory = true;
        self
    }

    /// Sets one of PostgreSQL's settings, as in its configuration file. The last one of a name holds.
    #[must_use]
    pub fn setting(mut self, name: &str, value: &str) -> Self {
        self.settings.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts a server that is ready to take connections.
    pub async fn start(self) -> Result<Server, String> {
        let binaries = Search::here().find()?;
        let settings = self.settings.iter().map(|(name, value)| format!("{name}={value}"));
        let settings: Vec<String> = settings.flat_map(|setting| ["-c".to_owned(), setting]).collect();
        let in_memory = self.in_memory;
        if !self.tcp {
            return Server::spawn(&binaries, &Conditions { in_memory, ..Conditions::default() }, None, &settings).await;
        }
        let mut failed = String::new();
        for _ in 0..PORTS_TRIED {
            let password = format!("{:016x}{:016x}", random(), random());
            let conditions = Conditions { password: Some(password.clone()), in_memory, primary: None };
            let tcp = Tcp { port: free_port()?, password };
            match Server::spawn(&binaries, &conditions, Some(tcp), &settings).await {
                Ok(server) => return Ok(server),
                // In another language or version the words differ; then the first failure is the last.
                Err(error) if error.contains("Address already in use") => failed = error,
                Err(error) => return Err(error),
            }
        }
        Err(failed)
    }
}

#[derive(Debug)]
struct Tcp {
    port: u16,
    password: String,
}

/// A PostgreSQL server of one's own. It is stopped and its directory removed with this value or this process.
#[derive(Debug)]
pub struct Server {
    supervisor: Supervisor,
    tcp: Option<Tcp>,
    pid: Option<u32>,
}

impl Server {
    /// What a server is started with.
    pub fn options() -> ServerOptions {
        ServerOptions::default()
    }

    /// Starts a server on a unix socket.
    ///
    /// # Panics
    ///
    /// Where no server can be started, with what to do about it: a test without its server has failed.
    pub async fn start() -> Self {
        Self::options().start().await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts a standby that follows this server: on a unix socket, with the settings that every server has.
    ///
    /// # Panics
    ///
    /// Where it does not start.
    pub async fn standby(&self) -> Self {
        let primary = format!("host={} port={} user=postgres", self.folder().display(), self.port());
        let conditions = Conditions { primary: Some(primary), ..Conditions::default() };
        let standby = async { Self::spawn(&Search::here().find()?, &conditions, None, &[]).await };
        standby.await.unwrap_or_else(|error: String| panic!("{error}"))
    }

    fn port(&self) -> u16 {
        self.tcp.as_ref().map_or(PORT_OF_SOCKET, |tcp| tcp.port)
    }

    async fn spawn(
        binaries: &Path,
        conditions: &Conditions,
        tcp: Option<Tcp>,
        settings: &[String],
    ) -> Result<Self, String> {
        let mut options = Vec::new();
        if let Some(tcp) = &tcp {
            options.extend(["-c".into(), "listen_addresses=127.0.0.1".into(), "-p".into(), tcp.port.to_string()]);
        }
        options.extend_from_slice(settings);
        let mut supervisor = Supervisor::spawn(binaries, conditions, &options).await?;
        let pid = Some(supervisor.ready().await?);
        Ok(Self { supervisor, tcp, pid })
    }

    /// The URL of a database through the unix socket, as superuser. `postgres` is there from the beginning.
    pub fn url(&self, database: &str) -> String {
        let folder = encoded(&self.folder().to_string_lossy());
        let port = self.port();
        format!("postgres://postgres@localhost:{port}/{database}?host={folder}")
    }

    /// The address on 127.0.0.1, where it was asked for: what a proxy passes on to.
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref().map(|tcp| (Ipv4Addr::LOCALHOST, tcp.port).into())
    }

    /// The URL of a database through an address on 127.0.0.1: the server's own, or that of a proxy in front of it.
    ///
    /// # Panics
    ///
    /// Where the server was started without [`ServerOptions::tcp`].
    pub fn tcp_url(&self, address: SocketAddr, database: &str) -> String {
        let tcp = self.tcp.as_ref().expect("the server was asked to listen on TCP");
        let plain = format!("postgres://{address}/{database}?sslmode=disable");
        with_user(&plain, "postgres", Some(&tcp.password)).expect("the URL is one of ours")
    }

    /// The process id of the server, where it runs.
    pub const fn pid(&self) -> Option<u32> {
        self.pid
    }

    /// The process id of the shell that holds the server.
    pub fn supervisor_pid(&self) -> u32 {
        self.supervisor.pid()
    }

    /// The server's directory: its log (`log`), its data (`data`) and its socket.
    pub fn folder(&self) -> &Path {
        self.supervisor.folder()
    }

    /// Stops the server as a crash does, with recovery at the next start; waits until its last process is gone.
    pub async fn stop_immediately(&mut self) {
        self.stop_by("stop-immediately").await;
    }

    /// Stops the server as an operator does: connections are ended, everything is written.
    pub async fn stop(&mut self) {
        self.stop_by("stop").await;
    }

    /// Starts the server again on the data and the addresses it had.
    ///
    /// # Panics
    ///
    /// Where the server has not been stopped, or does not start.
    pub async fn start_again(&mut self) {
        assert_eq!(self.pid, None, "the server was stopped before it is started again");
        let started = match self.supervisor.say("start") {
            Ok(()) => self.supervisor.ready().await,
            Err(error) => Err(error),
        };
        self.pid = Some(started.unwrap_or_else(|error| panic!("{error}")));
    }

    async fn stop_by(&mut self, word: &str) {
        let stopped = match self.supervisor.say(word) {
            Ok(()) => self.supervisor.stopped().await,
            Err(error) => Err(error),
        };
        stopped.unwrap_or_else(|error| panic!("{error}"));
        self.pid = None;
    }
}

/// A number nobody can guess, from the keys that the standard library draws for its maps.
pub fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}

/// A port of 127.0.0.1 that nobody listens on.
fn free_port() -> Result<u16, String> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Processes begin at different ports, and servers of one process have different ones.
    let first = std::process::id() * 7;
    let count = u32::from(PORTS.end - PORTS.start);
    (0..count)
        .filter_map(|_| {
            let next = first + u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
            u16::try_from(u32::from(PORTS.start) + next % count).ok()
        })
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .ok_or_else(|| format!("no port of {PORTS:?} is free"))
}
