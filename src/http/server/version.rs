//! The version of an aggregate as an entity tag.

use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{IF_MATCH, IF_NONE_MATCH},
};

use super::Problem;
use crate::store::ExpectedVersion;

/// The strong entity tag of a version: `"7"`, for the header `ETag`.
#[must_use]
pub fn version_tag(version: u64) -> HeaderValue {
    let mut tag = HeaderValue::from(version).as_bytes().to_vec();
    tag.insert(0, b'"');
    tag.push(b'"');
    HeaderValue::from_bytes(&tag).unwrap_or_else(|_| HeaderValue::from_static("\"0\""))
}

/// Reads which version a request expects, from `If-Match` and `If-None-Match`.
///
/// `If-Match: "7"` is [`Exact(7)`](ExpectedVersion::Exact), `If-Match: *` is [`Exists`](ExpectedVersion::Exists),
/// `If-None-Match: *` is [`New`](ExpectedVersion::New); neither header is `None`. Give it to the command, and answer a
/// conflict by [`Problem::when_conditional`].
///
/// # Errors
///
/// A [`Problem`] to answer with. 412 where the precondition cannot hold: a weak tag (RFC 9110 compares strongly here)
/// or one that is no version. 400 where it is malformed, or is one that no command can be given: several tags, tags
/// in `If-None-Match`, both headers.
pub fn expected_version(headers: &HeaderMap) -> Result<Option<ExpectedVersion>, Problem> {
    let (matches, none_match) = (one_line(headers, &IF_MATCH)?, one_line(headers, &IF_NONE_MATCH)?);
    match (matches, none_match) {
        (None, None) => Ok(None),
        (Some(b"*"), None) => Ok(Some(ExpectedVersion::Exists)),
        (None, Some(b"*")) => Ok(Some(ExpectedVersion::New)),
        (Some(tag), None) => exact(tag).map(|version| Some(ExpectedVersion::Exact(version))),
        (None, Some(_)) => Err(unfit("If-None-Match takes only * here: nothing is there yet.")),
        (Some(_), Some(_)) => Err(unfit("If-Match and If-None-Match cannot be used together here.")),
    }
}

fn one_line<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Result<Option<&'h [u8]>, Problem> {
    let mut lines = headers.get_all(name).iter();
    let first = lines.next().map(|line| line.as_bytes().trim_ascii());
    if lines.next().is_some() { Err(unfit("Only one entity tag can be expected.")) } else { Ok(first) }
}

fn exact(field: &[u8]) -> Result<u64, Problem> {
    let tag = field.strip_prefix(b"W/").unwrap_or(field);
    let inner = tag
        .strip_prefix(b"\"")
        .and_then(|tag| tag.strip_suffix(b"\""))
        .ok_or_else(|| unfit("If-Match takes * or one entity tag, in double quotes."))?;
    if inner.contains(&b'"') {
        return Err(unfit("If-Match takes only one entity tag here."));
    }
    if inner.iter().any(|byte| !matches!(byte, 0x21 | 0x23..=0x7e | 0x80..)) {
        return Err(unfit("The entity tag in If-Match is malformed."));
    }
    // As this crate writes it and in no other way: a tag is compared byte by byte.
    let is_ours =
        tag.len() == field.len() && inner.iter().all(u8::is_ascii_digit) && (inner == b"0" || !inner.starts_with(b"0"));
    let version = std::str::from_utf8(inner).ok().filter(|_| is_ours).and_then(|digits| digits.parse().ok());
    version.ok_or_else(|| Problem::failed_precondition(None))
}

fn unfit(detail: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "urn:annals:problem:precondition", "Precondition cannot be used")
        .detail(detail)
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::{expected_version, version_tag};
    use crate::store::ExpectedVersion;

    fn read(lines: &[(&'static str, &[u8])]) -> Result<Option<ExpectedVersion>, u16> {
        let line = |(name, value): &(&'static str, &[u8])| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value).unwrap())
        };
        let headers: HeaderMap = lines.iter().map(line).collect();
        expected_version(&headers).map_err(|problem| problem.status.as_u16())
    }

    #[test]
    fn preconditions_are_expected_versions_or_are_refused() {
        use ExpectedVersion::{Exact, Exists, New};
        let largest = u64::MAX.to_string();
        for (field, read_as) in [
            ("\"7\"", Ok(Some(Exact(7)))),
            (" \"0\" ", Ok(Some(Exact(0)))),
            (&format!("\"{largest}\""), Ok(Some(Exact(u64::MAX)))),
            ("*", Ok(Some(Exists))),
            ("W/\"7\"", Err(412)),
            ("\"07\"", Err(412)),
            ("\"+7\"", Err(412)),
            ("\"\"", Err(412)),
            ("\"abc\"", Err(412)),
            ("\"18446744073709551616\"", Err(412)),
            ("\"7\", \"8\"", Err(400)),
            ("*, \"7\"", Err(400)),
            ("7", Err(400)),
            ("\"7", Err(400)),
            ("\"", Err(400)),
            ("\"7 \"", Err(400)),
            ("w/\"7\"", Err(400)),
            ("", Err(400)),
        ] {
            assert_eq!(read(&[("if-match", field.as_bytes())]), read_as, "{field}");
        }
        assert_eq!(read(&[("if-match", b"\"\xff\"")]), Err(412));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("if-none-match", b"*")]), Ok(Some(New)));
        assert_eq!(read(&[("if-none-match", b"\"7\"")]), Err(400));
        assert_eq!(read(&[("if-match", b"\"7\""), ("if-match", b"\"7\"")]), Err(400));
        assert_eq!(read(&[("if-match", b"*"), ("if-none-match", b"*")]), Err(400));
    }

    #[test]
    fn a_version_comes_back_from_its_tag() {
        for version in [0, 1, 7, 1 << 40, u64::MAX] {
            let tag = version_tag(version);
            assert_eq!(tag, format!("\"{version}\""));
            assert_eq!(read(&[("if-match", tag.as_bytes())]), Ok(Some(ExpectedVersion::Exact(version))));
        }
    }
}
