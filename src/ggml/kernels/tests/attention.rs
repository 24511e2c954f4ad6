use super::*;

/// Rows, tokens a row, query heads, key heads, numbers a head: nothing a multiple of anything.
const SIZES: [[usize; 5]; 3] = [[2, 37, 4, 2, 6], [1, 70, 3, 1, 5], [3, 1, 2, 2, 8]];

/// Where the documents of a row begin: three of them, the last one short.
fn starts(rows: usize, len: usize) -> Vec<i32> {
    let start =
        |i: usize| if i < len / 2 { 0 } else { (len / 2).max(if i + 3 < len { 0 } else { len.saturating_sub(3) }) };
    (0..rows * len).map(|place| i32::try_from(start(place % len)).unwrap()).collect()
}

/// softmax(q kᵀ / √d) v, token by token.
fn definition(at: &[Vec<f64>], starts: &[i32], [rows, len, heads, kv_heads, d]: [usize; 5]) -> Vec<f64> {
    let (q, k, v) = (&at[0], &at[1], &at[2]);
    let mut out = vec![0.0; rows * len * heads * d];
    for (row, i, head) in (0..rows).flat_map(|row| (0..len).flat_map(move |i| (0..heads).map(move |h| (row, i, h)))) {
        let kv = head / (heads / kv_heads);
        let query = ((row * len + i) * heads + head) * d;
        let key = |j: usize| ((row * len + j) * kv_heads + kv) * d;
        let seen = usize::try_from(starts[row * len + i]).unwrap()..=i;
        let score = |j: usize| (0..d).map(|c| q[query + c] * k[key(j) + c]).sum::<f64>() / (d as f64).sqrt();
        let powers: Vec<(usize, f64)> = seen.map(|j| (j, score(j).exp())).collect();
        let all: f64 = powers.iter().map(|(_, power)| power).sum();
        for (j, power) in powers {
            (0..d).for_each(|c| out[query + c] += power / all * v[key(j) + c]);
        }
    }
    out
}

fn operands([rows, len, heads, kv_heads, d]: [usize; 5]) -> ([Given; 3], Vec<Vec<f64>>) {
    let of = |heads: usize, seed| (vec![d, heads, rows * len], numbers(rows * len * heads * d, seed));
    let all = [of(heads, 1), of(kv_heads, 2), of(kv_heads, 3)];
    let wide = all.iter().map(|(_, values)| wide(values)).collect();
    (all.map(|(dims, values)| Given::Real(dims, values)), wide)
}

#[test]
fn attention_is_that_of_the_definition_inside_each_document() {
    for sizes in SIZES {
        let ([q, k, v], at) = operands(sizes);
        let starts = starts(sizes[0], sizes[1]);
        let exact = definition(&at, &starts, sizes);
        for kind in [TensorType::F32, TensorType::BF16] {
            let given = [q.clone(), k.clone(), v.clone(), whole(&starts)];
            let (found, _) = computed(&given, |arena, given| {
                Ok(vec![arena.attention([&given[0], &given[1], &given[2]], &given[3], sizes[1], kind)?])
            });
            assert_near(&format!("{sizes:?} {kind}"), &found[0], &exact, room(kind));
        }
    }
}

#[test]
fn its_gradients_are_the_slopes_of_the_definition() {
    for sizes in SIZES {
        let ([q, k, v], at) = operands(sizes);
        let starts = starts(sizes[0], sizes[1]);
        let dy = numbers(at[0].len(), 4);
        let given = [q, k, v, whole(&starts), real(&[dy.len()], &dy)];
        let (found, _) = computed(&given, |arena, given| {
            let qkv = [&given[0], &given[1], &given[2]];
            Ok(arena.attention_back(qkv, &given[3], &given[4], sizes[1])?.to_vec())
        });
        for (operand, name) in ["q", "k", "v"].into_iter().enumerate() {
            let exact = slopes(|at| definition(at, &starts, sizes), &at, operand, &wide(&dy));
            assert_near(&format!("{sizes:?} d{name}"), &found[operand], &exact, F32);
        }
    }
}

/// The negative twin: were documents not kept apart, the first test would fail.
#[test]
#[should_panic(expected = "by definition")]
fn attention_across_documents_is_seen() {
    let sizes = SIZES[0];
    let ([q, k, v], at) = operands(sizes);
    let exact = definition(&at, &starts(sizes[0], sizes[1]), sizes);
    let given = [q, k, v, whole(&vec![0; sizes[0] * sizes[1]])];
    let (found, _) = computed(&given, |arena, given| {
        Ok(vec![arena.attention([&given[0], &given[1], &given[2]], &given[3], sizes[1], TensorType::F32)?])
    });
    assert_near("one document", &found[0], &exact, F32);
}
