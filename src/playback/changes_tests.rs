use super::FrameTiles;
use crate::video::{CHANGE, FrameInput};

fn around(
    halo: [usize; 2],
    tile: [usize; 2],
    tiles: [usize; 2],
    dims: &[usize],
    cell: [usize; 2],
) -> Option<FrameTiles> {
    let frame = FrameInput {
        input: "x".to_owned(),
        shape: dims.to_vec(),
        tile,
        halo,
        tiles,
        cell,
        change: CHANGE.to_owned(),
    };
    FrameTiles::new(&frame, 0.5).ok()
}

fn tiles(tile: [usize; 2], tiles: [usize; 2], dims: &[usize]) -> Option<FrameTiles> {
    around([0, 0], tile, tiles, dims, [1, 1])
}

fn changed(tiles: &FrameTiles, frame: &[f32], before: &[f32]) -> usize {
    let mut cells = Vec::new();
    tiles.differences(frame, before, &mut cells);
    tiles.changed(&cells)
}

#[test]
fn each_tile_counts_once_and_the_last_ones_reach_back_into_the_frame() {
    let tiles = tiles([2, 4], [3, 2], &[1, 2, 5, 6]).unwrap();
    assert_eq!(tiles.count(), 6);
    let before = vec![0.0f32; 60];
    let at = |places: &[(usize, usize, usize, f32)]| {
        let mut frame = before.clone();
        places.iter().for_each(|&(c, y, x, v)| frame[(c * 5 + y) * 6 + x] = v);
        changed(&tiles, &frame, &before)
    };
    assert_eq!(at(&[]), 0);
    assert_eq!(at(&[(0, 0, 0, 0.5), (1, 4, 5, -0.5)]), 0);
    assert_eq!(at(&[(0, 0, 0, 0.6), (1, 1, 1, -0.7)]), 1);
    // Columns 2 and 3 belong to both tiles of a band, row 3 to both of the last bands.
    assert_eq!(at(&[(1, 0, 3, 1.0)]), 2);
    assert_eq!(at(&[(1, 3, 0, 1.0)]), 2);
    assert_eq!(at(&[(1, 3, 2, 1.0)]), 4);
    assert_eq!(at(&[(0, 4, 5, f32::NAN)]), 1);
    assert_eq!(changed(&tiles, &before[..59], &before), 6);
}

#[test]
fn change_around_a_tile_counts_too_and_so_does_that_of_a_cell_that_reaches_there() {
    for (cell, expected) in [([1, 1], [1, 2, 2, 4, 4, 1]), ([2, 4], [4, 4, 6, 6, 6, 4])] {
        let tiles = around([1, 2], [2, 4], [4, 2], &[1, 1, 8, 8], cell).unwrap();
        let before = vec![0.0f32; 64];
        let at = |y: usize, x: usize| {
            let mut frame = before.clone();
            frame[y * 8 + x] = 1.0;
            changed(&tiles, &frame, &before)
        };
        assert_eq!([at(0, 0), at(1, 0), at(2, 1), at(3, 2), at(4, 5), at(7, 7)], expected);
    }
}

#[test]
fn what_changed_is_taken_over_with_its_cell_and_so_is_a_tile_in_turn() {
    let tiles = around([0, 0], [4, 4], [2, 2], &[1, 2, 8, 8], [2, 2]).unwrap();
    assert_eq!(tiles.cells(), [4, 4]);
    let mut frame: Vec<f32> = (0..128).map(|k| 0.1 + k as f32 * 1e-3).collect();
    frame[64 + 5 * 8 + 1] = -3.0;
    frame[7] = f32::NAN;
    let (mut reference, mut cells) = (vec![0.0f32; 128], Vec::new());
    tiles.differences(&frame, &reference, &mut cells);
    assert_eq!((cells[8], cells[3]), (3.0, 1e20));
    assert!(cells[0] > 0.0 && cells[0] < 0.5);
    // Tile 3 is the last: cells 10, 11, 14 and 15.
    tiles.take(&frame, &mut reference, &mut cells, 7);
    let taken: Vec<usize> = (0..16).filter(|&c| cells[c] != 0.0).collect();
    assert_eq!(taken, [3, 8, 10, 11, 14, 15]);
    for at in 0..128 {
        let cell = at % 64 / 16 * 4 + at % 8 / 2;
        let expected = if taken.contains(&cell) { frame[at] } else { 0.0 };
        assert_eq!(reference[at].to_bits(), expected.to_bits(), "{at}");
    }
}

#[test]
fn tiles_that_do_not_cut_the_frame_are_refused() {
    assert!(tiles([2, 4], [3, 2], &[1, 2, 5, 6]).is_some());
    for (tile, grid, dims) in [
        ([2, 4], [1, 2], &[1usize, 2, 5, 6][..]),
        ([2, 4], [4, 2], &[1, 2, 5, 6]),
        ([0, 4], [3, 2], &[1, 2, 5, 6]),
        ([6, 4], [1, 2], &[1, 2, 5, 6]),
        ([2, 4], [3, 2], &[2, 2, 5, 6]),
        ([2, 4], [3, 2], &[2, 5, 6]),
    ] {
        assert!(tiles(tile, grid, dims).is_none(), "{tile:?} {grid:?} {dims:?}");
    }
    for cell in [[0, 1], [2, 2], [1, 3]] {
        assert!(
            around([0, 0], [2, 4], [3, 2], &[1, 2, 5, 6], cell).is_none(),
            "{cell:?}"
        );
    }
}
