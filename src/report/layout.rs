//! Lays rows of cells out as text tables that fit into a width; pure, so that a snapshot shows what a user sees.

use comfy_table::{Attribute, CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

/// Longest cell of the key column, in characters; it is repeated in every table and must leave room for the others.
const KEY_CHARACTERS: usize = 24;

/// Spaces between two columns.
const GAP: u16 = 2;

/// Narrower than this nothing can be read; a smaller width is taken as this.
const MIN_WIDTH: usize = 40;

/// A line under the header and nothing else.
const STYLE: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─'));

/// On which side of its column a text stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    /// As words do.
    Left,
    /// As numbers do.
    Right,
}

/// One text of a table. Control characters, line ends among them, are shown as spaces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cell {
    /// What is shown.
    pub text: String,
    /// Whether it stands out; seen only with colour.
    pub bold: bool,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), bold: false }
    }
}

/// A column with its title.
///
/// ```
/// use tripos::report::layout::{Align, Column, tables};
/// let key = Column::new("variant", Align::Left, ["zero_shot", "cot"]);
/// let exact = Column::new("exact", Align::Right, ["0.42", "0.7"]);
/// assert_eq!(tables(&key, &[exact], 80, false), "\
/// variant    exact
/// ────────────────
/// zero_shot   0.42
/// cot          0.7
/// ");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// What stands above the line.
    pub title: String,
    /// On which side its texts stand, the title too.
    pub align: Align,
    /// From top to bottom; a column that is shorter than the longest ends in empty cells.
    pub cells: Vec<Cell>,
}

impl Column {
    /// A column of plain or bold cells.
    pub fn new<C: Into<Cell>>(title: impl Into<String>, align: Align, cells: impl IntoIterator<Item = C>) -> Self {
        Self { title: title.into(), align, cells: cells.into_iter().map(Into::into).collect() }
    }
}

/// The key column beside the others, in as many tables as `width` needs, a blank line between them, each beginning with
/// the key column. Every line ends in a newline and has no trailing spaces.
///
/// Key cells longer than 24 characters lose their middle to a `…`. A column that does not fit beside the key even alone is
/// wrapped. A width below 40 is taken as 40. `colour` allows ANSI codes, of which only bold is used; without it the text is plain.
#[must_use]
pub fn tables(key: &Column, columns: &[Column], width: usize, colour: bool) -> String {
    let width = width.max(MIN_WIDTH);
    let key = Column { cells: key.cells.iter().map(shortened).collect(), ..key.clone() };
    let mut out = String::new();
    for group in groups(&key, columns, width) {
        if !out.is_empty() {
            out.push('\n');
        }
        let all: Vec<_> = std::iter::once(&key).chain(group).collect();
        for line in table(&all, width, colour).lines() {
            out += line.trim_end();
            out.push('\n');
        }
    }
    out
}

/// The columns in order, cut into runs that fit beside the key; one empty run where there are none.
fn groups<'a>(key: &Column, columns: &'a [Column], width: usize) -> Vec<&'a [Column]> {
    let key_width = text_width(key);
    let (mut groups, mut start, mut used) = (Vec::new(), 0, key_width);
    for (index, column) in columns.iter().enumerate() {
        let wanted = usize::from(GAP) + text_width(column);
        if index > start && used + wanted > width {
            groups.push(columns.get(start..index).unwrap_or_default());
            (start, used) = (index, key_width);
        }
        used += wanted;
    }
    groups.push(columns.get(start..).unwrap_or_default());
    groups
}

/// How many terminal cells a column takes, as comfy-table counts them.
fn text_width(column: &Column) -> usize {
    let mut table = Table::new();
    table.set_header([plain(&column.title)]).add_rows(column.cells.iter().map(|cell| [plain(&cell.text)]));
    table.column_max_content_widths().first().copied().map_or(0, usize::from)
}

