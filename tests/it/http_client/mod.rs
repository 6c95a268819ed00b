//! The retrying client against a server that does what it is told, and that is nothing good.

mod answers;
mod crash;
mod failing;
mod giving_up;
mod keys;
mod leases;
mod network;
mod resume;
mod server;
mod store;
mod tls;

use std::time::Duration;

use annals::{
    KeyStore, SqliteStore,
    http::client::{RetryBudget, RetryingClient},
};

/// A client of reqwest's that goes straight to where it is sent.
fn plain() -> reqwest::Client {
    // Only once in a process: whoever comes later finds it.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}

/// A client that hardly pauses, and that no budget holds back.
fn client(keys: impl KeyStore + 'static) -> RetryingClient {
    RetryingClient::new(plain(), keys)
        .pauses(Duration::from_millis(1), Duration::from_millis(4))
        .longest_retry_after(Duration::from_millis(1))
        .budget(RetryBudget::unlimited())
        .seed(7)
}

async fn in_memory() -> SqliteStore {
    SqliteStore::open_in_memory().await.unwrap()
}

/// The keys of the calls that have no answer.
async fn pending(client: &RetryingClient) -> Vec<String> {
    let calls = client.pending(None, 1_000).await.unwrap();
    calls.into_iter().map(|call| call.name.key.as_str().to_owned()).collect()
}
