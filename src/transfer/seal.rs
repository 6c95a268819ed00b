//! What binds lines together: each ends with a sum over itself and all before it.

use std::io::Write as _;

use sha2::{Digest as _, Sha256};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What stands before the sum of a line.
const BEFORE: &[u8] = br#","sum":""#;
/// What stands behind it.
const AFTER: &[u8] = b"\"}\n";
/// The digits of a sum.
const DIGITS: usize = 16;

/// Sums lines up, one after another.
///
/// A line's sum is seeded with that of the line before: one that was changed, left out, doubled or moved is noticed at once,
/// before anything of it is written. Against accidents, not against somebody who makes sums of their own.
#[derive(Debug, Clone, Default)]
pub(super) struct Seal {
    sum: u64,
    digest: Sha256,
}

impl Seal {
    /// Ends a line that lacks nothing but its end: `{"kind":…`.
    pub(super) fn end(&mut self, line: &mut Vec<u8>) {
        self.sum = xxh3_64_with_seed(line, self.sum);
        line.extend_from_slice(BEFORE);
        // Into memory: it cannot fail.
        let _ = write!(line, "{:016x}", self.sum);
        line.extend_from_slice(AFTER);
        self.digest.update(&*line);
    }

    /// Whether a line, with its end, is the one that was written behind those before.
    pub(super) fn is_next(&mut self, line: &[u8]) -> bool {
        let Some((said, sum)) = split(line) else { return false };
        let found = xxh3_64_with_seed(said, self.sum);
        if sum != Some(found) {
            return false;
        }
        self.sum = found;
        self.digest.update(line);
        true
    }

    /// The SHA-256 over all lines so far.
    pub(super) fn digest(&self) -> String {
        self.digest.clone().finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// What a line says, and its sum; `None` where it has none.
fn split(line: &[u8]) -> Option<(&[u8], Option<u64>)> {
    let rest = line.strip_suffix(AFTER)?;
    let (rest, digits) = rest.split_at_checked(rest.len().checked_sub(DIGITS)?)?;
    let said = rest.strip_suffix(BEFORE)?;
    // One way to write a number: `from_str_radix` also takes capitals and a plus.
    let is_plain = digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'));
    let sum = str::from_utf8(digits).ok().filter(|_| is_plain).and_then(|digits| u64::from_str_radix(digits, 16).ok());
    Some((said, sum))
}

#[cfg(test)]
mod tests {
    use super::Seal;

    fn lines() -> Vec<Vec<u8>> {
        let mut seal = Seal::default();
        ["one", "two", "three"]
            .map(|kind| {
                let mut line = format!("{{\"kind\":\"{kind}\"").into_bytes();
                seal.end(&mut line);
                line
            })
            .into()
    }

    fn read(lines: &[Vec<u8>]) -> usize {
        let mut seal = Seal::default();
        lines.iter().take_while(|line| seal.is_next(line)).count()
    }

    #[test]
    fn a_line_that_is_changed_missing_doubled_or_moved_is_noticed_where_it_stands() {
        let whole = lines();
        assert_eq!(read(&whole), 3);
        for line in 0..3 {
            for byte in 0..whole[line].len() {
                for bit in 0..8 {
                    let mut changed = whole.clone();
                    changed[line][byte] ^= 1 << bit;
                    assert_eq!(read(&changed), line, "byte {byte} of line {line}");
                }
            }
        }
        let [one, two, three] = &whole[..] else { panic!() };
        for (lines, sound) in [([one, three, two], 1), ([one, one, two], 1), ([two, one, three], 0)] {
            assert_eq!(read(&lines.map(Clone::clone)), sound);
        }
        assert_eq!(read(&[one.clone(), three.clone()]), 1);
        assert_eq!(read(&[Vec::new()]), 0);
        assert_eq!(read(&[b"\"}\n".to_vec()]), 0);
    }
}
