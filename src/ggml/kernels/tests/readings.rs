use super::*;
use crate::ggml::Judge;

/// Log-probabilities as they lie: each beside the logarithm of a sum, which no loss sees.
const PAIRS: [f32; 6] = [-1.0, 9.0, -2.0, 9.0, -3.0, 9.0];
const OUTPUTS: [f32; 5] = [0.5, 1.5, 2.5, 3.5, 4.5];

fn judged(judge: &Judge) -> Vec<f32> {
    let given = [real(&[8], &[7.0; 8]), real(&[2, 3], &PAIRS), real(&[5], &OUTPUTS)];
    let op =
        |arena: &Arena, given: &[Tensor]| Ok(vec![arena.judge(&given[0], Some(&given[1]), Some(&given[2]), judge)?]);
    on_threads(3, &given, &op).0.remove(0)
}

#[test]
fn a_loss_sees_the_readings_and_its_coefficients_come_back() {
    let judge = Judge::default();
    judge.set(|readings| {
        assert_eq!((readings.logprobs, readings.outputs), (&[-1.0, -2.0, -3.0][..], &OUTPUTS[..]));
        readings.for_logprobs.copy_from_slice(&[10.0, 20.0, 30.0]);
        readings.for_outputs[4] = 50.0;
    });
    assert_eq!(judged(&judge), [10.0, 20.0, 30.0, 0.0, 0.0, 0.0, 0.0, 50.0]);
    // It was used up.
    assert_eq!(judged(&judge), [0.0; 8]);
}
