//! A proxy before the broker: it cuts connections when an acknowledgement comes by, which then is lost.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// What an acknowledgement of JetStream's has in it: the message is stored by then.
const ACKNOWLEDGEMENT: &[u8] = b"{\"stream\":";

/// A proxy on a port of 127.0.0.1.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    left: Arc<AtomicU32>,
    acceptor: JoinHandle<()>,
}

impl Proxy {
    pub async fn start(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let (address, left) = (listener.local_addr().unwrap(), Arc::new(AtomicU32::new(0)));
        let left_to_cut = Arc::clone(&left);
        let acceptor = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(pass_on(client, port, Arc::clone(&left_to_cut)));
            }
        });
        Self { address, left, acceptor }
    }

    pub fn url(&self) -> String {
        format!("nats://{}", self.address)
    }

    /// Cuts so many connections, each at the next acknowledgement.
    pub fn cut(&self, connections: u32) {
        self.left.store(connections, Ordering::SeqCst);
    }

    /// How many are still to be cut.
    pub fn left(&self) -> u32 {
        self.left.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

/// Both ends are closed when one is, or at the cut.
async fn pass_on(client: TcpStream, port: u16, left: Arc<AtomicU32>) {
    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await else { return };
    let ((mut from_client, mut to_client), (mut from_server, mut to_server)) =
        (client.into_split(), server.into_split());
    let requests = async { tokio::io::copy(&mut from_client, &mut to_server).await.map(drop) };
    let replies = async {
        let mut bytes = vec![0; 64 * 1024];
        loop {
            let read = from_server.read(&mut bytes).await?;
            let is_acknowledgement = bytes[..read].windows(ACKNOWLEDGEMENT.len()).any(|part| part == ACKNOWLEDGEMENT);
            let is_cut = || left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).is_ok();
            if read == 0 || (is_acknowledgement && is_cut()) {
                return Ok::<_, std::io::Error>(());
            }
            to_client.write_all(&bytes[..read]).await?;
        }
    };
    tokio::select! {
        _ = requests => {}
        _ = replies => {}
    }
}
