//! Tables as systemd's tools print them: columns as wide as their widest cell, one space between them, and a
//! dash for an empty cell.

/// The alignment of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Left,
    Right,
}

/// A table with a heading for each column.
#[derive(Debug)]
pub(super) struct Table {
    columns: Vec<(&'static str, Side)>,
    rows: Vec<Vec<Option<String>>>,
}

impl Table {
    /// A table without rows.
    pub(super) fn new(columns: impl IntoIterator<Item = (&'static str, Side)>) -> Self {
        Self { columns: columns.into_iter().collect(), rows: Vec::new() }
    }

    /// A table without rows whose columns are left-aligned.
    pub(super) fn of(headings: impl IntoIterator<Item = &'static str>) -> Self {
        Self::new(headings.into_iter().map(|heading| (heading, Side::Left)))
    }

    /// Adds a row with one cell per column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = Option<String>>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Removes columns that are empty in every row.
    pub(super) fn without_empty_columns(mut self) -> Self {
        let kept: Vec<bool> = (0..self.columns.len())
            .map(|column| self.rows.iter().any(|row| row.get(column).is_some_and(Option::is_some)))
            .collect();
        let keep = |column: usize| kept.get(column).copied().unwrap_or(false);
        self.columns = retain(std::mem::take(&mut self.columns), keep);
        self.rows = std::mem::take(&mut self.rows).into_iter().map(|row| retain(row, keep)).collect();
        self
    }

    /// The table as text. Without headings, these do not count for the width of columns either.
    pub(super) fn text(&self, no_legend: bool) -> String {
        let headings = self.columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
        let cells = self.rows.iter().map(|row| {
            row.iter().map(|cell| cell.clone().unwrap_or_else(|| "-".to_owned())).collect::<Vec<_>>()
        });
        let lines: Vec<Vec<String>> = (!no_legend).then_some(headings).into_iter().chain(cells).collect();
        let width = |column: usize| {
            lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count()).max()
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(|column| width(column).unwrap_or(0)).collect();
        let mut text = String::new();
        for line in &lines {
            let cells =
                line.iter().zip(&self.columns).zip(&widths).map(|((cell, (_, side)), width)| match side {
                    Side::Left => format!("{cell:<width$}"),
                    Side::Right => format!("{cell:>width$}"),
                });
            text.push_str(cells.collect::<Vec<_>>().join(" ").trim_end());
            text.push('\n');
        }
        text
    }
}

fn retain<T>(items: Vec<T>, keep: impl Fn(usize) -> bool) -> Vec<T> {
    items.into_iter().enumerate().filter(|(index, _)| keep(*index)).map(|(_, item)| item).collect()
}

/// A tick, a cross, or an empty cell if it is not known.
pub(super) fn tick(value: Option<bool>) -> Option<String> {
    value.map(|value| if value { "✓" } else { "✗" }.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let mut table = Table::new([("NAME", Side::Left), ("GONE", Side::Left), ("SIZE", Side::Right)]);
        table.row([Some("à".to_owned()), None, Some("12".to_owned())]);
        table.row([None, None, Some("3".to_owned())]);
        let table = table.without_empty_columns();
        assert_eq!(table.text(false), "NAME SIZE\nà      12\n-       3\n");
        assert_eq!(table.text(true), "à 12\n-  3\n");
        assert!(!table.is_empty());
    }
}
