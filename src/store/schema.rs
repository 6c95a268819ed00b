//! The schema of a database, and what it lacks.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha384};

/// Tells which schema a database has, and what brings it up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchemaState {
    /// The newest migration the database has seen; 0: none.
    pub found: i64,
    /// The newest that this version of annals knows, and needs.
    pub needed: i64,
    /// Those that are still to come, in their order.
    pub pending: Vec<PendingMigration>,
}

/// Shows a migration that a database has not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct PendingMigration {
    /// Its number.
    pub version: i64,
    /// What it is about.
    pub name: &'static str,
    /// What it does.
    pub sql: &'static str,
}

impl SchemaState {
    /// Sorts out, of all migrations, which a database has still to see.
    pub(crate) fn new(found: i64, all: &[(i64, &'static str, &'static str)]) -> Self {
        let needed = all.last().map_or(0, |(version, ..)| *version);
        let pending = all.iter().filter(|(version, ..)| *version > found);
        let pending = pending.map(|&(version, name, sql)| PendingMigration { version, name, sql }).collect();
        Self { found, needed, pending }
    }

    /// Nothing is to come.
    #[must_use]
    pub const fn is_current(&self) -> bool {
        self.pending.is_empty()
    }

    /// Writes what is to come as one script, in the database's own SQL, which also notes that it was done.
    ///
    /// For whoever may change a schema where the service may not: after it the store opens without migrating.
    /// Empty where nothing is to come.
    pub(crate) fn script(&self, make_table: &str, bytes: impl Fn(&str) -> String) -> String {
        if self.is_current() {
            return String::new();
        }
        let mut script =
            format!("-- annals: from schema {} to {}.\n\nBEGIN;\n\n{make_table}\n", self.found, self.needed);
        for PendingMigration { version, name, sql } in &self.pending {
            // As sqlx notes a migration, by which it is known again.
            let digest = Sha384::digest(sql.as_bytes()).iter().fold(String::new(), |mut digest, byte| {
                // Writing to a string does not fail.
                let _ = write!(digest, "{byte:02x}");
                digest
            });
            let _ = write!(
                script,
                "\n-- {version:04}_{name}\n\n{}\n\nINSERT INTO annals_migrations (version, description, success, checksum, \
                 execution_time)\nVALUES ({version}, '{name}', TRUE, {}, -1);\n",
                sql.trim_end(),
                bytes(&digest)
            );
        }
        script.push_str("\nCOMMIT;\n");
        script
    }
}
