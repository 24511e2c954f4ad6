use super::*;
use crate::store::training::{Said, TrainingSegment};
use serde_json::json;
use std::collections::BTreeMap;

/// A training run of `made` steps out of 100, as it lies on disk.
pub(super) fn run(made: u64, change: impl FnOnce(&mut TrainingRun)) -> TrainingRun {
    let header = json!({
        "schema": 1, "run": "sft-2026-01-31-1a2b", "status": "complete", "tripos": "0.1.0", "llama_cpp": "b1",
        "features": ["AVX2=1", "SVE=0"], "recipe_name": "sft", "recipe_path": "recipes/sft.yaml",
        "recipe": {"recipe": "sft", "kind": "sft", "optimiser": {"clip": 1.0}}, "recipe_sha256": "ab".repeat(32),
        "flags": {}, "base": {"path": "models/tiny.gguf", "sha256": "cd".repeat(32)},
        "material": {"sources": [], "documents": 1900, "tokens": 60_000, "targets": 20_000, "rows": 240,
                     "held_out_documents": 100, "held_out_tokens": 3000, "held_out_rows": 12, "sha256": "",
                     "held_out_sha256": ""},
        "parameters": 3_200_000, "trained": 160_000, "steps": 100,
        "parity": {"tokens": 512, "f32": 3e-6, "f32_limit": 1e-4, "bf16_limit": 2e-2},
        "memory": {"estimated": 50 << 20},
        "segments": [{"started": "2026-01-31T10:00:00Z", "from_step": 0, "lr": 2e-4, "build": "b", "threads": 2}],
        "started": "2026-01-31T10:00:00Z"
    });
    let steps = (1..=made).map(|step| StepRecord {
        step,
        loss: Some(2.0 / step as f64 + 0.5),
        lr: 2e-4,
        grad_norm: Some(if step % 5 == 0 { 1.5 } else { 0.5 }),
        tokens: 1000,
        targets: 400,
        tokens_per_s: 5000.0,
        peak_mib: Some(80.0),
        elapsed_s: 0.2,
        practice: None,
    });
    let evaluations = (0..=made / 25).map(|at| EvaluationRecord {
        step: at * 25,
        held_out_loss: if at == 4 { 0.9 } else { 2.5 - 0.6 * at as f64 },
        perplexity: Some(3.0),
        accuracy: None,
        best: at < 4,
        says: vec![Said { prompt: "Q: 1 + 1?".into(), completion: if at < 2 { "1".into() } else { format!("{at}!") } }],
        elapsed_s: 0.1,
        scores: BTreeMap::new(),
        left_out: 0,
        run: None,
    });
    let header = serde_json::from_value(header).unwrap();
    let mut run = TrainingRun { header, steps: steps.collect(), evaluations: evaluations.collect() };
    change(&mut run);
    run
}

