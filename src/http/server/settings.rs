//! What the layer is told, and whether it makes sense.

use std::{ops::RangeInclusive, time::Duration};

use http::{
    HeaderName, Method,
    header::{AUTHORIZATION, COOKIE},
};

use super::{
    BodyForm, Errors, FingerprintRules,
    key::{KeyRules, KeySource, KeySyntax, check_sources},
};
use crate::store::{Error, IdempotencyKey};

/// States what happens to a retry while the first attempt is still at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum InFlight {
    /// It is refused at once: 409, and when to come again. The default.
    #[default]
    Reject,
    /// It waits for the first one's answer, so long at the most: 1 ms to 10 min.
    ///
    /// Then it is refused.
    Wait(Duration),
}

/// States what becomes of a request whose outcome is not known.
///
/// That is an answer of 500 and above, or a panic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum FailurePolicy {
    /// It keeps its lease; then the next retry begins it again. The default.
    #[default]
    Rerun,
    /// Its answer is stored and replayed like any other, as Stripe does it.
    StoreAll,
}

/// Everything the layer is told, as plain values with their defaults.
///
/// [`check`](Self::check) says whether they make sense; the policy and the OpenAPI fragment are made from them.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Settings {
    /// Requests without a key are refused. Default: yes.
    pub required: bool,
    /// The methods whose requests have keys. Default: POST and PATCH.
    ///
    /// Safe methods cannot be among them.
    pub methods: Vec<Method>,
    /// Where keys stand. Default: the header `idempotency-key`.
    pub key_sources: Vec<KeySource>,
    /// How keys are written in headers. Default: [`KeySyntax::Lenient`].
    pub key_syntax: KeySyntax,
    /// The fewest bytes of a key, up to 255; `None`: one. Default: `None`.
    pub shortest_key: Option<usize>,
    /// Headers that are part of what was asked for. Default: none.
    pub fingerprint_headers: Vec<String>,
    /// JSON pointers to what does not count in JSON bodies. Default: none.
    pub leave_out: Vec<String>,
    /// In which form bodies are compared. Default: [`BodyForm::Canonical`].
    pub body_form: BodyForm,
    /// The most bytes of a request's body: 1 to 16 MiB. Default: 1 MiB.
    pub request_bytes: usize,
    /// The most bytes of an answer's body to store: 1 to 16 MiB. Default: 1 MiB.
    pub response_bytes: usize,
    /// How long an answer is kept, from when it was given. Default: 24 h.
    ///
    /// 1 s to ten years, and longer than a lease.
    pub keep_for: Duration,
    /// How long the right to carry a request out lasts without renewal. Default: 60 s.
    ///
    /// 1 ms to 24 h.
    pub lease: Duration,
    /// How long the right is renewed: 1 ms to 24 h. Default: 15 min.
    pub longest_run: Duration,
    /// How often a request is begun at the most. At least once. Default: 5.
    pub attempts: u32,
    /// What happens to a retry meanwhile. Default: [`InFlight::Reject`].
    pub in_flight: InFlight,
    /// What becomes of unknown outcomes. Default: [`FailurePolicy::Rerun`].
    pub failure_policy: FailurePolicy,
    /// The shape of refusals. Default: [`Errors::Ietf`].
    pub errors: Errors,
    /// How many keys a principal may have at once. Default: `None`, any number.
    pub keys_per_scope: Option<u32>,
    /// The same key at two endpoints is two keys. Default: no.
    pub per_endpoint: bool,
    /// Where the policy is published; a path or a URL. Default: nowhere.
    pub policy_url: Option<String>,
    /// For how long clients are told to retry; published. Default: not told.
    pub client_horizon: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            required: true,
            methods: vec![Method::POST, Method::PATCH],
            key_sources: vec![KeySource::header("idempotency-key")],
            key_syntax: KeySyntax::default(),
            shortest_key: None,
            fingerprint_headers: Vec::new(),
            leave_out: Vec::new(),
            body_form: BodyForm::default(),
            request_bytes: 1 << 20,
            response_bytes: 1 << 20,
            keep_for: Duration::from_secs(24 * 60 * 60),
            lease: Duration::from_secs(60),
            longest_run: Duration::from_secs(15 * 60),
            attempts: 5,
            in_flight: InFlight::default(),
            failure_policy: FailurePolicy::default(),
            errors: Errors::default(),
            keys_per_scope: None,
            per_endpoint: false,
            policy_url: None,
            client_horizon: None,
        }
    }
}

const MILLISECOND: Duration = Duration::from_millis(1);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const LEASES: RangeInclusive<Duration> = MILLISECOND..=DAY;
const WAITS: RangeInclusive<Duration> = MILLISECOND..=Duration::from_secs(10 * 60);
/// A second, and ten years.
const KEPT: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(10 * 366 * 24 * 60 * 60);
const BODIES: RangeInclusive<usize> = 1..=(16 << 20);
/// What a database's column holds.
const COUNTS: RangeInclusive<u32> = 1..=(i32::MAX.unsigned_abs());
const URL_BYTES: usize = 2000;
const LISTED: usize = 64;

