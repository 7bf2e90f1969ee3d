//! A picture of a node's id, so that eyes recognise a peer without reading it: a mirrored grid in one of a few hues.

use node_proto::ids::NodeId;

/// Cells on each side; odd, so that the mirror axis is a column of its own.
pub const SIDE: usize = 5;
/// Hues; the style sheet gives each a colour that is visible on light and dark.
pub const HUES: u8 = 6;

/// A small mirrored picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Number of the hue.
    pub hue: u8,
    /// Filled cells, row by row.
    pub cells: [[bool; SIDE]; SIDE],
}

/// The mark of an id. The key itself is the source: it is as random as a hash of it.
pub fn mark(id: NodeId) -> Mark {
    let key = id.as_bytes();
    let mut cells = [[false; SIDE]; SIDE];
    for (row, byte) in cells.iter_mut().zip(key) {
        for (column, cell) in row.iter_mut().enumerate() {
            let mirrored = column.min(SIDE - 1 - column);
            *cell = byte >> mirrored & 1 == 1;
        }
    }
    Mark {
        hue: key[31] % HUES,
        cells,
    }
}

/// An SVG path of the filled cells, one unit each.
pub fn path(mark: &Mark) -> String {
    let cell = |(x, y): (usize, usize)| mark.cells[y][x].then(|| format!("M{x} {y}h1v1h-1z"));
    (0..SIDE)
        .flat_map(|y| (0..SIDE).map(move |x| (x, y)))
        .filter_map(cell)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_mirrored_and_differs_with_the_id() {
        let one = mark(NodeId(std::array::from_fn(|i| (i * 37) as u8)));
        assert!(one.cells.iter().all(|row| row[0] == row[4] && row[1] == row[3]));
        assert_ne!(one, mark(NodeId([9; 32])));
        assert!(one.hue < HUES);
    }

    #[test]
    fn a_path_has_one_square_per_filled_cell() {
        let mark = mark(NodeId([0b101; 32]));
        let filled = mark.cells.iter().flatten().filter(|cell| **cell).count();
        assert_eq!(path(&mark).matches('z').count(), filled);
    }
}
