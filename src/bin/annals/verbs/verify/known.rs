//! The file of known types.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use annals::KnownType;

use crate::ending::Failure;

/// The most bytes of the file: more than a hundred thousand types.
const MOST_BYTES: u64 = 64 << 20;

/// Reads what `annals types` prints, as one document or as an object on each line.
pub fn read(path: &Path) -> Result<Vec<KnownType>, Failure> {
    let unfit = |why: String| Failure::Usage(format!("{} names no known types: {why}", path.display()));
    let bytes = bytes(path).map_err(|error| unfit(error.to_string()))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(unfit(format!("it has more than {} MiB", MOST_BYTES >> 20)));
    }
    let is_list = bytes.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'[');
    let types = if is_list {
        serde_json::from_slice(&bytes)
    } else {
        serde_json::Deserializer::from_slice(&bytes).into_iter().collect()
    };
    let types: Vec<KnownType> = types.map_err(|error| unfit(error.to_string()))?;
    if types.is_empty() {
        return Err(unfit("it is empty".to_owned()));
    }
    Ok(types)
}

fn bytes(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
