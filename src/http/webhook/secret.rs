//! What sender and receiver share.

use std::{fmt, str::FromStr};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::store::Error;

/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// What a signature begins with.
pub(super) const VERSION: &str = "v1,";

/// The fewest and the most bytes of a secret.
const SECRET_BYTES: (usize, usize) = (24, 64);

/// A secret that the sender of webhooks shares with their receiver.
///
/// `whsec_` and 24 to 64 random bytes in Base64. `Debug` shows nothing of it.
#[derive(Clone)]
pub struct WebhookSecret(Hmac<Sha256>);

impl WebhookSecret {
    /// Takes a secret in its usual form, with `whsec_` before it or without.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: it is no Base64, or not of 24 to 64 bytes. The message has nothing of it.
    pub fn new(secret: impl AsRef<str>) -> Result<Self, Error> {
        let secret = secret.as_ref();
        let base64 = secret.strip_prefix(PREFIX).unwrap_or(secret);
        let bytes =
            STANDARD.decode(base64).map_err(|_| Error::invalid("a webhook's secret is Base64 behind whsec_"))?;
        Self::from_bytes(bytes)
    }

    /// Takes the bytes of a secret.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`]: there are not 24 to 64 of them.
    pub fn from_bytes(secret: impl AsRef<[u8]>) -> Result<Self, Error> {
        let secret = secret.as_ref();
        let (least, most) = SECRET_BYTES;
        let unfit = || Error::invalid(format!("a webhook's secret has {least} to {most} bytes, not {}", secret.len()));
        if secret.len() < least || secret.len() > most {
            return Err(unfit());
        }
        Hmac::new_from_slice(secret).map(Self).map_err(|_| unfit())
    }

    /// Signs a message, for the header `webhook-signature`.
    ///
    /// `v1,` and the HMAC-SHA256 of id, time in seconds and body, in Base64.
    #[must_use]
    pub fn sign(&self, id: &str, sent_at: DateTime<Utc>, body: &[u8]) -> String {
        let mac = self.mac(id, sent_at.timestamp(), body).finalize().into_bytes();
        format!("{VERSION}{}", STANDARD.encode(mac))
    }

    /// Tells whether a signature is that of a message. How long it takes does not depend on how much of it is right.
    pub(super) fn has_signed(&self, signature: &[u8], id: &str, timestamp: i64, body: &[u8]) -> bool {
        self.mac(id, timestamp, body).verify_slice(signature).is_ok()
    }

    fn mac(&self, id: &str, timestamp: i64, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        for part in [id.as_bytes(), b".", timestamp.to_string().as_bytes(), b".", body] {
            mac.update(part);
        }
        mac
    }
}

/// The bytes of a signature.
pub(super) fn decoded(signature: &str) -> Option<Vec<u8>> {
    STANDARD.decode(signature.strip_prefix(VERSION)?).ok()
}

impl FromStr for WebhookSecret {
    type Err = Error;

    fn from_str(secret: &str) -> Result<Self, Error> {
        Self::new(secret)
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret")
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::WebhookSecret;

    /// The example that the libraries of the specification are tested with.
    #[test]
    fn http_k10_a_signature_is_what_the_specification_says() {
        let secret = WebhookSecret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let sent_at = DateTime::from_timestamp(1_614_265_330, 999_999_999).unwrap();
        let signature = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", sent_at, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn http_k10_secrets_have_bounds_and_show_nothing() {
        let of = |bytes: usize| WebhookSecret::from_bytes(vec![7; bytes]);
        assert!(of(24).is_ok() && of(64).is_ok() && of(23).is_err() && of(65).is_err());
        for wrong in ["", "whsec_", "whsec_c2hvcnQ=", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!", "MfKQ"] {
            let refused = WebhookSecret::new(wrong).unwrap_err().to_string();
            assert!(wrong.is_empty() || !refused.contains(wrong), "{refused}");
        }
        assert_eq!(format!("{:?}", of(24).unwrap()), "WebhookSecret");
    }
}