/// One table of the given columns.
fn table(columns: &[&Column], width: usize, colour: bool) -> Table {
    let mut table = Table::new();
    table.load_style(STYLE).force_no_tty().set_header(columns.iter().map(|column| plain(&column.title)));
    let rows = columns.iter().map(|column| column.cells.len()).max().unwrap_or(0);
    for row in 0..rows {
        table.add_row(columns.iter().map(|column| column.cells.get(row).map_or_else(|| "".into(), shown)));
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, if index + 1 < columns.len() { GAP } else { 0 }));
        let right = columns.get(index).is_some_and(|column| column.align == Align::Right);
        column.set_cell_alignment(if right { CellAlignment::Right } else { CellAlignment::Left });
    }
    if colour {
        table.enforce_styling();
        table.style_text_only();
    }
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(u16::try_from(width).unwrap_or(u16::MAX));
    table
}

fn shown(cell: &Cell) -> comfy_table::Cell {
    let text = comfy_table::Cell::new(plain(&cell.text));
    if cell.bold { text.add_attribute(Attribute::Bold) } else { text }
}

/// A cell of the key column without its middle, where it is too long.
fn shortened(cell: &Cell) -> Cell {
    let count = cell.text.chars().count();
    if count <= KEY_CHARACTERS {
        return cell.clone();
    }
    let head = KEY_CHARACTERS / 2;
    let tail = KEY_CHARACTERS - head - 1;
    let ends = cell.text.chars().take(head).chain(['…']).chain(cell.text.chars().skip(count - tail));
    Cell { text: ends.collect(), bold: cell.bold }
}

