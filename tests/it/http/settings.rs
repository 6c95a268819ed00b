//! Settings that make sense, and those that do not.

use std::time::Duration;

use annals::{
    Error,
    http::{BodyForm, InFlight, KeySource, Settings},
};
use http::Method;

const SECOND: Duration = Duration::from_secs(1);

fn with(change: impl FnOnce(&mut Settings)) -> Settings {
    let mut settings = Settings::default();
    change(&mut settings);
    settings
}

#[test]
fn http_h11_settings_that_make_no_sense_are_refused_when_the_layer_is_built() {
    Settings::default().check().unwrap();
    let refused = [
        with(|of| of.keep_for = Duration::ZERO),
        with(|of| of.keep_for = Duration::from_millis(999)),
        with(|of| of.keep_for = Duration::MAX),
        with(|of| of.keep_for = of.lease),
        with(|of| of.lease = Duration::ZERO),
        with(|of| of.lease = Duration::MAX),
        with(|of| of.longest_run = Duration::ZERO),
        with(|of| of.longest_run = Duration::MAX),
        with(|of| of.in_flight = InFlight::Wait(Duration::ZERO)),
        with(|of| of.in_flight = InFlight::Wait(Duration::MAX)),
        with(|of| of.attempts = 0),
        with(|of| of.attempts = u32::MAX),
        with(|of| of.keys_per_scope = Some(0)),
        with(|of| of.keys_per_scope = Some(u32::MAX)),
        with(|of| of.request_bytes = 0),
        with(|of| of.request_bytes = usize::MAX),
        with(|of| of.response_bytes = 0),
        with(|of| of.response_bytes = (16 << 20) + 1),
        with(|of| of.shortest_key = Some(0)),
        with(|of| of.shortest_key = Some(256)),
        with(|of| of.methods = Vec::new()),
        with(|of| of.methods.push(Method::GET)),
        with(|of| of.key_sources = Vec::new()),
        with(|of| of.key_sources.push(KeySource::header("Idempotency-Key"))),
        with(|of| of.key_sources.push(KeySource::header("no header"))),
        with(|of| of.key_sources.push(KeySource::json_member(""))),
        with(|of| of.fingerprint_headers = vec!["no header".to_owned()]),
        with(|of| of.fingerprint_headers = vec!["Authorization".to_owned()]),
        with(|of| of.fingerprint_headers = vec!["IDEMPOTENCY-KEY".to_owned()]),
        with(|of| of.leave_out = vec!["sent_at".to_owned()]),
        with(|of| of.leave_out = vec![String::new()]),
        with(|of| (of.leave_out, of.body_form) = (vec!["/sent_at".to_owned()], BodyForm::Raw)),
        with(|of| of.policy_url = Some(String::new())),
        with(|of| of.policy_url = Some("/a>; rel=\"x\"".to_owned())),
        with(|of| of.policy_url = Some("/a\r\nb".to_owned())),
        with(|of| of.policy_url = Some("/a#b".to_owned())),
    ];
    for settings in refused {
        assert!(matches!(settings.check(), Err(Error::Invalid { .. })), "{settings:?}");
    }
    for settings in [
        with(|of| (of.keep_for, of.lease) = (SECOND, Duration::from_millis(500))),
        with(|of| of.keep_for = SECOND * 60 * 60 * 24 * 366 * 10),
        with(|of| of.in_flight = InFlight::Wait(SECOND * 10)),
        with(|of| (of.shortest_key, of.keys_per_scope) = (Some(255), None)),
        with(|of| of.methods = vec![Method::PUT, Method::DELETE, Method::from_bytes(b"PAY").unwrap()]),
        with(|of| of.key_sources = vec![KeySource::json_member("idempotency_key")]),
        with(|of| (of.key_sources, of.body_form) = (vec![KeySource::json_member("key")], BodyForm::Raw)),
        with(|of| of.fingerprint_headers = vec!["Stripe-Version".to_owned()]),
        with(|of| of.policy_url = Some("https://api.example/idempotency?v=1".to_owned())),
    ] {
        settings.check().unwrap();
    }
}

#[test]
fn http_h12_clients_that_retry_longer_than_answers_are_kept_are_warned_about() {
    for (horizon, warnings) in [
        (None, 0),
        (Some(SECOND * 60 * 60), 0),
        (Some(SECOND * 60 * 60 * 24 - Duration::from_nanos(1)), 0),
        (Some(SECOND * 60 * 60 * 24), 1),
        (Some(SECOND * 60 * 60 * 48), 1),
    ] {
        let settings = with(|of| of.client_horizon = horizon);
        settings.check().unwrap();
        assert_eq!(settings.warnings().len(), warnings, "{horizon:?}");
    }
}
