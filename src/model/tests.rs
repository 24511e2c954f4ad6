//! The decoder as a whole, on the bundled model.

use super::*;
use std::path::Path;

const TINY: &str = "models/tripos-tiny.gguf";

fn settings(trained: Trained, shape: Shape) -> Settings {
    Settings { trained, precision: Precision::F32, shape, outputs: 0, recompute: false, threads: 2, seed: 3 }
}

fn lora() -> Trained {
    Trained::Lora(LoraSettings { rank: 4, alpha: 8.0, dropout: 0.0, on: LoraOn::All })
}

/// Documents of made-up tokens: the numbers matter, not the sense.
fn documents(lens: &[usize]) -> Vec<Document> {
    let token = |i: usize, j: usize| u32::try_from((i * 131 + j * j * 7 + 3) % 700).unwrap();
    lens.iter()
        .enumerate()
        .map(|(i, len)| {
            let learn = (0..*len).map(|j| (i + j) % 3 != 0).collect();
            Document::new((0..*len).map(|j| token(i, j)).collect(), learn)
        })
        .collect()
}

fn batch(documents: &[Document], rows: &[usize], shape: &Shape) -> Batch {
    let mut left = documents.iter();
    let rows: Vec<Vec<&Document>> = rows.iter().map(|n| left.by_ref().take(*n).collect()).collect();
    Batch::new(&rows, shape).unwrap()
}

/// The mean negative log-likelihood, were there `total` targets in all.
fn mean_loss(total: usize) -> Box<dyn FnOnce(&Readings) -> Coefficients + Send> {
    Box::new(move |readings| Coefficients {
        logprobs: vec![-1.0 / total as f32; readings.logprobs.len()],
        outputs: vec![0.0; readings.outputs.len()],
    })
}

fn loss(readings: &Readings) -> f64 {
    -readings.logprobs.iter().map(|p| f64::from(*p)).sum::<f64>() / readings.logprobs.len() as f64
}

fn norm(saved: &[Saved]) -> f64 {
    saved.iter().flat_map(|s| &s.values).map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt()
}

/// The largest relative difference of two sets of tensors, each tensor by its own norm.
fn difference(a: &[Saved], b: &[Saved]) -> f64 {
    let one = |(a, b): (&Saved, &Saved)| {
        let squares = a.values.iter().zip(&b.values).map(|(a, b)| f64::from(a - b).powi(2)).sum::<f64>();
        squares.sqrt() / norm(std::slice::from_ref(a)).max(1e-12)
    };
    a.iter().zip(b).map(one).fold(0.0, f64::max)
}

fn small() -> (Shape, Batch) {
    let shape = Shape { rows: 2, len: 32, targets: 64, ends: 4 };
    let batch = batch(&documents(&[12, 17, 32]), &[2, 1], &shape);
    (shape, batch)
}

#[test]
fn one_batch_is_learned_by_heart() {
    let shape = Shape { rows: 1, len: 32, targets: 32, ends: 1 };
    // Letters that the model knows: tokens that it was never taught are all alike to an adapter.
    let letters = Document::new(vec![74, 82, 90, 68, 78, 82, 68, 90, 78, 74, 90, 82], vec![true; 12]);
    let batch = batch(&[letters], &[1], &shape);
    for (trained, lr) in [(lora(), 5e-3), (Trained::Full, 2e-3)] {
        for precision in [Precision::F32, Precision::Bf16] {
            let settings = Settings { precision, ..settings(trained.clone(), shape.clone()) };
            let mut decoder = Decoder::open(Path::new(TINY), &settings).unwrap();
            let first = loss(&decoder.read(&batch).unwrap());
            let n = batch.targets();
            for step in 1..=60 {
                decoder.learn(&batch, step, mean_loss(n)).unwrap();
                decoder.update(&Update { step, lr, ..Update::default() }).unwrap();
            }
            let last = loss(&decoder.read(&batch).unwrap());
            assert!(first > 2.0 && last < 0.2, "{precision:?} {trained:?}: {first} to {last}");
        }
    }
}

/// d loss / d w ≈ (loss(w + h) − loss(w − h)) / 2h along a random direction in each tensor.
fn against_differences(trained: Trained, outputs: usize) {
    against_differences_of(trained, outputs, small());
}

