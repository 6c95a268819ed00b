//! What the layer does, for the clients' developers.

use std::time::Duration;

use serde::Serialize;

use super::{
    BodyForm, FailurePolicy, FingerprintRecipe, InFlight, KeySource, KeySyntax, Refusal, RenderRefusal as _, Settings,
    errors::Kind,
};
use crate::store::IdempotencyKey;

/// Publishes what the layer does with keys.
///
/// The draft of the IETF asks every resource for it.
///
/// Serve it as JSON at the policy's URL, which `Link: rel="describedby"` names in every refusal. It is made from the
/// settings that the layer works by, and its statuses from the answers that it gives.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyDocument {
    methods: Vec<String>,
    key: KeyPolicy,
    scope: ScopePolicy,
    retention: RetentionPolicy,
    in_flight: InFlightPolicy,
    outcomes: OutcomePolicy,
    error_shape: &'static str,
    refusals: Vec<RefusalPolicy>,
    response_headers: Vec<HeaderPolicy>,
    fingerprint: FingerprintPolicy,
    limits: LimitPolicy,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct KeyPolicy {
    required: bool,
    sources: Vec<SourcePolicy>,
    syntax: &'static str,
    syntax_means: &'static str,
    shortest_bytes: usize,
    longest_bytes: usize,
    characters: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct SourcePolicy {
    r#in: &'static str,
    name: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct ScopePolicy {
    per: &'static str,
    means: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    keys_at_once: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct RetentionPolicy {
    seconds: u64,
    counted_from: &'static str,
    lease_seconds: u64,
    longest_run_seconds: u64,
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_horizon_seconds: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct InFlightPolicy {
    behaviour: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_seconds: Option<u64>,
    means: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct OutcomePolicy {
    stored_and_replayed: Vec<&'static str>,
    key_is_free_again: Vec<&'static str>,
    unknown: UnknownPolicy,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct UnknownPolicy {
    which: &'static str,
    policy: &'static str,
    means: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct RefusalPolicy {
    name: &'static str,
    status: u16,
    #[serde(flatten)]
    kind: Kind,
    title: &'static str,
    retry: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct HeaderPolicy {
    name: &'static str,
    means: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct FingerprintPolicy {
    recipe: u16,
    hash: &'static str,
    parts: Vec<&'static str>,
    headers: Vec<String>,
    left_out: Vec<String>,
    body_form: &'static str,
    body_form_means: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct LimitPolicy {
    request_body_bytes: usize,
    stored_response_body_bytes: usize,
    larger_responses: &'static str,
}

impl PolicyDocument {
    /// Publishes what the layer does by these settings.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        let mut methods: Vec<_> = settings.methods.iter().map(ToString::to_string).collect();
        methods.sort_unstable();
        Self {
            methods,
            key: key(settings),
            scope: scope(settings),
            retention: RetentionPolicy {
                seconds: settings.keep_for.as_secs(),
                counted_from: "the moment the answer was given",
                lease_seconds: whole(settings.lease),
                longest_run_seconds: whole(settings.longest_run),
                attempts: settings.attempts,
                client_horizon_seconds: settings.client_horizon.map(whole),
            },
            in_flight: in_flight(settings.in_flight),
            outcomes: outcomes(settings.failure_policy),
            error_shape: settings.errors.name(),
            refusals: Refusal::samples().iter().map(|refusal| refused(settings, refusal)).collect(),
            response_headers: HEADERS.iter().map(|(name, means)| HeaderPolicy { name, means }).collect(),
            fingerprint: fingerprint(settings),
            limits: LimitPolicy {
                request_body_bytes: settings.request_bytes,
                stored_response_body_bytes: settings.response_bytes,
                larger_responses: "are sent once, and answered by answer-not-kept after that",
            },
            warnings: settings.warnings(),
        }
    }
}

/// The headers of answers, and what they say.
pub(super) const HEADERS: [(&str, &str); 6] = [
    ("Idempotent-Replayed", "true: this is the stored answer of an earlier attempt, and nothing was done now"),
    ("Original-Request", "with a replay: the id of the request that was carried out"),
    ("Retry-After", "seconds until the same request, with the same key, may end better"),
    ("Stripe-Should-Retry", "true or false: whether to send the same request again, whatever the status"),
    ("X-Should-Retry", "the same"),
    ("Link", "rel=\"describedby\": where this policy is published"),
];

/// Rounded up: nobody comes back too early by it.
fn whole(time: Duration) -> u64 {
    time.as_secs().saturating_add(u64::from(time.subsec_nanos() > 0))
}

fn key(settings: &Settings) -> KeyPolicy {
    let source = |source: &KeySource| {
        let place = if matches!(source, KeySource::Header(_)) { "header" } else { "json-body" };
        SourcePolicy { r#in: place, name: source.name().to_owned() }
    };
    let (syntax, syntax_means) = match settings.key_syntax {
        KeySyntax::Lenient => (
            "lenient",
            "a structured-field string (\"…\", RFC 9651), whose parameters are dropped, or the bare key, which then has \
             no double quote, comma or semicolon; \"abc\" and abc are the same key",
        ),
        KeySyntax::Strict => ("strict", "a structured-field string (\"…\", RFC 9651), whose parameters are dropped"),
        KeySyntax::Raw => ("raw", "the bytes as they are; \"abc\" and abc are two keys"),
    };
    KeyPolicy {
        required: settings.required,
        sources: settings.key_sources.iter().map(source).collect(),
        syntax,
        syntax_means,
        shortest_bytes: settings.shortest_key.unwrap_or(1),
        longest_bytes: IdempotencyKey::MAX_BYTES,
        characters: "visible ASCII, ! to ~, told apart by case; no blanks, within quotes neither. One header line with one \
                     key; where several places have a key it is the same",
    }
}

const fn scope(settings: &Settings) -> ScopePolicy {
    let (per, means) = if settings.per_endpoint {
        ("principal-and-endpoint", "a key belongs to whoever has sent it, and to one method and path")
    } else {
        ("principal", "a key belongs to whoever has sent it; at another endpoint it is another request, and refused")
    };
    ScopePolicy { per, means, keys_at_once: settings.keys_per_scope }
}

fn in_flight(in_flight: InFlight) -> InFlightPolicy {
    match in_flight {
        InFlight::Reject => InFlightPolicy {
            behaviour: "reject",
            wait_seconds: None,
            means: "a retry that comes before the answer to the first attempt is refused",
        },
        InFlight::Wait(most) => InFlightPolicy {
            behaviour: "wait",
            wait_seconds: Some(whole(most)),
            means: "a retry that comes before the answer to the first attempt waits for it so long, and is refused then",
        },
    }
}

fn outcomes(failure: FailurePolicy) -> OutcomePolicy {
    let (policy, means) = match failure {
        FailurePolicy::Rerun => (
            "rerun",
            "a retry carries it out again once the lease has ended, under the same key wherever it is passed on",
        ),
        FailurePolicy::StoreAll => ("store", "stored and replayed like any other answer"),
    };
    OutcomePolicy {
        stored_and_replayed: vec!["2xx", "3xx", "4xx of the operation itself, but for those below"],
        key_is_free_again: vec![
            "408, 425, 429",
            "4xx from before the operation has begun, but for 402, 409 and 410",
            "4xx that say X-Should-Retry: true",
            "answers that the operation marks as retryable: nothing has happened",
        ],
        unknown: UnknownPolicy { which: "5xx, and an operation that breaks off", policy, means },
    }
}

fn refused(settings: &Settings, refusal: &Refusal) -> RefusalPolicy {
    let url = settings.policy_url.as_deref();
    RefusalPolicy {
        name: refusal.name(),
        status: settings.errors.render(refusal, url).status().as_u16(),
        kind: settings.errors.kind_of(refusal, url),
        title: refusal.title(),
        retry: refusal.should_retry(),
    }
}

fn fingerprint(settings: &Settings) -> FingerprintPolicy {
    let (body_form, body_form_means) = match settings.body_form {
        BodyForm::Canonical => (
            "canonical",
            "JSON: order of members, blanks and escapes do not count, numbers count as written; forms: pairs sorted by \
             name; multipart/form-data: parts without their boundary; everything else: bytes",
        ),
        BodyForm::Raw => ("raw", "bytes"),
    };
    let mut headers: Vec<_> = settings.fingerprint_headers.iter().map(|name| name.to_ascii_lowercase()).collect();
    headers.sort_unstable();
    headers.dedup();
    FingerprintPolicy {
        recipe: FingerprintRecipe::CURRENT.number(),
        hash: "SHA-256",
        parts: vec![
            "method",
            "path and query, in their order, percent escapes in one form",
            "the headers below",
            "content type without parameters, charset other than UTF-8, content encoding",
            "body",
        ],
        headers,
        left_out: settings.leave_out.clone(),
        body_form,
        body_form_means,
    }
}
