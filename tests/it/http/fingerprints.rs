//! What makes two requests under one key the same.

use annals::{
    Error, Fingerprint,
    http::{BodyForm, FingerprintRecipe, FingerprintRules, WholeRequest, request_fingerprint},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// A request to be fingerprinted; a POST of nothing by default.
#[derive(Clone)]
struct Sent {
    method: Method,
    uri: Uri,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Bytes,
}

impl Sent {
    fn to(uri: &str) -> Self {
        Self { method: Method::POST, uri: uri.parse().unwrap(), headers: Vec::new(), body: Bytes::new() }
    }

    fn body(content_type: &str, body: impl AsRef<[u8]>) -> Self {
        let sent = Self { body: Bytes::copy_from_slice(body.as_ref()), ..Self::to("/v1/charges") };
        sent.header("content-type", content_type)
    }

    fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name, value.as_ref().to_vec()));
        self
    }

    fn by(&self, rules: &FingerprintRules) -> Fingerprint {
        let header = |(name, value): &(&'static str, Vec<u8>)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())
        };
        let headers: HeaderMap = self.headers.iter().map(header).collect();
        let whole = WholeRequest { method: &self.method, uri: &self.uri, headers: &headers, body: &self.body };
        request_fingerprint(FingerprintRecipe::CURRENT, whole, rules)
    }

    fn print(&self) -> Fingerprint {
        self.by(&FingerprintRules::default())
    }
}

fn rules(headers: &[&str], leave_out: &[&str], form: BodyForm) -> FingerprintRules {
    FingerprintRules::new(headers, leave_out, form).unwrap()
}

/// All of these are different requests.
fn differ(all: &[Sent], rules: &FingerprintRules) {
    let prints: Vec<_> = all.iter().map(|sent| sent.by(rules)).collect();
    for (at, one) in prints.iter().enumerate() {
        for (behind, other) in prints[at + 1..].iter().enumerate() {
            assert_ne!(one, other, "number {at} and {}", at + 1 + behind);
        }
    }
}