fn against_differences_of(trained: Trained, outputs: usize, (shape, batch): (Shape, Batch)) {
    let settings = Settings { outputs, ..settings(trained, shape) };
    let mut decoder = Decoder::open(Path::new(TINY), &settings).unwrap();
    // B of an adapter begins as zeros, where A has no gradient: off that point.
    let mut saved = decoder.save().unwrap();
    for (i, tensor) in saved.iter_mut().enumerate() {
        for (j, value) in tensor.values.iter_mut().enumerate() {
            *value += 0.02 * ((i * 7 + j) as f32 * 1.7).sin();
        }
    }
    decoder.restore(&saved).unwrap();
    let weigh = |readings: &Readings| Coefficients {
        logprobs: (0..readings.logprobs.len()).map(|i| 0.1 + (i as f32).sin()).collect(),
        outputs: (0..readings.outputs.len()).map(|i| 0.3 + (i as f32).cos()).collect(),
    };
    let value = |readings: &Readings| -> f64 {
        let weights = weigh(readings);
        let of = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum::<f64>();
        of(&readings.logprobs, &weights.logprobs) + of(&readings.outputs, &weights.outputs)
    };
    decoder.learn(&batch, 1, Box::new(weigh)).unwrap();
    let gradients = decoder.gradients().unwrap();
    let mut off = Vec::new();
    for (i, gradient) in gradients.iter().enumerate() {
        // Along the gradient itself, where the loss moves most and noise counts least.
        let length = norm(std::slice::from_ref(gradient));
        assert!(length > 1e-6, "{} has no gradient", gradient.name);
        // So far that the loss moves by 0.3, far more than rounding moves it; but by no more than a tenth of the tensor,
        // where it curves. What is left of the curve falls out of two steps (Richardson).
        let room = 0.1 * norm(std::slice::from_ref(&saved[i])) / length;
        #[allow(clippy::cast_possible_truncation, reason = "a step of any size will do")]
        let h = (0.15 / (length * length)).min(room) as f32;
        let mut at = |h: f32| {
            let mut moved = saved.clone();
            moved[i].values.iter_mut().zip(&gradient.values).for_each(|(value, g)| *value += h * g);
            decoder.restore(&moved).unwrap();
            value(&decoder.read(&batch).unwrap())
        };
        let mut slope = |h: f32| (at(h) - at(-h)) / (2.0 * f64::from(h));
        let measured = (4.0 * slope(h / 2.0) - slope(h)) / 3.0;
        let exact = length * length;
        if (measured - exact).abs() / exact > 0.02 {
            off.push(format!("{}: {measured} where {exact} was computed", gradient.name));
        }
    }
    assert!(off.is_empty(), "{off:#?}");
}

#[test]
fn gradients_of_all_weights_equal_finite_differences() {
    against_differences(Trained::Full, 0);
}

#[test]
fn gradients_of_adapters_and_a_head_equal_finite_differences() {
    against_differences(lora(), 3);
}

/// A critic is read where each token is predicted, which for the first tokens of three answers is one and the same place.
#[test]
fn gradients_of_all_weights_and_a_critic_equal_finite_differences() {
    let shape = Shape { rows: 2, len: 32, targets: 64, ends: 64 };
    let mut documents = documents(&[12, 17, 32]);
    for document in &mut documents {
        document.valued = true;
    }
    documents[2].branches = vec![5, 9, 20];
    documents[2].learn.iter_mut().skip(5).for_each(|learn| *learn = true);
    let batch = batch(&documents, &[2, 1], &shape);
    assert_eq!(batch.ends(), batch.targets());
    against_differences_of(Trained::Full, 1, (shape, batch));
}

/// A prompt with three answers, as one document with branches and as three documents: the outputs of a head, how likely
/// each token of the answers is, and the gradients of a loss of both.
#[test]
fn answers_behind_one_trunk_are_read_and_learned_as_if_each_had_the_prompt_to_itself() {
    let of = |tokens: Vec<u32>| Document::new(tokens.clone(), (0..tokens.len()).map(|at| at >= 19).collect());
    let prompt: Vec<u32> = (0..19).map(|i| (i * 131 + 3) % 700).collect();
    let answers: Vec<Vec<u32>> =
        [7, 1, 12].iter().map(|len| (0..*len).map(|j| (len * 31 + j * 53) % 700).collect()).collect();
    let begins = answers.iter().scan(prompt.len(), |at, answer| Some(std::mem::replace(at, *at + answer.len())));
    let together = Document { branches: begins.collect(), ..of([&prompt[..], &answers.concat()].concat()) };
    let apart: Vec<Document> = answers.iter().map(|answer| of([&prompt[..], answer].concat())).collect();
    let shape = Shape { rows: 3, len: 48, targets: 24, ends: 4 };
    for trained in [Trained::Full, lora()] {
        let settings = Settings { outputs: 1, ..settings(trained, shape.clone()) };
        let learned = |rows: Vec<Vec<&Document>>| {
            let mut decoder = Decoder::open(Path::new(TINY), &settings).unwrap();
            let loss = |readings: &Readings| Coefficients {
                logprobs: (0..readings.logprobs.len()).map(|i| 0.01 * i as f32 - 0.3).collect(),
                outputs: readings.outputs.iter().enumerate().map(|(i, x)| x + i as f32 - 0.7).collect(),
            };
            // B of an adapter and the head's bias begin as zeros.
            let mut saved = decoder.save().unwrap();
            saved
                .iter_mut()
                .flat_map(|one| &mut one.values)
                .enumerate()
                .for_each(|(i, x)| *x += 0.02 * (i as f32).sin());
            decoder.restore(&saved).unwrap();
            let readings = decoder.learn(&Batch::new(&rows, &shape).unwrap(), 1, Box::new(loss)).unwrap();
            ([readings.outputs, readings.logprobs].concat(), decoder.gradients().unwrap())
        };
        let ((one, slopes), (three, others)) =
            (learned(vec![vec![&together]]), learned(apart.iter().map(|one| vec![one]).collect()));
        assert_eq!((one.len(), three.len()), (23, 23));
        // The three outputs, then the log-probabilities, which are larger numbers.
        let within = |from: usize, to: usize, most: f32| (from..to).all(|at| (one[at] - three[at]).abs() < most);
        assert!(within(0, 3, 1e-5) && within(3, 23, 1e-4), "{one:?} {three:?}");
        assert!(difference(&slopes, &others) < 1e-4, "{}", difference(&slopes, &others));
        // The twin: the second answer behind the first one is another text.
        let behind = Document { branches: vec![19, 27], ..together.clone() };
        assert!((learned(vec![vec![&behind]]).0[0] - three[0]).abs() > 1e-3);
    }
}

