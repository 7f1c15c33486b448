//! Short forms of the expressions in a source, written out.
//!
//! Histograms come to Prometheus in buckets (classic), or as native ones alone when they are pushed with `otlp.histograms:
//! exponential`. An expression that knows only one kind says "nobody" where it ought to say "not this way", so each of the
//! forms below asks for both. Prometheus 2.42 reads all of them, and finds nothing where there is no native histogram.

/// What the variables choose; how it is written in a source, and written out.
const CHOSEN: [(&str, &str); 3] = [
    ("{S", r#"{job=~"$job",account=~"$account",team=~"$team",bot=~"$bot""#),
    ("{A", r#"{job=~"$job",account=~"$account""#),
    ("{J", r#"{job=~"$job""#),
];

/// Writes out a short form with these arguments.
type Form = fn(&[&str]) -> String;

/// The short forms, each with what it stands for.
const FORMS: [(&str, Form); 4] =
    [("COUNT_OF", count), ("SUM_OF", sum), ("WITHIN_OF", within), ("QUANTILE_OF", quantile)];

/// The expression as Prometheus reads it.
pub(super) fn expand(expr: &str) -> String {
    CHOSEN.iter().fold(written_out(expr), |expr, (short, long)| expr.replace(short, long))
}

fn written_out(expr: &str) -> String {
    let found = FORMS.iter().filter_map(|(name, form)| Some((expr.find(&format!("{name}("))?, name, form)));
    let Some((at, name, form)) = found.min_by_key(|(at, ..)| *at) else { return expr.to_owned() };
    let inside = at + name.len() + 1;
    let (arguments, length) = arguments(&expr[inside..]);
    format!("{}{}{}", &expr[..at], form(&arguments), written_out(&expr[inside + length..]))
}

/// What stands between commas up to the parenthesis that closes, and the length of all that.
fn arguments(text: &str) -> (Vec<&str>, usize) {
    let (mut found, mut depth, mut begin) = (Vec::new(), 0, 0);
    for (at, character) in text.char_indices() {
        match character {
            '(' | '{' | '[' => depth += 1,
            ')' if depth == 0 => {
                found.push(text[begin..at].trim());
                return (found, at + 1);
            }
            ')' | '}' | ']' => depth -= 1,
            ',' if depth == 0 => {
                found.push(text[begin..at].trim());
                begin = at + 1;
            }
            _ => {}
        }
    }
    panic!("nothing closes {text}")
}

/// A histogram over time, as `increase(name{S}[1h])`, with this after its name.
fn named(histogram: &str, suffix: &str) -> String {
    let (name, rest) = histogram.split_once('{').unwrap_or_else(|| panic!("{histogram} has no selector"));
    format!("{name}{suffix}{{{rest}")
}

/// How many there were, series by series: where both kinds are kept, each is counted once.
fn count(arguments: &[&str]) -> String {
    let [histogram] = arguments else { panic!("COUNT_OF(histogram), not {arguments:?}") };
    format!("({} or histogram_count({histogram}))", named(histogram, "_count"))
}

/// Their sum, series by series.
fn sum(arguments: &[&str]) -> String {
    let [histogram] = arguments else { panic!("SUM_OF(histogram), not {arguments:?}") };
    format!("({} or histogram_sum({histogram}))", named(histogram, "_sum"))
}

/// How many were no longer than a bound, series by series: exact where it is a bound of buckets, estimated from native ones.
/// Of a native histogram that is empty the share is not a number, hence `>= 0`.
fn within(arguments: &[&str]) -> String {
    let [bound, histogram] = arguments else { panic!("WITHIN_OF(bound, histogram), not {arguments:?}") };
    let bucket = named(histogram, "_bucket").replacen('}', &format!(r#",le=~"{bound}(\\.0)?"}}"#), 1);
    format!(
        "(sum without (le) ({bucket}) or (histogram_fraction(0, {bound}, {histogram}) >= 0) * histogram_count({histogram}))"
    )
}

/// A quantile of each group, unless there were fewer than so many in it.
fn quantile(arguments: &[&str]) -> String {
    let [quantile, by, least, histogram] = arguments else {
        panic!("QUANTILE_OF(quantile, by (label), least, histogram), not {arguments:?}")
    };
    let label = by.strip_prefix("by (").and_then(|rest| rest.strip_suffix(')')).expect("by (label) or by ()");
    let group = if label.is_empty() { String::new() } else { format!(" by ({label}) ") };
    let buckets = if label.is_empty() { "le".to_owned() } else { format!("{label}, le") };
    let classic = format!("histogram_quantile({quantile}, sum by ({buckets}) ({}))", named(histogram, "_bucket"));
    let native = format!("histogram_quantile({quantile}, sum{group}({histogram}))");
    if *least == "0" {
        return format!("({classic}\n  or {native})");
    }
    let counted = named(histogram, "_count");
    format!(
        "({classic}\n    and on ({label}) sum{group}({counted}) >= {least}\n  or {native}\n    \
         and on ({label}) histogram_count(sum{group}({histogram})) >= {least})"
    )
}

#[test]
fn short_forms_are_written_out() {
    for (short, long) in [
        ("sum(jelou_up{A,x=\"1\"})", r#"sum(jelou_up{job=~"$job",account=~"$account",x="1"})"#),
        (
            "sum(COUNT_OF(rate(a{J}[5m]))) / sum(SUM_OF(rate(b{J}[5m])))",
            r#"sum((rate(a_count{job=~"$job"}[5m]) or histogram_count(rate(a{job=~"$job"}[5m])))) / sum((rate(b_sum{job=~"$job"}[5m]) or histogram_sum(rate(b{job=~"$job"}[5m]))))"#,
        ),
        (
            "WITHIN_OF(60, rate(a{J}[5m]))",
            r#"(sum without (le) (rate(a_bucket{job=~"$job",le=~"60(\\.0)?"}[5m])) or (histogram_fraction(0, 60, rate(a{job=~"$job"}[5m])) >= 0) * histogram_count(rate(a{job=~"$job"}[5m])))"#,
        ),
        (
            "QUANTILE_OF(0.5, by (), 0, rate(a{}[5m]))",
            "(histogram_quantile(0.5, sum by (le) (rate(a_bucket{}[5m])))\n  or histogram_quantile(0.5, sum(rate(a{}[5m]))))",
        ),
        (
            "topk(3, QUANTILE_OF(0.5, by (bot), 5, rate(a{}[5m])))",
            "topk(3, (histogram_quantile(0.5, sum by (bot, le) (rate(a_bucket{}[5m])))\n    \
             and on (bot) sum by (bot) (rate(a_count{}[5m])) >= 5\n  \
             or histogram_quantile(0.5, sum by (bot) (rate(a{}[5m])))\n    \
             and on (bot) histogram_count(sum by (bot) (rate(a{}[5m]))) >= 5))",
        ),
    ] {
        assert_eq!(expand(short), long);
    }
}
