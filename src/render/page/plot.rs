//! A distribution drawn by percentile: how long those waited who waited longest.
//!
//! As HDR plots are: percentiles grow towards 100 in steps of equal width for each nine (0, 90, 99, 99.9), and times grow by
//! factors. All plots of a page have the same axes, so that they can be compared.

use crate::domain::distribution::Distribution;

use super::html::Html;
use super::words;

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 116.0;
/// The box of the curve within the picture.
const LEFT: f64 = 44.0;
const RIGHT: f64 = WIDTH - 14.0;
const TOP: f64 = 8.0;
const BOTTOM: f64 = HEIGHT - 18.0;

/// The percentile at the right end is 100 less 100 / 10^NINES: 99.9.
const NINES: f64 = 3.0;
/// Points of a curve at most.
const POINTS: usize = 60;

/// Percentiles that are named on their axis.
const PERCENTILES: [(f64, &str); 5] = [(0.0, "0"), (0.5, "50"), (0.9, "90"), (0.99, "99"), (0.999, "99.9")];

/// Times that are named on theirs, milliseconds.
const TIMES: [(u64, &str); 10] = [
    (1_000, "1 s"),
    (10_000, "10 s"),
    (60_000, "1 min"),
    (600_000, "10 min"),
    (3_600_000, "1 h"),
    (21_600_000, "6 h"),
    (86_400_000, "1 d"),
    (604_800_000, "7 d"),
    (2_592_000_000, "30 d"),
    (31_536_000_000, "1 y"),
];
/// Names on the time axis have at least so much room.
const ROOM: f64 = 11.0;

/// The time axis, shared by all plots of a page.
#[derive(Clone, Copy, Debug)]
pub(super) struct Axis {
    /// The time at the upper end, milliseconds; at the lower end stands the first of [`TIMES`].
    most: u64,
}

impl Axis {
    /// An axis that has room for these times and for the target.
    pub(super) fn over(times: impl IntoIterator<Item = u64>, target: u64) -> Self {
        let most = times.into_iter().fold(target, u64::max);
        let (last, _) = TIMES[TIMES.len() - 1];
        Self { most: TIMES.iter().map(|(at, _)| *at).find(|at| *at >= most && *at >= 60_000).unwrap_or(last) }
    }

    /// Where a time stands; what lies beyond an end stands at it.
    fn y(self, millis: u64) -> f64 {
        let (least, _) = TIMES[0];
        let share =
            (millis.clamp(least, self.most) as f64 / least as f64).ln() / (self.most as f64 / least as f64).ln();
        BOTTOM - share * (BOTTOM - TOP)
    }

    fn ticks(self) -> impl Iterator<Item = (f64, &'static str)> {
        TIMES.iter().take_while(move |(at, _)| *at <= self.most).map(move |(at, name)| (self.y(*at), *name))
    }
}

/// Where a quantile stands.
fn x(quantile: f64) -> f64 {
    let nines = -(1.0 - quantile).log10();
    LEFT + (nines / NINES).clamp(0.0, 1.0) * (RIGHT - LEFT)
}

/// The quantiles of a curve's points. With n times nothing is known beyond 1 - 1/n: there the curve ends.
fn quantiles(count: u64) -> Vec<f64> {
    let last = (count.max(1) as f64).log10().min(NINES);
    (0..=POINTS).map(|point| 1.0 - 10f64.powf(-last * point as f64 / POINTS as f64)).collect()
}

/// The points of the curve, from left to right; none is lower than the one before it.
fn curve(times: &Distribution, axis: Axis) -> Vec<(f64, f64)> {
    let quantiles = quantiles(times.count());
    quantiles.iter().zip(times.quantiles(&quantiles)).map(|(quantile, millis)| (x(*quantile), axis.y(millis))).collect()
}

/// Draws the times of `name`; nothing when there are none.
pub(super) fn draw(out: &mut Html, name: &str, times: &Distribution, target: u64, axis: Axis) {
    if times.count() == 0 {
        return;
    }
    out.raw("<svg class=\"plot\" viewBox=\"0 0 ").text(WIDTH).raw(" ").text(HEIGHT);
    out.raw("\" role=\"img\" aria-label=\"").text(told(name, times, target)).raw("\">");
    for (quantile, label) in PERCENTILES {
        let at = one(x(quantile));
        out.raw("<path class=\"grid\" d=\"M").text(&at).raw(" ").text(TOP).raw("V").text(BOTTOM);
        out.raw("\"/><text class=\"at\" x=\"").text(at).raw("\" y=\"").text(BOTTOM + 13.0);
        out.raw("\">").text(label).raw("</text>");
    }
    let mut free = f64::INFINITY;
    for (y, label) in axis.ticks() {
        level(out, "<path class=\"grid\" d=\"M", y);
        if y <= free {
            out.raw("<text class=\"of\" x=\"")
                .text(LEFT - 5.0)
                .raw("\" y=\"")
                .text(one(y + 3.5))
                .raw("\">")
                .text(label)
                .raw("</text>");
            free = y - ROOM;
        }
    }
    let promised = axis.y(target);
    level(out, "<path class=\"target\" d=\"M", promised);
    line(out, &curve(times, axis));
    // Above its line, or below where there is no room.
    let beside = if promised > TOP + ROOM { promised - 3.0 } else { promised + ROOM };
    out.raw("<text class=\"promised\" x=\"").text(LEFT + 4.0).raw("\" y=\"").text(one(beside)).raw("\">target ");
    out.text(words::duration(target)).raw("</text>");
    out.raw("</svg>");
}

/// A line from side to side.
fn level(out: &mut Html, path: &'static str, y: f64) {
    out.raw(path).text(LEFT).raw(" ").text(one(y)).raw("H").text(RIGHT).raw("\"/>");
}

