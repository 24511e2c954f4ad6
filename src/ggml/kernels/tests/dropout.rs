use super::*;

const ROWS: usize = 301;
const WIDTH: usize = 37;
const SHARE: f32 = 0.3;

fn dropped(x: &[f32], key: [i32; 2], site: u32) -> Vec<f32> {
    let given = [real(&[WIDTH, ROWS], x), whole(&key)];
    let (mut found, _) = computed(&given, |arena, given| Ok(vec![arena.dropout(&given[0], &given[1], site, SHARE)?]));
    found.remove(0)
}

#[test]
fn the_share_is_dropped_and_the_others_grow() {
    let x: Vec<f32> = numbers(ROWS * WIDTH, 1).iter().map(|x| x + 2.0).collect();
    let found = dropped(&x, [7, 9], 3);
    for (found, x) in found.iter().zip(&x) {
        assert!(*found == 0.0 || (found - x / (1.0 - SHARE)).abs() < 1e-5, "{found} of {x}");
    }
    // Four standard deviations of a coin.
    let n = found.len() as f64;
    let share = found.iter().filter(|x| **x == 0.0).count() as f64 / n;
    assert!((share - f64::from(SHARE)).abs() < 4.0 * (0.21 / n).sqrt(), "{share}");
}

#[test]
fn the_gradient_drops_the_same_numbers() {
    // It is linear, so that the same call on a gradient is its own: y = m · x, dx = m · dy.
    let (x, dy) = (vec![1.0; ROWS * WIDTH], numbers(ROWS * WIDTH, 2));
    let (mask, dx) = (dropped(&x, [7, 9], 3), dropped(&dy, [7, 9], 3));
    let exact: Vec<f64> = mask.iter().zip(&dy).map(|(m, dy)| f64::from(*m) * f64::from(*dy)).collect();
    assert_near("dx", &dx, &exact, F32);
}

#[test]
fn another_key_or_site_drops_others_and_no_key_none() {
    let x = vec![1.0; ROWS * WIDTH];
    let here = dropped(&x, [7, 9], 3);
    for (key, site) in [([7, 10], 3), ([8, 9], 3), ([7, 9], 4)] {
        // Where two coins of 0.3 fall apart: 0.42 of the time.
        let other = dropped(&x, key, site);
        let apart = here.iter().zip(&other).filter(|(a, b)| a.to_bits() != b.to_bits()).count() as f64 / x.len() as f64;
        assert!((0.38..0.46).contains(&apart), "{key:?} {site}: {apart}");
    }
    assert_eq!(dropped(&x, [0, 0], 3), x);
}
