//! What stands in for Redis where a real one cannot be had in a state, and a road that is led elsewhere.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
};

/// Answers everything with the same words.
#[derive(Debug)]
pub struct Parrot {
    pub url: String,
    task: AbortHandle,
}

impl Parrot {
    pub async fn start(words: &'static [u8]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                connections.spawn(async move {
                    let mut bytes = [0; 4096];
                    while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                        // A command begins with `*`.
                        for _ in bytes[..count].iter().filter(|byte| **byte == b'*') {
                            if stream.write_all(words).await.is_err() {
                                return;
                            }
                        }
                    }
                });
            }
        });
        Self { url, task: task.abort_handle() }
    }
}

impl Drop for Parrot {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// A name that leads to one server, and then to another.
#[derive(Debug)]
pub struct Road {
    pub url: String,
    target: Arc<Mutex<SocketAddr>>,
    task: AbortHandle,
}

impl Road {
    pub async fn to(url: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let road = format!("redis://{}", listener.local_addr().unwrap());
        let target = Arc::new(Mutex::new(address(url)));
        let led = Arc::clone(&target);
        let task = tokio::spawn(async move {
            let mut connections = JoinSet::new();
            loop {
                let (mut here, _) = listener.accept().await.unwrap();
                let target = *led.lock().unwrap();
                connections.spawn(async move {
                    if let Ok(mut there) = TcpStream::connect(target).await {
                        let _ = copy_bidirectional(&mut here, &mut there).await;
                    }
                });
            }
        });
        Self { url: road, target, task: task.abort_handle() }
    }

    pub fn lead_to(&self, url: &str) {
        *self.target.lock().unwrap() = address(url);
    }
}

impl Drop for Road {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn address(url: &str) -> SocketAddr {
    url.strip_prefix("redis://").unwrap().parse().unwrap()
}