/// The curve, without the points that lie on the line between their neighbours.
fn line(out: &mut Html, points: &[(f64, f64)]) {
    let (Some((first, y)), Some((last, end))) = (points.first(), points.last()) else { return };
    out.raw("<path class=\"curve\" d=\"M").text(one(*first)).raw(" ").text(one(*y));
    for around in points.windows(3) {
        let is_level = around[0].1 == around[1].1 && around[1].1 == around[2].1;
        if !is_level {
            out.raw("L").text(one(around[1].0)).raw(" ").text(one(around[1].1));
        }
    }
    out.raw("L").text(one(*last)).raw(" ").text(one(*end));
    out.raw("\"/><circle class=\"end\" r=\"2\" cx=\"").text(one(*last)).raw("\" cy=\"").text(one(*end)).raw("\"/>");
}

/// The picture in words.
fn told(name: &str, times: &Distribution, target: u64) -> String {
    let [half, most, nearly] = [0.5, 0.9, 0.99].map(|at| times.quantile(at).map(words::duration).unwrap_or_default());
    let longest = times.extremes().map(|(_, longest)| words::duration(longest)).unwrap_or_default();
    format!(
        "Reply times of {name} by percentile, {}: half within {half}, 90 % within {most}, 99 % within {nearly}, the \
         longest {longest}; the target is {}",
        words::many(times.count(), "reply").replace("replys", "replies"),
        words::duration(target)
    )
}

/// A coordinate with one decimal, as short as it may be.
fn one(coordinate: f64) -> String {
    let told = format!("{coordinate:.1}");
    told.strip_suffix(".0").map(str::to_owned).unwrap_or(told)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::domain::distribution::Layout;
    use crate::domain::time::UnixMillis;

    fn distribution(values: &[u64]) -> Distribution {
        let mut times = Distribution::new(Arc::new(Layout::new([], 3)), UnixMillis(0));
        values.iter().for_each(|value| times.record(*value));
        times
    }

    #[test]
    fn each_nine_is_as_wide_as_the_next() {
        let places = [0.0, 0.9, 0.99, 0.999, 1.0].map(x);
        let third = (RIGHT - LEFT) / 3.0;
        for (place, expected) in places.into_iter().zip([0.0, third, 2.0 * third, 3.0 * third, 3.0 * third]) {
            assert!((place - LEFT - expected).abs() < 1e-6, "{places:?}");
        }
    }

    #[test]
    fn the_axis_ends_with_a_named_time() {
        let ends = [(0, 1), (60_000, 1), (60_001, 1), (1, 500_000), (90_000_000, 1), (u64::MAX, 1)];
        let ends = ends.map(|(longest, target)| Axis::over([longest], target).most);
        assert_eq!(ends, [60_000, 60_000, 600_000, 600_000, 604_800_000, 31_536_000_000]);
        let axis = Axis::over([], 300_000);
        assert_eq!((axis.y(0), axis.y(1000), axis.y(600_000), axis.y(u64::MAX)), (BOTTOM, BOTTOM, TOP, TOP));
        assert_eq!(axis.ticks().last(), Some((TOP, "10 min")));
    }

    #[test]
    fn the_curve_ends_where_the_times_end() {
        let axis = Axis::over([], 300_000);
        let ends = [1, 2, 10, 100, 1000, 5000].map(|count| {
            let values: Vec<u64> = (1..=count).map(|n| n * 100).collect();
            curve(&distribution(&values), axis).last().map(|point| (point.0 - LEFT) / (RIGHT - LEFT))
        });
        let expected = [0.0, 2f64.log10() / 3.0, 1.0 / 3.0, 2.0 / 3.0, 1.0, 1.0];
        for (end, expected) in ends.into_iter().zip(expected) {
            assert!((end.unwrap() - expected).abs() < 1e-6, "{ends:?}");
        }
        assert!(curve(&distribution(&[]), axis).is_empty());
    }

    #[test]
    fn the_picture_is_told_in_words() {
        let told = told("Soporte", &distribution(&[1000, 2000, 60_000]), 300_000);
        assert_eq!(
            told,
            "Reply times of Soporte by percentile, 3 replies: half within 2 s, 90 % within 1 min, 99 % within 1 min, the \
             longest 1 min; the target is 5 min"
        );
    }

    #[test]
    fn a_plot_names_its_axes_and_the_target() {
        let mut out = Html::default();
        draw(&mut out, "a<b", &distribution(&[1000, 90_000_000]), 300_000, Axis::over([90_000_000], 300_000));
        let svg = out.into_string();
        for label in
            [">0<", ">50<", ">90<", ">99<", ">99.9<", ">1 s<", ">1 min<", ">1 h<", ">7 d<", ">target 5 min<", "a&lt;b"]
        {
            assert!(svg.contains(label), "{label}: {svg}");
        }
        assert!(svg.len() < 4000, "{}", svg.len());
    }

    proptest! {
        #[test]
        fn curves_rise_and_stay_in_their_box(values in prop::collection::vec(0..u64::MAX, 1..400), target in 1..u64::MAX) {
            let times = distribution(&values);
            let axis = Axis::over(values.iter().copied(), target);
            let points = curve(&times, axis);
            prop_assert_eq!(points.len(), POINTS + 1);
            for point in &points {
                prop_assert!((LEFT..=RIGHT).contains(&point.0) && (TOP..=BOTTOM).contains(&point.1), "{:?}", point);
            }
            for pair in points.windows(2) {
                prop_assert!(pair[0].0 <= pair[1].0 && pair[0].1 >= pair[1].1, "{:?}", pair);
            }
            prop_assert!((TOP..=BOTTOM).contains(&axis.y(target)));
        }
    }
}