impl Settings {
    /// Makes sure that the settings make sense, before the first request.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] says which does not, and its bounds: mend it.
    pub fn check(&self) -> Result<(), Error> {
        self.check_keys()?;
        self.fingerprint_rules()?;
        within("bytes of a request's body", self.request_bytes, &BODIES)?;
        within("bytes of an answer's body", self.response_bytes, &BODIES)?;
        within("attempts", self.attempts, &COUNTS)?;
        self.keys_per_scope.map_or(Ok(()), |keys| within("keys of a scope", keys, &COUNTS))?;
        within("the time that answers are kept", self.keep_for, &KEPT)?;
        within("a lease", self.lease, &LEASES)?;
        within("the longest run", self.longest_run, &LEASES)?;
        if let InFlight::Wait(most) = self.in_flight {
            within("the wait for a first attempt", most, &WAITS)?;
        }
        if self.lease >= self.keep_for {
            return Err(Error::invalid(format!(
                "answers are kept longer than a lease lasts, not {:?} and {:?}",
                self.keep_for, self.lease
            )));
        }
        self.policy_url.as_deref().map_or(Ok(()), check_url)
    }

    fn check_keys(&self) -> Result<(), Error> {
        within("methods with keys", self.methods.len(), &(1..=LISTED))?;
        if let Some(safe) = self.methods.iter().find(|method| method.is_safe()) {
            return Err(Error::invalid(format!("{safe} changes nothing and needs no key")));
        }
        check_sources(&self.key_sources)?;
        let lengths = 1..=IdempotencyKey::MAX_BYTES;
        self.shortest_key.map_or(Ok(()), |shortest| within("bytes of the shortest key", shortest, &lengths))
    }

    /// How keys are found in requests.
    #[must_use]
    pub fn key_rules(&self) -> KeyRules<'_> {
        KeyRules { sources: &self.key_sources, syntax: self.key_syntax, shortest: self.shortest_key }
    }

    /// What of a request counts; members that hold the key do not.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] where a header's name or a pointer is malformed, or a header is listed that changes between
    /// honest attempts: the key's own, `authorization` (a new token is no new request; the scope says who it is) and
    /// `cookie`.
    pub fn fingerprint_rules(&self) -> Result<FingerprintRules, Error> {
        let too_many = self.fingerprint_headers.len().max(self.leave_out.len());
        within("headers or pointers of a fingerprint", too_many, &(0..=LISTED))?;
        for name in &self.fingerprint_headers {
            let is_key =
                |source: &KeySource| matches!(source, KeySource::Header(header) if header.eq_ignore_ascii_case(name));
            let changes: [HeaderName; 2] = [AUTHORIZATION, COOKIE];
            if self.key_sources.iter().any(is_key) || changes.iter().any(|changing| *changing == name.as_str()) {
                return Err(Error::invalid(format!("{name} may change between attempts at one request")));
            }
        }
        let rules = FingerprintRules::new(&self.fingerprint_headers, &self.leave_out, self.body_form)?;
        Ok(self.key_sources.iter().fold(rules, |rules, source| match source {
            KeySource::JsonMember(name) => rules.without_member(name),
            KeySource::Header(_) => rules,
        }))
    }

    /// What makes sense by itself but will hurt.
    ///
    /// To be logged when the layer is built, and published.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        // A retry in the very moment of expiry is a new request already.
        let horizon = self.client_horizon.filter(|horizon| *horizon >= self.keep_for);
        let horizon = horizon.map(|horizon| {
            format!(
                "clients retry for {} s, but answers are kept for {} s only: a retry after that is carried out anew",
                horizon.as_secs(),
                self.keep_for.as_secs()
            )
        });
        horizon.into_iter().collect()
    }
}

fn within<T: PartialOrd + Copy + std::fmt::Debug>(
    what: &str,
    found: T,
    bounds: &RangeInclusive<T>,
) -> Result<(), Error> {
    if bounds.contains(&found) {
        return Ok(());
    }
    Err(Error::invalid(format!("{what}: {:?} to {:?}, not {found:?}", bounds.start(), bounds.end())))
}

/// It stands in headers, between angle brackets.
fn check_url(url: &str) -> Result<(), Error> {
    let is_sound = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b'"' | b'#' | b'\\');
    if url.is_empty() || url.len() > URL_BYTES || !url.bytes().all(is_sound) {
        return Err(Error::invalid(format!(
            "the policy is at a path or URL of 1 to {URL_BYTES} visible ASCII bytes without fragment, quotes and brackets"
        )));
    }
    Ok(())
}