/// The gradient of a batch of `lens`, computed at once or row by row.
fn gradient_of(settings: &Settings, lens: &[usize], at_once: usize) -> Vec<Saved> {
    let documents = documents(lens);
    let shape = Shape { rows: at_once, ..settings.shape.clone() };
    let mut decoder = Decoder::open(Path::new(TINY), &Settings { shape: shape.clone(), ..settings.clone() }).unwrap();
    let total = documents.iter().map(Document::targets).sum();
    for rows in documents.chunks(at_once) {
        let batch = batch(rows, &vec![1; rows.len()], &shape);
        decoder.learn(&batch, 1, mean_loss(total)).unwrap();
    }
    decoder.gradients().unwrap()
}

#[test]
fn two_batches_of_eight_are_one_of_sixteen() {
    let shape = Shape { rows: 16, len: 32, targets: 512, ends: 16 };
    let lens: Vec<usize> = (0..16).map(|i| 5 + i * 27 % 28).collect();
    for precision in [Precision::F32, Precision::Bf16] {
        for trained in [Trained::Full, lora()] {
            let settings = Settings { precision, ..settings(trained, shape.clone()) };
            let (once, twice) = (gradient_of(&settings, &lens, 16), gradient_of(&settings, &lens, 8));
            let whole: Vec<f32> = once.iter().flat_map(|s| s.values.clone()).collect();
            let parts: Vec<f32> = twice.iter().flat_map(|s| s.values.clone()).collect();
            let apart: f64 = whole.iter().zip(&parts).map(|(a, b)| f64::from(a - b).powi(2)).sum();
            assert!(apart.sqrt() / norm(&once) < 1e-5, "{precision:?}: {}", apart.sqrt() / norm(&once));
            // The twin: divided by each batch's own count, it is another gradient.
            assert!(difference(&once, &gradient_of(&settings, &lens[..8], 8)) > 0.1);
        }
    }
}

#[test]
fn what_is_computed_again_and_on_how_many_threads_changes_nothing() {
    let (shape, batch) = small();
    let lora = Trained::Lora(LoraSettings { rank: 4, alpha: 8.0, dropout: 0.3, on: LoraOn::Mlp });
    for trained in [Trained::Full, lora] {
        let settings = Settings { precision: Precision::Bf16, ..settings(trained, shape.clone()) };
        let gradients = |settings: Settings, key: u64| {
            let mut decoder = Decoder::open(Path::new(TINY), &settings).unwrap();
            decoder.learn(&batch, key, mean_loss(batch.targets())).unwrap();
            (decoder.gradients().unwrap(), decoder.memory())
        };
        let (kept, most) = gradients(settings.clone(), 5);
        let (again, less) = gradients(Settings { recompute: true, ..settings.clone() }, 5);
        assert!(kept == again && less < most, "{less} bytes where {most} were needed");
        assert!(kept == gradients(Settings { threads: 1, ..settings.clone() }, 5).0);
        // Another key drops other numbers.
        assert_eq!(kept == gradients(settings.clone(), 6).0, settings.trained == Trained::Full);
    }
}

