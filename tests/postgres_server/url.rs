//! URLs of databases on one server.

/// The URL of another database on the server of a URL.
pub fn with_database(url: &str, name: &str) -> Result<String, String> {
    let Parts { scheme, authority, query } = parts(url)?;
    Ok(format!("{scheme}://{authority}/{name}{query}"))
}

/// The URL of the same database for another user.
pub fn with_user(url: &str, user: &str, password: Option<&str>) -> Result<String, String> {
    let Parts { scheme, authority, query } = parts(url)?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let password = password.map(|password| format!(":{}", encoded(password))).unwrap_or_default();
    let rest = url[scheme.len() + 3 + authority.len()..].split('?').next().unwrap_or_default();
    Ok(format!("{scheme}://{}{password}@{host}{rest}{query}", encoded(user)))
}

/// A text as a part of a URL.
pub fn encoded(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    let byte = |byte: u8| if is_plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(byte).collect()
}

struct Parts<'a> {
    scheme: &'a str,
    authority: &'a str,
    /// With its question mark.
    query: &'a str,
}

fn parts(url: &str) -> Result<Parts<'_>, String> {
    // Not the URL itself: it may hold a password.
    let wrong = |what: &str| Err(format!("the URL of the PostgreSQL server for tests {what}"));
    let Some((scheme @ ("postgres" | "postgresql"), rest)) = url.split_once("://") else {
        return wrong("does not begin with postgres://");
    };
    let (before, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
    let parameters = query.trim_start_matches('?').split('&').filter_map(|pair| pair.split('=').next());
    if let Some(name) = parameters.into_iter().find(|name| ["dbname", "user", "password"].contains(name)) {
        return wrong(&format!("has the parameter {name}: give it in front of the question mark"));
    }
    Ok(Parts { scheme, authority: before.split('/').next().unwrap_or_default(), query })
}
