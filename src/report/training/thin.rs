//! Curves of many steps in few points, and a curve's course without its noise.

/// A value at a step; `None` where it is not finite.
pub(super) type Point = (u64, Option<f64>);

/// Places across a curve; each keeps its first, least, greatest and last point, so that a spike stays to be seen.
const PLACES: usize = 400;

/// Fewer points than this are no noise to be taken out.
const FEW: usize = 40;

/// At most four points for each of [`PLACES`]; gaps stay gaps.
pub(super) fn thinned(points: &[Point]) -> Vec<Point> {
    let size = points.len().div_ceil(PLACES);
    if size <= 4 {
        return points.to_vec();
    }
    let mut kept = Vec::new();
    for place in points.chunks(size) {
        let value = |at: usize| place.get(at).and_then(|point| point.1);
        let known = || (0..place.len()).filter_map(|at| Some((at, value(at)?)));
        let least = known().min_by(|a, b| a.1.total_cmp(&b.1)).map(|(at, _)| at);
        let most = known().max_by(|a, b| a.1.total_cmp(&b.1)).map(|(at, _)| at);
        let gap = (0..place.len()).find(|at| value(*at).is_none());
        let mut own: Vec<usize> = [Some(0), least, most, gap, Some(place.len() - 1)].into_iter().flatten().collect();
        own.sort_unstable();
        own.dedup();
        kept.extend(own.into_iter().filter_map(|at| place.get(at).copied()));
    }
    kept
}

/// The exponential moving average, without the bias of its beginning (Kingma & Ba 2015, section 3), over about a
/// fortieth of the points: `m_t = β·m_{t−1} + (1−β)·x_t`, shown as `m_t / (1 − β^t)`. `None` for few points.
pub(super) fn smoothed(points: &[Point]) -> Option<Vec<Point>> {
    if points.len() < FEW {
        return None;
    }
    let beta = 1.0 - 2.0 / (points.len() as f64 / 40.0 + 1.0).clamp(3.0, 100.0);
    let (mut mean, mut weight) = (0.0, 0.0);
    let course = points.iter().map(|(step, value)| {
        if let Some(value) = value {
            mean = beta * mean + (1.0 - beta) * value;
            weight = beta * weight + (1.0 - beta);
        }
        (*step, value.map(|_| mean / weight))
    });
    Some(course.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spike_a_gap_and_both_ends_survive_thinning() {
        let mut points: Vec<Point> = (1..=50_000).map(|step| (step, Some((step % 7) as f64))).collect();
        points[33_333].1 = Some(99.0);
        points[44_444].1 = None;
        let few = thinned(&points);
        assert!(few.len() <= PLACES * 5 && few.len() > PLACES);
        assert!(few.contains(&(33_334, Some(99.0))) && few.contains(&(44_445, None)));
        assert_eq!((few.first(), few.last()), (points.first(), points.last()));
        assert!(few.is_sorted_by_key(|point| point.0));
        assert_eq!(thinned(&points[..1000]), points[..1000]);
    }

    #[test]
    fn the_course_of_a_constant_is_that_constant_and_noise_goes() {
        let flat: Vec<Point> = (1..=100).map(|step| (step, Some(2.0))).collect();
        assert!(smoothed(&flat).unwrap().iter().all(|(_, value)| (value.unwrap() - 2.0).abs() < 1e-12));
        let noisy: Vec<Point> = (1..=400).map(|step| (step, Some(if step % 2 == 0 { 1.0 } else { 3.0 }))).collect();
        let course = smoothed(&noisy).unwrap();
        assert!(course[100..].iter().all(|(_, value)| (value.unwrap() - 2.0).abs() < 0.2));
        assert!(smoothed(&flat[..10]).is_none());
    }
}
