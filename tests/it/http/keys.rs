//! Where keys stand and how they are written.

use annals::http::{KeyRules, KeySource, KeySyntax, Refusal, header_key, member_key, request_key};
use http::{HeaderMap, HeaderName, HeaderValue};

const LENIENT: KeySyntax = KeySyntax::Lenient;

fn sources() -> [KeySource; 1] {
    [KeySource::header("Idempotency-Key")]
}

fn headers(lines: &[(&str, &[u8])]) -> HeaderMap {
    let line =
        |(name, value): &(&str, &[u8])| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(value).unwrap());
    lines.iter().map(line).collect()
}

/// The key in one line, or `None` where it is refused as malformed.
fn read(syntax: KeySyntax, line: impl AsRef<[u8]>) -> Option<String> {
    let rules = KeyRules { sources: &sources(), syntax, shortest: None };
    match header_key(&headers(&[("idempotency-key", line.as_ref())]), rules) {
        Ok(key) => Some(key.expect("there is a header").as_str().to_owned()),
        Err(Refusal::MalformedKey { .. }) => None,
        Err(other) => panic!("{other:?}"),
    }
}

#[test]
fn http_a05_quoted_and_bare_are_one_key_only_in_lenient_syntax() {
    for (syntax, quoted, bare) in [
        (LENIENT, Some("abc"), Some("abc")),
        (KeySyntax::Strict, Some("abc"), None),
        (KeySyntax::Raw, Some("\"abc\""), Some("abc")),
    ] {
        assert_eq!(read(syntax, "\"abc\"").as_deref(), quoted, "{syntax:?}");
        assert_eq!(read(syntax, "abc").as_deref(), bare, "{syntax:?}");
    }
}

