//! A server with a certificate that nobody trusts.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use annals::http::client::ClientError;
use rustls::{ServerConfig, crypto::ring};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_rustls::TlsAcceptor;

use super::{client, in_memory, pending};

#[tokio::test]
async fn http_m19_a_certificate_that_is_not_trusted_is_not_tried_again() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (chain, key) = (vec![made.cert.der().clone()], made.signing_key.serialize_der());
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key.try_into().unwrap())
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (handshakes, accepted) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let mut tasks = JoinSet::new();
    tasks.spawn({
        let (handshakes, accepted) = (Arc::clone(&handshakes), Arc::clone(&accepted));
        async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                handshakes.fetch_add(1, Ordering::SeqCst);
                if acceptor.accept(stream).await.is_ok() {
                    accepted.fetch_add(1, Ordering::SeqCst);
                }
            }
        }
    });
    let client = client(in_memory().await);
    for method in [http::Method::POST, http::Method::GET] {
        let error = client.request(method.clone(), format!("https://localhost:{port}/")).send().await.unwrap_err();
        assert!(matches!(error, ClientError::Tls { .. }), "{method}: {error:?}");
        assert!(!error.is_retryable() && !error.is_outcome_unknown());
    }
    assert_eq!((handshakes.load(Ordering::SeqCst), accepted.load(Ordering::SeqCst)), (2, 0), "once each");
    assert!(pending(&client).await.is_empty(), "nothing was sent");
}