/// The texts of a page, tags taken out, spaces as one.
fn words(page: &str) -> String {
    let body = page.split_once("<body>").unwrap().1.split("<script").next().unwrap();
    let texts = body.split('<').map(|part| part.split_once('>').map_or(part, |(_, text)| text));
    texts.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_best_evaluation_is_marked_in_the_curve_the_table_and_the_answers() {
    let page = page(&run(100, |_| ()));
    assert!(page.contains("best: 0.700 at step 75"));
    let words = words(&page);
    assert!(words.contains("Held-out loss 0.700 from 2.500, at step 75"), "{words}");
    assert_eq!(words.matches("★ best").count(), 1);
    assert!(words.contains("0–25 1"), "equal answers share a row: {words}");
    assert!(page.contains("clipped above 1"), "gradients lie on both sides of it");
}

#[test]
fn what_is_not_there_is_not_drawn() {
    let none = page(&run(0, |run| run.evaluations.clear()));
    assert!(words(&none).contains("No step has been made yet.") && !none.contains("<figure"));
    let no_memory = page(&run(10, |run| run.steps.iter_mut().for_each(|step| step.peak_mib = None)));
    assert!(!no_memory.contains("peak so far"));
    let unfinished = page(&run(40, |run| run.header.status = Status::Interrupted));
    assert!(words(&unfinished).contains("▲ interrupted: 40 of 100 steps"));
    assert!(unfinished.contains("step 100"), "the planned end is the right end");
    let small = page(&run(100, |run| run.steps.iter_mut().for_each(|step| step.grad_norm = Some(0.1))));
    assert!(!small.contains("clipped above"));
}

#[test]
fn a_loss_that_is_not_finite_is_a_gap_and_said() {
    let page = page(&run(100, |run| {
        run.steps[59].loss = None;
        run.steps[59].grad_norm = None;
    }));
    assert!(words(&page).contains("✗ The loss is not finite at step 60 , at a rate of 2.0e-4."), "{}", words(&page));
    let course = page.split("course one\" d=\"").nth(1).unwrap().split('"').next().unwrap();
    assert_eq!(course.matches('M').count(), 2);
    assert!(!page.contains("NaN"));
}

#[test]
fn a_sitting_and_the_accuracy_of_a_head_are_shown() {
    let page = page(&run(100, |run| {
        run.header.labels = vec!["negative".into(), "positive".into()];
        run.evaluations.iter_mut().for_each(|one| one.accuracy = Some(0.5 + one.step as f64 / 250.0));
        let again = TrainingSegment { from_step: 50, ..run.header.segments[0].clone() };
        run.header.segments.push(again);
    }));
    let words = words(&page);
    assert!(page.contains("went on from step 50") && words.contains("went on 2026-01-31 10:00:00 UTC from step 50"));
    assert!(words.contains("Held-out accuracy") && words.contains("90.0 %") && words.contains("negative, positive"));
}

#[test]
fn no_text_becomes_markup() {
    let evil = "</script><script>window.pwned=1</script><img src=x onerror=\"window.pwned=2\">";
    let page = page(&run(50, |run| {
        run.header.recipe_name = evil.into();
        run.header.recipe["description"] = evil.into();
        run.header.labels = vec![evil.into()];
        for evaluation in &mut run.evaluations {
            evaluation.says = vec![Said { prompt: evil.into(), completion: evil.into() }];
        }
    }));
    assert!(!page.contains("<img") && !page.contains("<script>window"));
    assert_eq!(page.matches("</script>").count(), 2, "the block of figures, and the script");
    for word in ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "fetch(", "</script"] {
        assert!(!SCRIPT.contains(word), "{word}");
    }
    assert!(!STYLE.contains("</style") && !STYLE.contains("url(") && !STYLE.contains("@import"));
}

#[test]
fn a_reward_model_shows_what_it_is_worth_and_answers_stay_texts() {
    let share = |of: &str, value: f64| json!({"of": of, "n": 83, "value": value, "ci": [value - 0.05, value + 0.01]});
    let judging = |beats: bool| {
        json!({
            "mean": 0.1, "std": 1.2, "accuracy": share("all", 0.9), "parts": [share("axis helpful", 0.75)],
            "calibration_error": 0.03, "reliability": [{"low": 0.5, "high": 0.6, "n": 8, "confidence": 0.53, "accuracy": 0.875}],
            "length_correlation": 0.42, "by_length": share("length", 0.94), "beats_length": beats,
            "mistakes": [{"prompt": "Q", "chosen": "a", "rejected": "<img src=x onerror=alert(1)>", "confidence": 0.97}],
        })
    };
    let of = |beats: bool| {
        page(&run(100, |run| {
            run.header.outcome = serde_json::from_value(json!({
                "stop": "steps", "steps": 100, "exported_step": 75, "output": {"path": "a.gguf", "sha256": ""},
                "judging": judging(beats),
            }))
            .unwrap();
        }))
    };
    let (page, warned) = (of(true), words(&of(false)));
    assert!(page.contains("&lt;img src=x onerror=alert(1)&gt;") && !page.contains("<img"));
    let words = words(&page);
    for text in [
        "all 90.0 % 85.0 % to 91.0 % 83",
        "axis helpful 75.0 %",
        "0.5 to 0.6 53.0 % 87.5 % 8",
        "r +0.42",
        "Sure and wrong, 97.0 %",
    ] {
        assert!(words.contains(text), "{text}: {words}");
    }
    assert!(warned.contains("Length alone may do as well") && !words.contains("Length alone may do"));
}