#[test]
fn http_a06_escapes_in_quoted_keys_are_undone() {
    for syntax in [LENIENT, KeySyntax::Strict] {
        assert_eq!(read(syntax, r#""a\"b\\c""#).as_deref(), Some(r#"a"b\c"#));
    }
    assert_eq!(read(KeySyntax::Raw, r#""a\"b\\c""#).as_deref(), Some(r#""a\"b\\c""#));
}

#[test]
fn http_a07_broken_quotes_are_refused() {
    for broken in [r#""abc"#, r#"abc""#, r#""a"b""#, r#""a\x""#, r#"""#, r#""abc\"#, r#""abc"x"#, r#"ab"c"#] {
        for syntax in [LENIENT, KeySyntax::Strict] {
            assert_eq!(read(syntax, broken), None, "{syntax:?} {broken}");
        }
    }
}

#[test]
fn http_a08_parameters_are_accepted_and_dropped() {
    for syntax in [LENIENT, KeySyntax::Strict] {
        for whole in [r#""abc";v=1"#, r#""abc"; a="x;y"; b=?1"#, r#" "abc";v "#] {
            assert_eq!(read(syntax, whole).as_deref(), Some("abc"), "{syntax:?} {whole}");
        }
        for broken in [r#""abc";"#, r#""abc";V=1"#, r#""abc" v=1"#, "abc;v=1"] {
            assert_eq!(read(syntax, broken), None, "{syntax:?} {broken}");
        }
    }
}

#[test]
fn http_a09_more_than_one_key_is_refused_also_where_they_are_equal() {
    let sources = [KeySource::header("idempotency-key"), KeySource::header("x-idempotency-key")];
    for syntax in [LENIENT, KeySyntax::Strict, KeySyntax::Raw] {
        let rules = KeyRules { sources: &sources, syntax, shortest: None };
        for second in [r#""a""#, r#""b""#] {
            let twice = headers(&[("idempotency-key", br#""a""#), ("idempotency-key", second.as_bytes())]);
            assert!(matches!(header_key(&twice, rules), Err(Refusal::MalformedKey { .. })), "{syntax:?} {second}");
        }
        for joined in [r#""a", "b""#, r#""a", "a""#, "a, b"] {
            assert_eq!(read(syntax, joined), None, "{syntax:?} {joined}");
        }
        let aliases = |other: &str| headers(&[("x-idempotency-key", br#""a""#), ("idempotency-key", other.as_bytes())]);
        assert_eq!(header_key(&aliases(r#""a""#), rules).unwrap().unwrap().as_str().trim_matches('"'), "a");
        assert!(matches!(header_key(&aliases(r#""b""#), rules), Err(Refusal::MalformedKey { .. })));
    }
    assert_eq!(read(LENIENT, "a,b"), None, "two lines may have been joined");
}

#[test]
fn http_a11_an_empty_key_is_refused_and_none_is_none() {
    for syntax in [LENIENT, KeySyntax::Strict, KeySyntax::Raw] {
        for empty in ["", " ", "   "] {
            assert_eq!(read(syntax, empty), None, "{syntax:?} {empty:?}");
        }
        let rules = KeyRules { sources: &sources(), syntax, shortest: None };
        assert_eq!(header_key(&HeaderMap::new(), rules), Ok(None));
    }
    for syntax in [LENIENT, KeySyntax::Strict] {
        for empty in [r#""""#, r#""";v=1"#, r#"" ""#, r#""   ""#] {
            assert_eq!(read(syntax, empty), None, "{syntax:?} {empty:?}");
        }
    }
}

#[test]
fn http_a12_a_key_has_1_to_255_bytes_without_its_quotes() {
    for syntax in [LENIENT, KeySyntax::Strict, KeySyntax::Raw] {
        for (length, is_taken) in [(1, true), (255, true), (256, false), (4000, false)] {
            let key = "k".repeat(length);
            let line = if syntax == KeySyntax::Raw { key.clone() } else { format!("\"{key}\"") };
            assert_eq!(read(syntax, line), is_taken.then_some(key), "{syntax:?} {length}");
        }
    }
    let escaped = format!("\"{}\"", r"\\".repeat(255));
    assert_eq!(read(LENIENT, escaped), Some(r"\".repeat(255)), "escapes are not counted");
}

#[test]
fn http_a13_bytes_that_are_no_visible_ascii_are_refused_without_a_panic() {
    for syntax in [LENIENT, KeySyntax::Strict, KeySyntax::Raw] {
        for byte in (0x80..=0xff).chain([b'\t', b' ']) {
            for line in [vec![b'a', byte, b'b'], vec![b'"', b'a', byte, b'b', b'"']] {
                assert_eq!(read(syntax, &line), None, "{syntax:?} {line:?}");
            }
        }
        assert_eq!(read(syntax, "ab\u{e9}"), None);
    }
    // Control characters other than the tab do not come through a parser of HTTP; the header type refuses them, too.
    assert!((0..=0x1f).filter(|byte| *byte != b'\t').all(|byte| HeaderValue::from_bytes(&[byte]).is_err()));
}

#[test]
fn http_a14_keys_that_differ_in_case_are_two() {
    for syntax in [LENIENT, KeySyntax::Raw] {
        assert_ne!(read(syntax, "abc"), read(syntax, "aBc"));
    }
    assert_ne!(read(LENIENT, "\"abc\""), read(LENIENT, "\"aBc\""));
}

#[test]
fn http_a15_keys_as_real_clients_make_them_are_taken() {
    for key in [
        "stripe-node-retry-0b2c2a7e-5a1c-4b0e-9f65-2f7a4bd2d6c1",
        "stainless-python-retry-8f14e45f-ceea-467f-a0e6-1b2c3d4e5f60",
        "q83vEjRWeJq83vEjRWeJ/+==",
        "a:b",
        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
        "d41d8cd9-8f00-b204-e980-0998ecf8427e",
        "order#42/pay~1!$%&'()*<>?@[]^_`{|}\\",
    ] {
        for syntax in [LENIENT, KeySyntax::Raw] {
            assert_eq!(read(syntax, key).as_deref(), Some(key), "{syntax:?}");
        }
        let quoted = format!("\"{}\"", key.replace('\\', "\\\\"));
        assert_eq!(read(KeySyntax::Strict, quoted).as_deref(), Some(key));
    }
}

#[test]
fn http_a16_a_least_length_holds_only_where_it_is_asked_for() {
    let sources = [KeySource::header("idempotency-key"), KeySource::json_member("key")];
    let rules = |shortest| KeyRules { sources: &sources, syntax: LENIENT, shortest };
    for (length, is_taken) in [(19, false), (20, true)] {
        let key = "k".repeat(length);
        let bare = headers(&[("idempotency-key", key.as_bytes())]);
        let quoted = headers(&[("idempotency-key", format!("\"{key}\"").as_bytes())]);
        let json = headers(&[("content-type", b"application/json")]);
        let body = format!("{{\"key\":\"{key}\"}}");
        for (headers, body) in [(&bare, ""), (&quoted, ""), (&json, body.as_str())] {
            let read = request_key(headers, body.as_bytes(), rules(Some(20)));
            assert_eq!(read.is_ok(), is_taken, "{length}");
            if let Err(Refusal::MalformedKey { detail }) = read {
                assert!(detail.contains("fewer than 20 bytes") && !detail.contains('k'.to_string().repeat(5).as_str()));
            }
            assert!(request_key(headers, body.as_bytes(), rules(None)).unwrap().is_some());
        }
    }
}

#[test]
fn http_a18_a_key_may_stand_in_the_json_body() {
    let sources = [KeySource::header("idempotency-key"), KeySource::json_member("idempotency_key")];
    let rules = KeyRules { sources: &sources, syntax: KeySyntax::Strict, shortest: None };
    let json = headers(&[("content-type", b"application/json; charset=utf-8")]);
    let text = headers(&[("content-type", b"text/plain")]);
    let key = |headers: &HeaderMap, body: &str| {
        member_key(headers, body.as_bytes(), rules).map(|key| key.map(|key| key.as_str().to_owned())).map_err(drop)
    };
    assert_eq!(key(&json, r#"{"idempotency_key":"abc","amount":1}"#), Ok(Some("abc".to_owned())));
    assert_eq!(key(&json, r#"{"amount":{"idempotency_key":"abc"}}"#), Ok(None));
    assert_eq!(key(&json, r#"["idempotency_key"]"#), Ok(None));
    assert_eq!(key(&json, ""), Ok(None));
    assert_eq!(key(&text, r#"{"idempotency_key":"abc"}"#), Ok(None));
    for refused in [
        r#"{"idempotency_key":""}"#,
        r#"{"idempotency_key":"a b"}"#,
        r#"{"idempotency_key":null}"#,
        r#"{"idempotency_key":7}"#,
        r#"{"idempotency_key":"a","idempotency_key":"a"}"#,
        r#"{"idempotency_key":"a""#,
    ] {
        assert_eq!(key(&json, refused), Err(()), "{refused}");
    }
    let mut both = json.clone();
    both.insert("idempotency-key", HeaderValue::from_static("\"abc\""));
    assert!(request_key(&both, br#"{"idempotency_key":"abc"}"#, rules).unwrap().is_some());
    assert!(request_key(&both, br#"{"idempotency_key":"abd"}"#, rules).is_err());
    assert!(request_key(&both, br#"{"amount":1}"#, rules).unwrap().is_some());
}

#[test]
fn http_a19_the_headers_name_counts_in_any_case() {
    for configured in ["Idempotency-Key", "idempotency-key", "IDEMPOTENCY-KEY"] {
        let sources = [KeySource::header(configured)];
        let rules = KeyRules { sources: &sources, syntax: LENIENT, shortest: None };
        for sent in ["Idempotency-Key", "idempotency-key", "iDEMPOTENCY-kEY"] {
            assert!(header_key(&headers(&[(sent, b"abc")]), rules).unwrap().is_some(), "{configured} {sent}");
        }
        let sources = [KeySource::Header(configured.into())];
        assert!(header_key(&headers(&[("idempotency-key", b"abc")]), KeyRules { sources: &sources, ..rules }).is_ok());
    }
}
