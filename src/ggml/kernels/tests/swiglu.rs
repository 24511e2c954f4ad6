use super::*;

/// One more than a piece of work, and a few.
const COUNT: usize = (1 << 12) + 3;

/// gate · up / (1 + e^−gate).
fn definition(at: &[Vec<f64>]) -> Vec<f64> {
    at[0].iter().zip(&at[1]).map(|(gate, up)| gate * up / (1.0 + (-gate).exp())).collect()
}

/// d h / d gate and d h / d up times dh, number by number: no other moves with them.
fn gradients(at: &[Vec<f64>], dh: &[f32]) -> [Vec<f64>; 2] {
    const STEP: f64 = 1e-5;
    [0, 1].map(|operand| {
        let moved = |by: f64| {
            let mut at = at.to_vec();
            at[operand].iter_mut().for_each(|x| *x += by);
            definition(&at)
        };
        let (more, less) = (moved(STEP), moved(-STEP));
        more.iter().zip(&less).zip(dh).map(|((a, b), dh)| (a - b) / (2.0 * STEP) * f64::from(*dh)).collect()
    })
}

#[test]
fn the_gate_and_its_gradients_are_those_of_the_definition() {
    let (gate, up, dh): (Vec<f32>, _, _) =
        (numbers(COUNT, 1).iter().map(|x| 9.0 * x).collect(), numbers(COUNT, 2), numbers(COUNT, 3));
    let at = [wide(&gate), wide(&up)];
    let [d_gate, d_up] = gradients(&at, &dh);
    for kind in [TensorType::F32, TensorType::BF16] {
        let given = [real(&[COUNT], &gate), real(&[COUNT], &up), real(&[COUNT], &dh)];
        let (found, _) = computed(&given, |arena, given| {
            let (d_gate, d_up) = arena.swiglu_back((&given[0], &given[1]), &given[2], kind)?;
            Ok(vec![arena.swiglu(&given[0], &given[1], kind)?, d_gate, d_up])
        });
        assert_near(&format!("h as {kind}"), &found[0], &definition(&at), room(kind));
        assert_near(&format!("d gate as {kind}"), &found[1], &d_gate, room(kind));
        assert_near(&format!("d up as {kind}"), &found[2], &d_up, room(kind));
    }
}
