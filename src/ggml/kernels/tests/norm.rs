use super::*;

const WIDTH: usize = 37;
const ROWS: usize = 5;
const EPS: f32 = 1e-5;

/// Of x and w: w · x / √(mean(x²) + ε), row by row.
fn definition(at: &[Vec<f64>]) -> Vec<f64> {
    let row = |x: &[f64]| -> Vec<f64> {
        let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        x.iter().zip(&at[1]).map(|(x, w)| w * x / (mean + f64::from(EPS)).sqrt()).collect()
    };
    at[0].chunks(WIDTH).flat_map(row).collect()
}

fn operands() -> (Vec<f32>, Vec<f32>, Vec<f32>) {
    (numbers(WIDTH * ROWS, 1), numbers(WIDTH, 2), numbers(WIDTH * ROWS, 3))
}

#[test]
fn rows_are_normed_as_defined() {
    let (x, w, _) = operands();
    let exact = definition(&[wide(&x), wide(&w)]);
    for kind in [TensorType::F32, TensorType::BF16] {
        let given = [real(&[WIDTH, ROWS], &x), real(&[WIDTH], &w)];
        let (found, _) = computed(&given, |arena, given| Ok(vec![arena.rms_norm(&given[0], &given[1], EPS, kind)?]));
        assert_near(&kind.to_string(), &found[0], &exact, room(kind));
    }
}

#[test]
fn gradients_are_the_slopes_of_the_definition() {
    let (x, w, dy) = operands();
    let at = [wide(&x), wide(&w)];
    let (dx, dw) = (slopes(definition, &at, 0, &wide(&dy)), slopes(definition, &at, 1, &wide(&dy)));
    let (residual, sum) = (numbers(WIDTH * ROWS, 4), numbers(WIDTH, 5));
    let given = [
        real(&[WIDTH, ROWS], &x),
        real(&[WIDTH], &w),
        real(&[WIDTH, ROWS], &dy),
        real(&[WIDTH, ROWS], &residual),
        real(&[WIDTH], &sum),
    ];
    let (found, _) = computed(&given, |arena, given| {
        let (x, w, dy) = (&given[0], &given[1], &given[2]);
        Ok(vec![
            arena.rms_norm_back((x, w), dy, None, EPS)?,
            arena.rms_norm_back((x, w), dy, Some(&given[3]), EPS)?,
            arena.rms_norm_weight_back(&given[4], x, dy, EPS)?,
        ])
    });
    let plus = |to: &[f64], what: &[f32]| -> Vec<f64> { to.iter().zip(what).map(|(a, b)| a + f64::from(*b)).collect() };
    assert_near("dx", &found[0], &dx, F32);
    assert_near("dx and what goes round", &found[1], &plus(&dx, &residual), F32);
    assert_near("dw, added", &found[2], &plus(&dw, &sum), F32);
}

#[test]
fn the_gradient_of_a_bias_is_the_sum_of_the_rows() {
    let (_, _, dy) = operands();
    let sum = numbers(WIDTH, 5);
    let given = [real(&[WIDTH], &sum), real(&[WIDTH, ROWS], &dy)];
    let (found, _) = computed(&given, |arena, given| Ok(vec![arena.bias_back(&given[0], &given[1])?]));
    let exact = |c: usize| f64::from(sum[c]) + (0..ROWS).map(|row| f64::from(dy[row * WIDTH + c])).sum::<f64>();
    assert_near("d bias", &found[0], &(0..WIDTH).map(exact).collect::<Vec<_>>(), F32);
}
