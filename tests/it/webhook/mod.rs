//! Webhooks: what is believed, what an endpoint is sent, and that each effect takes place once.

mod endpoint;
mod publishing;
mod relaying;
mod verifying;

use annals::http::webhook::{WebhookPublisher, WebhookSecret};

fn secret(number: u8) -> WebhookSecret {
    WebhookSecret::from_bytes([number; 32]).unwrap()
}

/// A client that goes straight to where it is sent, and follows nobody.
fn plain() -> reqwest::Client {
    // Only once in a process: whoever comes later finds it.
    drop(rustls::crypto::ring::default_provider().install_default());
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([]);
    client.redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

fn publisher(url: &str) -> WebhookPublisher {
    WebhookPublisher::new(plain(), url, secret(1)).unwrap()
}
