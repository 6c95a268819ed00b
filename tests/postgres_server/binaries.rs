//! Where the server's programs are.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

const NAMED: &str = "ANNALS_TEST_PG_BIN";
/// Where Debian keeps its versions, each in a folder of its number.
const VERSIONS: &str = "/usr/lib/postgresql";
const HINT: &str = "Install PostgreSQL (Debian, Ubuntu: the package postgresql), or name the folder of initdb and \
     postgres in ANNALS_TEST_PG_BIN; to use a server that is there, give its URL in DATABASE_URL";

/// The places the server's programs are looked for in.
#[derive(Debug, Clone)]
pub struct Search {
    /// The folder that was named. Where one is, no other is looked into.
    pub named: Option<OsString>,
    pub versions: PathBuf,
    pub path: Option<OsString>,
}

impl Search {
    /// The places of this process.
    pub fn here() -> Self {
        Self { named: std::env::var_os(NAMED), versions: VERSIONS.into(), path: std::env::var_os("PATH") }
    }

    /// The folder of `initdb` and `postgres`, or what to install.
    pub fn find(&self) -> Result<PathBuf, String> {
        if let Some(named) = &self.named {
            let named = PathBuf::from(named);
            return if has_server(&named) {
                named.canonicalize().map_err(|error| format!("{NAMED}={}: {error}", named.display()))
            } else {
                Err(format!("{NAMED}={} has no initdb and postgres. {HINT}", named.display()))
            };
        }
        let path = self.path.iter().flat_map(std::env::split_paths);
        let mut places = self.newest().into_iter().chain(path);
        places.find(|folder| has_server(folder)).ok_or_else(|| {
            format!("no PostgreSQL server was found in {}/*/bin and PATH. {HINT}", self.versions.display())
        })
    }

    /// The folders of the versions, the newest first.
    fn newest(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.versions).into_iter().flatten().flatten();
        let number = |name: &str| name.parse::<u32>().ok();
        let mut found: Vec<(u32, PathBuf)> = entries
            .filter_map(|entry| Some((number(entry.file_name().to_str()?)?, entry.path().join("bin"))))
            .collect();
        found.sort();
        found.into_iter().rev().map(|(_, folder)| folder).collect()
    }
}

fn has_server(folder: &Path) -> bool {
    ["initdb", "postgres"].iter().all(|program| folder.join(program).is_file())
}
