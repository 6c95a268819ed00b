//! The file that an export is written to.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufRead, BufReader, ErrorKind, Read, Seek as _, SeekFrom},
    path::{Path, PathBuf},
};

use annals::{
    Limits,
    transfer::{MoveError, Partial, Refusal},
};
use flate2::bufread::GzDecoder;

use crate::ending::Failure;

/// What every gzipped file begins with.
pub const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A file, and the one beside it in which it is written.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    partial: PathBuf,
}

impl Target {
    pub fn new(path: &Path, force: bool) -> Result<Self, Failure> {
        let name = path.file_name().ok_or_else(|| Failure::Usage("--output names a file".to_owned()))?;
        if path.is_dir() {
            return Err(Failure::Usage(format!("{} is a folder; --output names a file", path.display())));
        }
        if !force && path.exists() {
            return Err(Failure::Usage(format!("{} is there already: say --force to replace it", path.display())));
        }
        let mut partial = OsString::from(name);
        partial.push(".partial");
        Ok(Self { path: path.to_owned(), partial: path.with_file_name(partial) })
    }

    pub fn is_gzip(&self) -> bool {
        self.path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
    }

    pub fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Opens the file beside it, cut behind what is whole of an earlier export.
    pub fn open(&self, gzip: bool, fresh: bool, limits: &Limits) -> Result<(File, Partial), Failure> {
        let shown = self.partial.display();
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&self.partial)
            .map_err(|error| Failure::failed(format!("{shown} cannot be written: {error}")))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::failed(format!("another export is writing {shown}")));
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        let (mut whole, mut partial) = (0, Partial::default());
        if !fresh {
            let read = if gzip { read_members(&file, limits) } else { read_lines(&file, limits) };
            (whole, partial) = read.map_err(|error| match error {
                MoveError::Refused { .. } => Failure::failed(format!(
                    "{shown} was not left by an export ({error}): say --fresh to throw it away"
                )),
                error => error.into(),
            })?;
        }
        file.set_len(whole)?;
        file.seek(SeekFrom::End(0))?;
        Ok((file, partial))
    }

    /// What is said where an earlier part can no longer be gone on with.
    pub fn is_old(&self) -> Failure {
        let shown = self.partial.display();
        Failure::failed(format!("the log has gone on since {shown} was begun: --fresh begins anew"))
    }

    /// Has the file take its place, once it is on the disk.
    pub fn keep(&self, file: &File) -> Result<(), Failure> {
        file.sync_all()?;
        fs::rename(&self.partial, &self.path)?;
        // The name as well, where folders can be opened.
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if let Ok(folder) = File::open(folder) {
            folder.sync_all()?;
        }
        Ok(())
    }
}

/// Reads whole lines; how many bytes they have.
fn read_lines(file: &File, limits: &Limits) -> Result<(u64, Partial), MoveError> {
    let mut partial = Partial::default();
    partial.read(BufReader::new(file), limits)?;
    Ok((partial.bytes(), partial))
}

/// Reads whole members; how many bytes they have.
fn read_members(file: &File, limits: &Limits) -> Result<(u64, Partial), MoveError> {
    let mut input = Counted { input: BufReader::new(file), bytes: 0 };
    let (mut whole, mut partial) = (0, Partial::default());
    let first = input.fill_buf()?;
    if !GZIP.starts_with(&first[..GZIP.len().min(first.len())]) {
        return Err(MoveError::Refused { line: 1, what: None, refusal: Refusal::NoExport });
    }
    while !input.fill_buf()?.is_empty() {
        let mut with_next = partial.clone();
        match with_next.read(BufReader::new(GzDecoder::new(&mut input)), limits) {
            Ok(false) => (whole, partial) = (input.bytes, with_next),
            // Whole lines, and then something else: what was broken off is no whole member.
            Ok(true) => break,
            Err(MoveError::File(error)) if is_damage(&error) => break,
            Err(error) => return Err(error),
        }
    }
    Ok((whole, partial))
}

fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput)
}

/// Counts the bytes that were read.
struct Counted<R> {
    input: R,
    bytes: u64,
}

impl<R: BufRead> Read for Counted<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(into)?;
        self.bytes += read as u64;
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.input.fill_buf()
    }

    fn consume(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.input.consume(bytes);
    }
}
