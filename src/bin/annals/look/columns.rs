//! Lines of columns, each written as soon as it is there.

/// Makes columns stand beneath one another without knowing what is still to come.
///
/// A column is as wide as the widest cell so far, so lines may be shifted once or twice; nothing is kept.
#[derive(Debug)]
pub struct Columns<const N: usize> {
    widths: [usize; N],
    /// How wide a line may be.
    line: Option<usize>,
}

/// A column grows to this width; what is wider pushes the rest of its line aside.
const WIDEST: usize = 100;

impl<const N: usize> Columns<N> {
    /// Columns, the last of which is cut at the end of the line where that has one.
    pub const fn new(line: Option<usize>) -> Self {
        Self { widths: [0; N], line }
    }

    /// Makes room for what is known to come.
    pub fn widen(&mut self, cells: [&str; N]) {
        for (cell, width) in cells.iter().zip(&mut self.widths) {
            *width = (*width).max(cell.chars().count().min(WIDEST));
        }
    }

    /// The line of these cells. The first column stands to the right, as numbers do.
    pub fn line(&mut self, cells: [&str; N]) -> String {
        let mut line = String::new();
        for (at, (cell, width)) in cells.iter().zip(&mut self.widths).enumerate() {
            let wide = cell.chars().count();
            *width = (*width).max(wide.min(WIDEST));
            let blanks = width.saturating_sub(wide);
            if at > 0 {
                line.push_str("  ");
            }
            match at {
                0 => line.extend(std::iter::repeat_n(' ', blanks).chain(cell.chars())),
                _ if at + 1 == N => line.push_str(cell),
                _ => line.extend(cell.chars().chain(std::iter::repeat_n(' ', blanks))),
            }
        }
        let line = line.trim_end();
        match self.line {
            Some(width) if line.chars().count() > width => {
                line.chars().take(width.saturating_sub(1)).chain(['…']).collect()
            }
            _ => line.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Columns;

    #[test]
    fn columns_stand_beneath_one_another_and_lines_end_at_the_edge() {
        let mut columns = Columns::new(None);
        assert_eq!(columns.line(["POSITION", "TYPE", "PAYLOAD"]), "POSITION  TYPE  PAYLOAD");
        assert_eq!(
            columns.line(["7", "order", "x".repeat(90).as_str()]),
            format!("       7  order  {}", "x".repeat(90))
        );
        assert_eq!(columns.line(["123456789", "é", ""]), "123456789  é");
        let mut narrow = Columns::new(Some(12));
        assert_eq!(narrow.line(["1", "order", "abcd"]), "1  order  a…");
        assert_eq!(narrow.line(["1", "order", "ab"]), "1  order  ab");
    }
}
