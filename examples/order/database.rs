//! The database, by its URL.

use std::sync::Arc;

use annals::{Error, EventStore, SqliteStore};

/// Opens the database of a URL. Everything else in this example knows it as an [`EventStore`] and no closer.
pub async fn connect(url: &str) -> Result<Arc<dyn EventStore>, DatabaseError> {
    let unusable = |source| DatabaseError::Unusable { url: without_secrets(url), source };
    match url.split_once(':') {
        Some(("sqlite", _)) => Ok(Arc::new(SqliteStore::connect(url).await.map_err(unusable)?)),
        Some((scheme, _)) => Err(DatabaseError::UnknownScheme(scheme.to_owned())),
        None => Err(DatabaseError::NoScheme),
    }
}

/// Shows a URL to people: without a password, and without the parameters, where another may hide.
pub fn without_secrets(url: &str) -> String {
    let url = url.split_once('?').map_or(url, |(url, _)| url);
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if scheme < at => {
            let (scheme, user_info, rest) = (&url[..scheme + 3], &url[scheme + 3..at], &url[at..]);
            let user = user_info.split_once(':').map_or(user_info, |(user, _)| user);
            format!("{scheme}{user}{rest}")
        }
        _ => url.to_owned(),
    }
}

#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("{0:?} is no database this program knows; use a URL such as sqlite:orders.db")]
    UnknownScheme(String),
    #[error("a database is named by a URL such as sqlite:orders.db, with its kind before a colon")]
    NoScheme,
    #[error("cannot use the database {url}")]
    Unusable { url: String, source: Error },
}

#[cfg(test)]
mod tests {
    use super::without_secrets;

    #[test]
    fn a_shown_url_has_no_secrets() {
        for (url, shown) in [
            ("sqlite:orders.db", "sqlite:orders.db"),
            ("sqlite:///var/a@b.db?mode=rwc", "sqlite:///var/a@b.db"),
            ("postgres://ann:s3cr@t:x@db/shop?password=s3cret", "postgres://ann@db/shop"),
            ("postgres://ann@db/shop", "postgres://ann@db/shop"),
            ("postgres://db/shop", "postgres://db/shop"),
        ] {
            assert_eq!(without_secrets(url), shown);
        }
    }
}
