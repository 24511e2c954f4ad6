use super::*;

const WIDTH: usize = 37;
const ROWS: usize = 11;
/// One row three times, the first and the last, and two that are none.
const INDICES: [i32; 7] = [4, 0, 4, 10, -1, 4, 11];

/// The rows that are picked; 0 where there is none.
fn picked(at: &[Vec<f64>]) -> Vec<f64> {
    let row = |index: &i32| {
        let row = usize::try_from(*index).ok().and_then(|row| at[0].get(row * WIDTH..(row + 1) * WIDTH));
        row.map_or(vec![0.0; WIDTH], <[f64]>::to_vec)
    };
    INDICES.iter().flat_map(row).collect()
}

#[test]
fn gradients_of_picked_rows_go_back_to_where_they_came_from() {
    let (dy, sum) = (numbers(WIDTH * INDICES.len(), 1), numbers(WIDTH * ROWS, 2));
    let exact = slopes(picked, &[vec![0.0; WIDTH * ROWS]], 0, &wide(&dy));
    let given = [real(&[WIDTH, INDICES.len()], &dy), whole(&INDICES), real(&[WIDTH, ROWS], &sum)];
    let (found, _) = computed(&given, |arena, given| {
        Ok(vec![arena.spread_rows(&given[0], &given[1], ROWS)?, arena.get_rows_back(&given[2], &given[0], &given[1])?])
    });
    assert_near("spread", &found[0], &exact, F32);
    let added: Vec<f64> = exact.iter().zip(&sum).map(|(a, b)| a + f64::from(*b)).collect();
    assert_near("added", &found[1], &added, F32);
}
