//! Who runs the server: PostgreSQL refuses to run as root.

use std::{
    fs,
    os::unix::{fs::MetadataExt as _, process::CommandExt as _},
    path::Path,
    process::Command,
};

/// The account a server runs as where the tests run as root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

impl Account {
    /// The account to change to: none where the tests do not run as root.
    pub fn to_change_to() -> Result<Option<Self>, String> {
        let own = tempfile::tempfile().and_then(|file| file.metadata());
        if own.map_err(|error| format!("no temporary file can be made: {error}"))?.uid() != 0 {
            return Ok(None);
        }
        let accounts = fs::read_to_string("/etc/passwd").map_err(|error| format!("/etc/passwd: {error}"))?;
        let found = ["postgres", "nobody"].iter().find_map(|name| Self::named(name, &accounts));
        found.map(Some).ok_or_else(|| "PostgreSQL does not run as root, and neither postgres nor nobody exists".into())
    }

    /// An account by its name, in the text of `/etc/passwd`.
    pub fn named(name: &str, accounts: &str) -> Option<Self> {
        accounts.lines().find_map(|line| {
            let fields: Vec<&str> = line.split(':').collect();
            let [found, _, uid, gid, ..] = fields.as_slice() else { return None };
            let account = || Some(Self { name: name.to_owned(), uid: uid.parse().ok()?, gid: gid.parse().ok()? });
            if *found == name { account() } else { None }
        })
    }

    /// Has a command run as this account. Its other groups fall with root's rights.
    pub fn run(&self, command: &mut Command) {
        command.uid(self.uid).gid(self.gid);
    }
}

/// Whether any account gets to a folder: none gets below root's home.
pub fn is_open_to_all(folder: &Path) -> bool {
    let Ok(folder) = folder.canonicalize() else { return false };
    folder.ancestors().all(|folder| fs::metadata(folder).is_ok_and(|found| found.mode() & 0o001 != 0))
}
