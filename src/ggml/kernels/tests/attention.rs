use super::*;

/// Rows, tokens a row, query heads, key heads, numbers a head: nothing a multiple of anything.
const SIZES: [[usize; 5]; 3] = [[2, 37, 4, 2, 6], [1, 70, 3, 1, 5], [3, 1, 2, 2, 8]];

/// What each token sees: where its document begins, and which part of it is hidden.
fn seen(rows: usize, len: usize, branches: bool) -> Vec<i32> {
    let view = |place: usize| {
        let (begin, i) = (start(place % len, len), place % len);
        // Trunks of three tokens, branches of five, each of which hides those before it.
        let (trunk, inside) = (begin + 3, i.saturating_sub(begin + 3) / 5 * 5);
        let hidden = if branches && i >= trunk { [trunk, trunk + inside] } else { [begin, begin] };
        [begin, hidden[0], hidden[1]].map(|n| i32::try_from(n).unwrap())
    };
    (0..rows * len).flat_map(view).collect()
}

/// Where the document of a token begins: three in a row, the last one short.
fn start(i: usize, len: usize) -> usize {
    [len.saturating_sub(3), len / 2].into_iter().find(|begin| i >= *begin).unwrap_or(0)
}

/// softmax(q kᵀ / √d) v, token by token.
fn definition(at: &[Vec<f64>], seen: &[i32], [rows, len, heads, kv_heads, d]: [usize; 5]) -> Vec<f64> {
    let (q, k, v) = (&at[0], &at[1], &at[2]);
    let mut out = vec![0.0; rows * len * heads * d];
    for (row, i, head) in (0..rows).flat_map(|row| (0..len).flat_map(move |i| (0..heads).map(move |h| (row, i, h)))) {
        let kv = head / (heads / kv_heads);
        let query = ((row * len + i) * heads + head) * d;
        let key = |j: usize| ((row * len + j) * kv_heads + kv) * d;
        let view = [0, 1, 2].map(|n| usize::try_from(seen[3 * (row * len + i) + n]).unwrap());
        let seen = (view[0]..=i).filter(|j| !(view[1]..view[2]).contains(j));
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
fn attention_is_that_of_the_definition_inside_each_document_and_branch() {
    for (sizes, branches) in SIZES.into_iter().flat_map(|sizes| [(sizes, false), (sizes, true)]) {
        let ([q, k, v], at) = operands(sizes);
        let seen = seen(sizes[0], sizes[1], branches);
        let exact = definition(&at, &seen, sizes);
        for kind in [TensorType::F32, TensorType::BF16] {
            let given = [q.clone(), k.clone(), v.clone(), whole(&seen)];
            let (found, _) = computed(&given, |arena, given| {
                Ok(vec![arena.attention([&given[0], &given[1], &given[2]], &given[3], sizes[1], kind)?])
            });
            assert_near(&format!("{sizes:?} {kind}"), &found[0], &exact, room(kind));
        }
    }
}

#[test]
fn its_gradients_are_the_slopes_of_the_definition() {
    for (sizes, branches) in SIZES.into_iter().flat_map(|sizes| [(sizes, false), (sizes, true)]) {
        let ([q, k, v], at) = operands(sizes);
        let seen = seen(sizes[0], sizes[1], branches);
        let dy = numbers(at[0].len(), 4);
        let given = [q, k, v, whole(&seen), real(&[dy.len()], &dy)];
        let (found, _) = computed(&given, |arena, given| {
            let qkv = [&given[0], &given[1], &given[2]];
            Ok(arena.attention_back(qkv, &given[3], &given[4], sizes[1])?.to_vec())
        });
        for (operand, name) in ["q", "k", "v"].into_iter().enumerate() {
            let exact = slopes(|at| definition(at, &seen, sizes), &at, operand, &wide(&dy));
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
    let exact = definition(&at, &seen(sizes[0], sizes[1], false), sizes);
    let given = [q, k, v, whole(&vec![0; 3 * sizes[0] * sizes[1]])];
    let (found, _) = computed(&given, |arena, given| {
        Ok(vec![arena.attention([&given[0], &given[1], &given[2]], &given[3], sizes[1], TensorType::F32)?])
    });
    assert_near("one document", &found[0], &exact, F32);
}

/// The negative twin of branches.
#[test]
#[should_panic(expected = "by definition")]
fn attention_across_branches_is_seen() {
    let sizes = SIZES[0];
    let ([q, k, v], at) = operands(sizes);
    let exact = definition(&at, &seen(sizes[0], sizes[1], true), sizes);
    let given = [q, k, v, whole(&seen(sizes[0], sizes[1], false))];
    let (found, _) = computed(&given, |arena, given| {
        Ok(vec![arena.attention([&given[0], &given[1], &given[2]], &given[3], sizes[1], TensorType::F32)?])
    });
    assert_near("one text", &found[0], &exact, F32);
}
