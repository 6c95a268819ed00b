//! Gzip in members, each of whole lines: what was broken off can be gone on with behind the last whole one.

use std::io::{self, Write};

use flate2::{Compression, write::GzEncoder};

/// Lines of one member.
const MEMBER_LINES: u32 = 10_000;

/// Gzips lines.
pub struct Members<W: Write> {
    encoder: Option<GzEncoder<W>>,
    lines: u32,
}

impl<W: Write> Members<W> {
    pub fn new(out: W) -> Self {
        Self { encoder: Some(GzEncoder::new(out, Compression::default())), lines: 0 }
    }

    fn encoder(&mut self) -> io::Result<&mut GzEncoder<W>> {
        self.encoder.as_mut().ok_or_else(|| io::Error::other("a member before could not be ended"))
    }

    fn end_member(&mut self) -> io::Result<()> {
        let Some(encoder) = self.encoder.take() else { return Ok(()) };
        let out = encoder.finish()?;
        (self.encoder, self.lines) = (Some(GzEncoder::new(out, Compression::default())), 0);
        Ok(())
    }
}

impl<W: Write> Write for Members<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.encoder()?.write_all(bytes)?;
        self.lines += u32::from(bytes.ends_with(b"\n"));
        if self.lines >= MEMBER_LINES {
            self.end_member()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.lines > 0 {
            self.end_member()?;
        }
        self.encoder()?.get_mut().flush()
    }
}
