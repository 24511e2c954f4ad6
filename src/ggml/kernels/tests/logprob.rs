use super::*;

/// Not a multiple of the 32 that are summed side by side.
const VOCABULARY: usize = 67;
/// The last two are unused.
const TARGETS: [i32; 5] = [66, 0, 31, -1, 67];

/// log softmax(logits)[target]; 0 where there is no such target.
fn definition(at: &[Vec<f64>]) -> Vec<f64> {
    let of = |(logits, target): (&[f64], &i32)| {
        let target = usize::try_from(*target).ok().and_then(|target| logits.get(target));
        target.map_or(0.0, |target| target - logits.iter().map(|x| x.exp()).sum::<f64>().ln())
    };
    at[0].chunks(VOCABULARY).zip(&TARGETS).map(of).collect()
}

fn logits() -> Vec<f32> {
    numbers(VOCABULARY * TARGETS.len(), 1).iter().map(|x| 4.0 * x).collect()
}

#[test]
fn log_probabilities_and_their_gradient_are_those_of_the_definition() {
    let (logits, coefficients) = (logits(), numbers(TARGETS.len(), 2));
    let given = [
        real(&[VOCABULARY, TARGETS.len()], &logits),
        whole(&TARGETS),
        real(&[2, TARGETS.len()], &[0.0; 2 * TARGETS.len()]),
        real(&[TARGETS.len()], &coefficients),
    ];
    let at = [wide(&logits)];
    let exact = slopes(definition, &at, 0, &wide(&coefficients));
    for kind in [TensorType::F32, TensorType::BF16] {
        let (found, _) = computed(&given, |arena, given| {
            let out = arena.logprob_into(&given[2], &given[0], &given[1])?;
            let back = arena.logprob_back((&given[0], &given[1]), &out, &given[3], kind)?;
            Ok(vec![out, back])
        });
        let logprobs: Vec<f32> = found[0].iter().copied().step_by(2).collect();
        assert_near("log p", &logprobs, &definition(&at), F32);
        assert_near(&format!("gradient as {kind}"), &found[1], &exact, room(kind));
    }
}

#[test]
fn logits_of_any_size_give_no_infinity() {
    let logits: Vec<f32> = logits().iter().map(|x| 1e6 * x).collect();
    let given = [
        real(&[VOCABULARY, TARGETS.len()], &logits),
        whole(&TARGETS),
        real(&[2, TARGETS.len()], &[0.0; 2 * TARGETS.len()]),
    ];
    let (found, _) = computed(&given, |arena, given| Ok(vec![arena.logprob_into(&given[2], &given[0], &given[1])?]));
    assert!(found[0].iter().all(|x| x.is_finite()), "{:?}", found[0]);
}
