//! Where the server's program is.

use std::{ffi::OsString, path::PathBuf};

const NAMED: &str = "ANNALS_TEST_REDIS_BIN";
const PROGRAM: &str = "redis-server";
const HINT: &str = "Install Redis (Debian, Ubuntu: the package redis-server), or name the program redis-server, or the \
     folder it is in, in ANNALS_TEST_REDIS_BIN";

/// The places the program is looked for in.
#[derive(Debug, Clone)]
pub struct Search {
    /// The program or its folder, where it was named. Where it was, no other place is looked into.
    pub named: Option<OsString>,
    pub path: Option<OsString>,
    /// Folders beside those of `PATH`.
    pub folders: Vec<PathBuf>,
}

impl Search {
    /// The places of this process.
    pub fn here() -> Self {
        Self { named: std::env::var_os(NAMED), path: std::env::var_os("PATH"), folders: vec!["/usr/bin".into()] }
    }

    /// The program, or what to install.
    pub fn find(&self) -> Result<PathBuf, String> {
        if let Some(named) = &self.named {
            let named = PathBuf::from(named);
            let places = [named.join(PROGRAM), named.clone()];
            let found = places.into_iter().find(|place| place.is_file());
            return found.ok_or_else(|| format!("{NAMED}={} is no Redis server. {HINT}", named.display()));
        }
        let path = self.path.iter().flat_map(std::env::split_paths);
        let mut places = path.chain(self.folders.iter().cloned()).map(|folder| folder.join(PROGRAM));
        places.find(|place| place.is_file()).ok_or_else(|| format!("no Redis server was found. {HINT}"))
    }
}
