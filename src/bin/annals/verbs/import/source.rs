//! The file that an import reads.

use std::{
    fs::File,
    io::{self, BufReader, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use flate2::bufread::MultiGzDecoder;

use crate::{ending::Failure, verbs::export::GZIP};

/// The bytes that are read at once.
const READ_BYTES: usize = 256 << 10;

/// Lines to be read, and how many bytes there are where that is known.
///
/// As they lie on the disk, gzipped perhaps.
pub struct Source {
    pub input: Box<dyn Read + Send>,
    pub length: Option<u64>,
}

impl Source {
    /// Opens a file or standard input. `read`: the bytes that were read so far.
    pub fn open(file: &str, read: &Arc<AtomicU64>) -> Result<Self, Failure> {
        let (raw, length): (Box<dyn Read + Send>, _) = match file {
            "-" => (Box::new(io::stdin()), None),
            path => {
                let opened = File::open(path).and_then(|file| Ok((file.metadata()?, file)));
                let (metadata, file) =
                    opened.map_err(|error| Failure::failed(format!("{path} cannot be read: {error}")))?;
                if metadata.is_dir() {
                    return Err(Failure::Usage(format!("{path} is a folder, not a file")));
                }
                (Box::new(file), metadata.is_file().then_some(metadata.len()))
            }
        };
        let mut counted = Counted { input: raw, bytes: Arc::clone(read) };
        let mut first = Vec::with_capacity(GZIP.len());
        counted.by_ref().take(GZIP.len() as u64).read_to_end(&mut first)?;
        let is_gzip = first == GZIP;
        let whole = BufReader::with_capacity(READ_BYTES, io::Cursor::new(first).chain(counted));
        let input: Box<dyn Read + Send> = if is_gzip { Box::new(MultiGzDecoder::new(whole)) } else { Box::new(whole) };
        Ok(Self { input, length })
    }
}

/// Counts the bytes that were read, for whoever looks.
struct Counted {
    input: Box<dyn Read + Send>,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(into)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}