#[test]
fn a_step_after_going_back_is_the_same_step() {
    let (shape, batch) = small();
    for trained in [Trained::Full, lora()] {
        let mut decoder = Decoder::open(Path::new(TINY), &settings(trained.clone(), shape.clone())).unwrap();
        let step = |decoder: &mut Decoder, step| {
            decoder.learn(&batch, step, mean_loss(batch.targets())).unwrap();
            decoder.update(&Update { step, ..Update::default() }).unwrap();
        };
        step(&mut decoder, 1);
        let saved = decoder.save().unwrap();
        step(&mut decoder, 2);
        let second = decoder.save().unwrap();
        let mut other = Decoder::open(Path::new(TINY), &settings(trained, shape.clone())).unwrap();
        other.restore(&saved).unwrap();
        step(&mut other, 2);
        assert!(second == other.save().unwrap() && second != saved);
        let mut renamed = saved.clone();
        renamed[0].name = "other".into();
        assert!(other.restore(&renamed).is_err() && other.restore(&saved[1..]).is_err());
        assert!(second == other.save().unwrap());
    }
}

#[test]
fn the_first_adapter_changes_nothing_and_its_padding_stays_zero() {
    let (shape, batch) = small();
    let mut plain = Decoder::open(Path::new(TINY), &settings(Trained::Full, shape.clone())).unwrap();
    let mut adapted = Decoder::open(Path::new(TINY), &settings(lora(), shape)).unwrap();
    let apart =
        |a: &Readings, b: &Readings| a.logprobs.iter().zip(&b.logprobs).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    let before = plain.read(&batch).unwrap();
    assert!(apart(&before, &adapted.read(&batch).unwrap()) < 1e-4);
    adapted.learn(&batch, 1, mean_loss(batch.targets())).unwrap();
    adapted.update(&Update { lr: 0.1, weight_decay: 0.1, ..Update::default() }).unwrap();
    let after = adapted.read(&batch).unwrap();
    assert!(apart(&before, &after) > 1e-2);
    // Through a file, where there is no padding, and back: the same numbers.
    let saved = adapted.save().unwrap();
    assert!(saved.iter().all(|s| s.dims.contains(&4)));
    adapted.restore(&saved).unwrap();
    assert_eq!(after, adapted.read(&batch).unwrap());
}

#[test]
fn a_gradient_that_is_no_number_changes_no_weight() {
    let (shape, batch) = small();
    let mut decoder = Decoder::open(Path::new(TINY), &settings(lora(), shape)).unwrap();
    let before = decoder.save().unwrap();
    let nan = |readings: &Readings| Coefficients { logprobs: vec![f32::NAN; readings.logprobs.len()], outputs: vec![] };
    decoder.learn(&batch, 1, Box::new(nan)).unwrap();
    assert!(decoder.update(&Update::default()).unwrap().is_nan());
    assert!(decoder.save().unwrap() == before && norm(&decoder.gradients().unwrap()) == 0.0);
    // A loss that panics is an error, and the next computation is not spoiled by it.
    assert!(decoder.learn(&batch, 1, Box::new(|_| unreachable!())).is_err());
    assert!(decoder.learn(&batch, 1, mean_loss(1)).is_ok());
}

#[test]
fn memory_is_known_before_it_is_taken() {
    let (shape, batch) = small();
    for trained in [Trained::Full, lora()] {
        let settings = settings(trained, shape.clone());
        let estimate = estimate(Path::new(TINY), &settings).unwrap();
        let mut decoder = Decoder::open(Path::new(TINY), &settings).unwrap();
        decoder.learn(&batch, 1, mean_loss(1)).unwrap();
        decoder.read(&batch).unwrap();
        let saved: usize = decoder.save().unwrap().iter().map(|one| 3 * size_of_val(one.values.as_slice())).sum();
        let held = decoder.memory() as f64 + saved as f64;
        assert!((estimate.bytes as f64 / held - 1.0).abs() < 0.05, "{} for {held}", estimate.bytes);
        assert_eq!((estimate.parameters, estimate.trained), (decoder.parameters(), decoder.trained_parameters()));
    }
}

#[test]
fn tokens_that_are_none_and_batches_of_nothing_are_refused() {
    let (shape, _) = small();
    let mut decoder = Decoder::open(Path::new(TINY), &settings(lora(), shape.clone())).unwrap();
    let foreign = Document::new(vec![1, 768], vec![false, true]);
    let refused = decoder.read(&Batch::new(&[vec![&foreign]], &shape).unwrap()).unwrap_err();
    insta::assert_snapshot!(refused, @"token 768 is none of the model's 768: these numbers belong to another model or recipe");
    // A batch without targets has no readings and no gradient.
    let mute = Document::new(vec![1, 2, 3], vec![false; 3]);
    let batch = Batch::new(&[vec![&mute]], &shape).unwrap();
    assert_eq!(decoder.learn(&batch, 1, mean_loss(1)).unwrap(), Readings::default());
    assert!(norm(&decoder.gradients().unwrap()) == 0.0);
}