#[test]
fn http_b03_the_same_json_written_otherwise_is_the_same_request_unless_bytes_are_compared() {
    let raw = rules(&[], &[], BodyForm::Raw);
    let first = Sent::body(JSON, r#"{"amount":100,"name":"é","lines":[1,2]}"#);
    for again in [
        r#"{"name":"é","amount":100,"lines":[1,2]}"#,
        " {\n \"amount\" : 100, \"name\":\"é\", \"lines\":[ 1, 2 ] } ",
        r#"{"amount":100,"name":"\u00e9","lines":[1,2]}"#,
    ] {
        let again = Sent::body(JSON, again);
        assert_eq!(first.print(), again.print());
        assert_ne!(first.by(&raw), again.by(&raw));
    }
    let other = Sent::body(JSON, r#"{"amount":100,"name":"é","lines":[2,1]}"#);
    assert_ne!(first.print(), other.print());
    // JSON that leaves doubts is compared by its bytes, and never refused here.
    for doubtful in ["{\"a\":1,\"a\":2}", "{\"a\":", "[1,2] 3", "\u{feff}{}"] {
        let sent = Sent::body(JSON, doubtful);
        assert_eq!(sent.print(), sent.clone().print());
        assert_ne!(sent.print(), Sent::body(JSON, format!("{doubtful} ")).print(), "{doubtful}");
    }
    assert_ne!(Sent::body(JSON, b"{\"a\":\"\xff\"}").print(), Sent::body(JSON, b"{\"a\":\"\xfe\"}").print());
}

#[test]
fn http_b04_numbers_count_as_they_are_written() {
    let numbers = [
        "1",
        "1.0",
        "1e0",
        "12345678901234567890",
        "12345678901234567891",
        "9007199254740992",
        "9007199254740993",
        "0.1",
        "0.10000000000000001",
        "\"0.001\"",
        "\"0.0010\"",
    ];
    differ(&numbers.map(|number| Sent::body(JSON, format!("{{\"amount\":{number}}}"))), &FingerprintRules::default());
    // Also beside members that are left out.
    let leave_out = rules(&[], &["/sent_at"], BodyForm::Canonical);
    differ(&numbers.map(|number| Sent::body(JSON, format!("{{\"sent_at\":1,\"amount\":{number}}}"))), &leave_out);
}

#[test]
fn http_b06_absent_null_and_empty_differ() {
    let bodies = ["{}", r#"{"a":null}"#, r#"{"a":[]}"#, r#"{"a":{}}"#, r#"{"a":""}"#, "null", "[]"];
    differ(&bodies.map(|body| Sent::body(JSON, body)), &FingerprintRules::default());
}

#[test]
fn http_b07_no_body_and_an_empty_one_are_the_same() {
    let none = Sent::to("/v1/charges");
    let empty = Sent { body: Bytes::from(Vec::new()), ..none.clone() };
    assert_eq!(none.print(), empty.header("content-length", "0").print());
    for form in [BodyForm::Canonical, BodyForm::Raw] {
        let rules = rules(&[], &[], form);
        let blank = Sent { body: Bytes::from_static(b" "), ..none.clone() };
        assert_ne!(none.by(&rules), blank.by(&rules));
    }
}

#[test]
fn http_b08_content_types_count_and_their_parameters_hardly_do() {
    let plain = Sent::body(JSON, "{\"a\": 1}").print();
    for same in ["application/json; charset=utf-8", "Application/JSON;charset=\"UTF-8\"", "application/json ; v=1"] {
        assert_eq!(plain, Sent::body(same, "{\"a\":1}").print(), "{same}");
    }
    let others = ["application/json", "text/plain", "application/vnd.api+json", "application/json; charset=utf-16", ""];
    let mut others = others.map(|kind| Sent::body(kind, "{\"a\":1}")).to_vec();
    others.push(Sent { headers: Vec::new(), ..others[0].clone() });
    others.push(others[0].clone().header("content-type", "text/plain"));
    others.push(Sent::body("application/json", "{\"a\":1}").header("content-type", "application/json"));
    differ(&others, &FingerprintRules::default());
    let api = "application/vnd.api+json";
    assert_eq!(Sent::body(api, "{\"a\":1,\"b\":2}").print(), Sent::body(api, "{\"b\":2, \"a\":1}").print());
}

#[test]
fn http_b09_form_pairs_may_be_reordered_but_not_those_of_one_name() {
    let raw = rules(&[], &[], BodyForm::Raw);
    let first = Sent::body(FORM, "amount=100&currency=eur&metadata[order]=42&expand[]=a&expand[]=b");
    for again in [
        "expand[]=a&currency=eur&metadata[order]=42&expand[]=b&amount=100",
        "amount=100&currency=eur&metadata%5Border%5D=42&expand%5b%5d=a&expand[]=b",
        "amount=%3100&currency=eur&metadata[order]=42&&expand[]=a&expand[]=b&",
    ] {
        let again = Sent::body(FORM, again);
        assert_eq!(first.print(), again.print());
        assert_ne!(first.by(&raw), again.by(&raw));
    }
    assert_eq!(Sent::body(FORM, "a=b+c").print(), Sent::body(FORM, "a=b%20c").print());
    let bodies: [&[u8]; 12] = [
        b"a=1&a=2",
        b"a=2&a=1",
        b"a=1",
        b"a=12",
        b"a=1&b=2",
        b"a=1%26b=2",
        b"a=1&b",
        b"a=%FF",
        b"a=%FE",
        b"a=%EF%BF%BD",
        b"a=b%2Bc",
        b"a=b+c",
    ];
    differ(&bodies.map(|body| Sent::body(FORM, body)), &FingerprintRules::default());
}

fn multipart(boundary: &str, parts: &[(&str, &str, &[u8])]) -> Sent {
    let mut body = Vec::new();
    for (disposition, kind, bytes) in parts {
        let head =
            format!("--{boundary}\r\ncontent-disposition: form-data; {disposition}\r\ncontent-type: {kind}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    Sent::body(&format!("multipart/form-data; boundary={boundary}"), body)
}

#[test]
fn http_b10_a_multipart_boundary_does_not_count_and_the_parts_do() {
    let large: Vec<u8> = (0..1_000_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect();
    for bytes in [b"abc".as_slice(), b"", &large, b"\r\n--x\r\n"] {
        let part = ("name=\"file\"; filename=\"a.txt\"", "text/plain", bytes);
        assert_eq!(multipart("one", &[part]).print(), multipart("----other7", &[part]).print(), "{}", bytes.len());
    }
    let a = ("name=\"a\"", "text/plain", b"1".as_slice());
    differ(
        &[
            multipart("one", &[a]),
            multipart("one", &[("name=\"b\"", "text/plain", b"1")]),
            multipart("one", &[("name=\"a\"; filename=\"f\"", "text/plain", b"1")]),
            multipart("one", &[("name=\"a\"; filename=\"g\"", "text/plain", b"1")]),
            multipart("one", &[("name=\"a\"; filename*=utf-8''g", "text/plain", b"1")]),
            multipart("one", &[("name=\"a\"", "text/html", b"1")]),
            multipart("one", &[("name=\"a\"", "text/plain", b"2")]),
            multipart("one", &[("name=\"a\"", "text/plain", b"")]),
            multipart("one", &[a, a]),
            multipart("one", &[]),
        ],
        &FingerprintRules::default(),
    );
    // Broken off: by its bytes, so the boundary counts.
    let broken = |boundary: &str| {
        let sent = multipart(boundary, &[a]);
        Sent { body: sent.body.slice(..sent.body.len() - 4 - boundary.len()), ..sent }
    };
    assert_eq!(broken("one").print(), broken("one").print());
    assert_ne!(broken("one").print(), broken("two").print());
}

#[test]
fn http_b11_query_strings_count_in_their_order_and_escapes_in_one_form() {
    let same = |one: &str, other: &str| Sent::to(one).print() == Sent::to(other).print();
    assert!(same("/c?a=%7Eb", "/c?a=~b"));
    assert!(same("/c?a=%c3%a9", "/c?a=%C3%A9"));
    assert!(same("/%7Ec", "/~c"));
    let all = ["/c", "/c?", "/c?a=1", "/c?a=2", "/c?a=1&b=2", "/c?b=2&a=1", "/c?a=1%26b=2", "/c?a=1%2Bb", "/c?a=1+b"];
    differ(&all.map(Sent::to), &FingerprintRules::default());
}

#[test]
fn http_b12_one_handler_under_two_prefixes_has_two_kinds_of_requests() {
    differ(&["/a/charges", "/b/charges", "/charges"].map(Sent::to), &FingerprintRules::default());
}

#[test]
fn http_b13_slash_and_method_count_and_host_and_scheme_do_not() {
    let first = Sent::to("/v1/charges").header("host", "a.example").print();
    for same in ["http://a.example/v1/charges", "https://b.example:8443/v1/charges"] {
        assert_eq!(first, Sent::to(same).header("host", "b.example:8443").print(), "{same}");
    }
    let patch = Sent { method: Method::PATCH, ..Sent::to("/v1/charges") };
    let all =
        [Sent::to("/v1/charges"), Sent::to("/v1/charges/"), Sent::to("/v1//charges"), Sent::to("/V1/charges"), patch];
    differ(&all, &FingerprintRules::default());
}

#[test]
fn http_b14_headers_count_only_where_they_are_listed() {
    let listed = rules(&["Stripe-Version", "stripe-account"], &[], BodyForm::Canonical);
    let first = Sent::body(JSON, "{}").header("stripe-version", "2025-01-01");
    let mut retry = first.clone();
    for name in ["x-stainless-retry-count", "traceparent", "date", "user-agent", "authorization", "idempotency-key"] {
        retry = retry.header(name, "another");
        assert_eq!(first.by(&listed), retry.by(&listed), "{name}");
    }
    assert_ne!(first.by(&listed), Sent::body(JSON, "{}").header("stripe-version", "2026-01-01").by(&listed));
    let turned = rules(&["stripe-account", "STRIPE-VERSION", "stripe-version"], &[], BodyForm::Canonical);
    assert_eq!(first.by(&listed), first.by(&turned), "in which order headers are listed does not count");
}

#[test]
fn http_b15_a_listed_header_missing_empty_repeated_or_opaque_differs() {
    let listed = rules(&["prefer", "stripe-account"], &[], BodyForm::Canonical);
    let none = Sent::to("/v1/charges");
    let with = |values: &[&[u8]]| values.iter().fold(none.clone(), |sent, value| sent.header("prefer", value));
    differ(
        &[
            none.clone(),
            with(&[b""]),
            with(&[b"", b""]),
            with(&[b"a"]),
            with(&[b"a", b"a"]),
            with(&[b"a", b"b"]),
            with(&[b"b", b"a"]),
            with(&[b"a,b"]),
            with(&[b"ab"]),
            with(&[b"\xff"]),
            with(&[b"\xfe"]),
            none.clone().header("stripe-account", "a"),
        ],
        &listed,
    );
}

#[test]
fn http_b17_an_encoded_body_counts_as_it_is_seen_with_its_encoding() {
    let plain = Sent::body(JSON, "{\"a\":1}");
    let differing =
        [plain.clone(), plain.clone().header("content-encoding", "gzip"), Sent::body(JSON, b"\x1f\x8b\x08")];
    differ(&differing, &FingerprintRules::default());
    assert_eq!(plain.print(), plain.clone().header("content-encoding", "identity").print());
    let upper = plain.clone().header("content-encoding", "GZIP").print();
    assert_eq!(upper, plain.clone().header("content-encoding", "gzip").print());
    // What is encoded is not read as JSON, whatever it looks like.
    let blank = Sent::body(JSON, "{\"a\": 1}").header("content-encoding", "gzip");
    assert_ne!(upper, blank.print());
}

#[test]
fn http_b20_members_that_are_pointed_at_do_not_count() {
    let leave_out = rules(&[], &["/sent_at", "/lines/0/seen", "/a~1b"], BodyForm::Canonical);
    let first =
        Sent::body(JSON, r#"{"sent_at":1,"a/b":1,"lines":[{"id":1,"seen":1},{"id":2,"seen":1}]}"#).by(&leave_out);
    for same in [
        r#"{"sent_at":{"x":[2]},"a/b":2,"lines":[{"id":1,"seen":2},{"id":2,"seen":1}]}"#,
        r#"{"lines":[{"id":1},{"id":2,"seen":1}]}"#,
    ] {
        assert_eq!(first, Sent::body(JSON, same).by(&leave_out), "{same}");
    }
    for other in
        [r#"{"lines":[{"id":1},{"id":2,"seen":2}]}"#, r#"{"lines":[{"id":1},{"id":2,"seen":1}],"x":{"sent_at":1}}"#]
    {
        assert_ne!(first, Sent::body(JSON, other).by(&leave_out), "{other}");
    }
    let keyed = FingerprintRules::default().without_member("idempotency_key");
    assert_eq!(
        Sent::body(JSON, r#"{"idempotency_key":"a","amount":1}"#).by(&keyed),
        Sent::body(JSON, r#"{"amount":1}"#).by(&keyed)
    );
    for refused in [&["sent_at"][..], &[""], &["/~2"]] {
        assert!(FingerprintRules::new([""; 0], refused, BodyForm::Canonical).is_err(), "{refused:?}");
    }
    assert!(FingerprintRules::new([""; 0], ["/sent_at"], BodyForm::Raw).is_err());
}

/// What a keyless 64-bit hash could not hold: no part can take over what another one says, and a known value stays.
#[test]
fn http_b22_parts_cannot_be_moved_into_one_another() {
    let listed = rules(&["a", "b"], &[], BodyForm::Raw);
    let none = Sent::to("/v1");
    differ(
        &[
            none.clone().header("a", "bc"),
            none.clone().header("a", "b").header("b", "c"),
            none.clone().header("b", "bc"),
            Sent::to("/v1?a=bc"),
            Sent { body: Bytes::from_static(b"a=bc"), ..none.clone() },
            Sent { body: Bytes::from_static(b"none"), ..none.clone() },
            none,
        ],
        &listed,
    );
    assert_eq!(Sent::body(JSON, "{}").print().as_bytes().len(), 32);
}

/// Stored fingerprints outlive releases: these bytes are the recipe, and the command's type has no part in them.
#[test]
fn http_b23_a_recipe_gives_the_same_fingerprint_in_every_release() {
    let sent = Sent::body(JSON, r#"{"amount":100,"currency":"eur"}"#).header("stripe-version", "2025-01-01");
    let listed = rules(&["stripe-version"], &["/sent_at"], BodyForm::Canonical);
    let hex: String = sent.by(&listed).as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "380ae1b25515ea85ff225fa6f67957f6bf401d0341cd37f815b6363adfd7d514");
    assert_eq!(FingerprintRecipe::from_number(1).unwrap(), FingerprintRecipe::CURRENT);
    assert_eq!(FingerprintRecipe::CURRENT.number(), 1);
    for unknown in [0, 2, u16::MAX] {
        assert!(matches!(FingerprintRecipe::from_number(unknown), Err(Error::Schema { .. })));
    }
}