/// A model's or a user's text must neither break a table nor speak to the terminal.
fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> Column {
        Column::new("variant", Align::Left, ["zero_shot", "a_variant_name_that_is_far_too_long", "größer·思考"])
    }

    fn columns() -> Vec<Column> {
        let numbers = ["0.42 ±0.07", "0.615 ±0.06", "1"];
        let names = ["n", "exact", "label.accuracy", "label.f1_macro", "rouge_l", "edit_distance", "tokens"];
        let mut columns: Vec<_> = names.iter().map(|name| Column::new(*name, Align::Right, numbers)).collect();
        columns.push(Column::new("model", Align::Left, ["tiny", "tiny-base"]));
        columns
    }

    #[test]
    fn continues_in_further_tables_at_80_columns() {
        insta::assert_snapshot!(tables(&key(), &columns(), 80, false), @r"
        variant                             n        exact  label.accuracy
        ──────────────────────────────────────────────────────────────────
        zero_shot                  0.42 ±0.07   0.42 ±0.07      0.42 ±0.07
        a_variant_na…ar_too_long  0.615 ±0.06  0.615 ±0.06     0.615 ±0.06
        größer·思考                         1            1               1

        variant                   label.f1_macro      rouge_l  edit_distance
        ────────────────────────────────────────────────────────────────────
        zero_shot                     0.42 ±0.07   0.42 ±0.07     0.42 ±0.07
        a_variant_na…ar_too_long     0.615 ±0.06  0.615 ±0.06    0.615 ±0.06
        größer·思考                            1            1              1

        variant                        tokens  model
        ────────────────────────────────────────────────
        zero_shot                  0.42 ±0.07  tiny
        a_variant_na…ar_too_long  0.615 ±0.06  tiny-base
        größer·思考                         1
        ");
    }

    #[test]
    fn needs_one_table_less_at_120_columns() {
        insta::assert_snapshot!(tables(&key(), &columns(), 120, false), @r"
        variant                             n        exact  label.accuracy  label.f1_macro      rouge_l  edit_distance
        ──────────────────────────────────────────────────────────────────────────────────────────────────────────────
        zero_shot                  0.42 ±0.07   0.42 ±0.07      0.42 ±0.07      0.42 ±0.07   0.42 ±0.07     0.42 ±0.07
        a_variant_na…ar_too_long  0.615 ±0.06  0.615 ±0.06     0.615 ±0.06     0.615 ±0.06  0.615 ±0.06    0.615 ±0.06
        größer·思考                         1            1               1               1            1              1

        variant                        tokens  model
        ────────────────────────────────────────────────
        zero_shot                  0.42 ±0.07  tiny
        a_variant_na…ar_too_long  0.615 ±0.06  tiny-base
        größer·思考                         1
        ");
    }

    #[test]
    fn no_line_is_wider_than_asked_and_no_cell_is_lost() {
        for width in [40, 44, 60, 79, 80, 81, 120, 200] {
            let text = tables(&key(), &columns(), width, false);
            // The line under the header is as wide as its table, whatever the width of the characters in it.
            assert!(text.lines().all(|line| line.chars().count() <= width), "{width}:\n{text}");
            assert_eq!(text.matches("0.615 ±0.06").count(), 7, "{width}:\n{text}");
            assert!(columns().iter().all(|column| text.contains(&column.title)), "{width}:\n{text}");
        }
    }

    #[test]
    fn fills_the_width_to_the_last_character() {
        let columns = ["one", "two"].map(|title| Column::new(title, Align::Right, ["12345678"]));
        let key = Column::new("variant", Align::Left, ["a_name_of_21_letters_"]);
        assert_eq!(tables(&key, &columns, 41, false).lines().map(|line| line.chars().count()).max(), Some(41));
        insta::assert_snapshot!(tables(&key, &columns, 40, false), @r"
        variant                     one
        ───────────────────────────────
        a_name_of_21_letters_  12345678

        variant                     two
        ───────────────────────────────
        a_name_of_21_letters_  12345678
        ");
    }

    #[test]
    fn bold_is_seen_only_with_colour_and_takes_no_room() {
        let best = Cell { text: "0.9".into(), bold: true };
        let columns = [Column::new("exact", Align::Right, [best, "0.5".into()])];
        let key = Column::new("variant", Align::Left, ["a", "b"]);
        let (plain, bold) = (tables(&key, &columns, 80, false), tables(&key, &columns, 80, true));
        assert!(!plain.contains('\x1b'));
        assert!(bold.contains("\x1b[1m0.9\x1b[") && !bold.contains("\x1b[1m0.5"), "{bold:?}");
        assert_eq!(bold.replace("\x1b[1m", "").replace("\x1b[0m", ""), plain);
    }

    #[test]
    fn a_long_key_keeps_both_of_its_ends() {
        let cell = shortened(&"abcdefghijklmnopqrstuvwxyz".into());
        assert_eq!(cell.text, "abcdefghijkl…pqrstuvwxyz");
        assert_eq!(cell.text.chars().count(), KEY_CHARACTERS);
        assert_eq!(shortened(&"abcdefghijklmnopqrstuvwx".into()).text, "abcdefghijklmnopqrstuvwx");
    }

    #[test]
    fn a_column_too_wide_for_any_table_is_wrapped() {
        let columns = [Column::new("why", Align::Left, ["the prompt did not fit into the context of the model"])];
        let text = tables(&Column::new("case", Align::Left, ["c-1"]), &columns, 40, false);
        insta::assert_snapshot!(text, @r"
        case  why
        ─────────────────────────────────────
        c-1   the prompt did not fit into the
              context of the model
        ");
    }

    #[test]
    fn texts_cannot_break_the_table() {
        let columns = [Column::new("answer", Align::Left, ["two\nlines\x1b[31m", "x"])];
        let text = tables(&Column::new("case", Align::Left, ["c-1"]), &columns, 80, true);
        insta::assert_snapshot!(text, @r"
        case  answer
        ────────────────────
        c-1   two lines [31m
              x
        ");
    }

    #[test]
    fn no_columns_or_rows_or_width_is_no_trouble() {
        let (key, none) = (Column::new("variant", Align::Left, ["a"]), Column::new("variant", Align::Left, [""; 0]));
        assert_eq!(tables(&key, &[], 80, false), "variant\n───────\na\n");
        assert_eq!(tables(&none, &[], 80, false), "variant\n───────\n");
        assert!(tables(&key, &columns(), 0, false).contains("exact"));
    }
}
