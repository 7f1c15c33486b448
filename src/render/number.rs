//! How numbers are spelt in the two text formats.

use std::io::Write as _;

use crate::domain::time::UnixMillis;

/// Why writing cannot fail.
const TO_MEMORY: &str = "a buffer in memory takes everything";

/// A whole number.
pub(super) fn whole(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Any number: the shortest decimal that is read as the same, never with an exponent.
pub(super) fn float(out: &mut Vec<u8>, value: f64) {
    if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    } else {
        // NaN is spelt as the formats want it.
        write!(out, "{value}").expect(TO_MEMORY);
    }
}

/// An instant in seconds, with no more than the milliseconds that are known.
pub(super) fn instant(out: &mut Vec<u8>, at: UnixMillis) {
    let (sign, millis) = (if at.0 < 0 { "-" } else { "" }, at.0.unsigned_abs());
    let (seconds, fraction) = (millis / 1000, millis % 1000);
    match fraction {
        0 => write!(out, "{sign}{seconds}.0").expect(TO_MEMORY),
        _ => write!(out, "{sign}{seconds}.{fraction:03}").expect(TO_MEMORY),
    }
}

/// A finite bound as OpenMetrics 1.0.0 spells it ("Canonical Numbers"): Go's `%g`, with `.0` where that looks whole, so
/// that a bound is the same label value whoever wrote it.
pub(super) fn canonical(value: f64) -> String {
    // Rust's exponent form has the same shortest digits: `1.2096e6`.
    let scientific = format!("{value:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ if value.fract() == 0.0 => format!("{value}.0"),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spelt(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_have_no_exponent() {
        let spelt = |value| spelt(|out| float(out, value));
        assert_eq!(spelt(f64::NAN), "NaN");
        assert_eq!([spelt(f64::INFINITY), spelt(f64::NEG_INFINITY)], ["+Inf", "-Inf"]);
        assert_eq!([spelt(300.0), spelt(0.25), spelt(1_767_225_600.123)], ["300", "0.25", "1767225600.123"]);
    }

    #[test]
    fn instants_are_exact() {
        let spelt = |millis| spelt(|out| instant(out, UnixMillis(millis)));
        assert_eq!([spelt(1_767_225_600_000), spelt(1_767_225_600_007)], ["1767225600.0", "1767225600.007"]);
        assert_eq!([spelt(0), spelt(-1), spelt(-1500)], ["0.0", "-0.001", "-1.500"]);
    }

    /// The list of the specification, and what lies between.
    #[test]
    fn bounds_are_spelt_canonically() {
        for spelling in [
            "1e-10",
            "1e-09",
            "1e-08",
            "1e-07",
            "1e-06",
            "1e-05",
            "0.0001",
            "0.001",
            "0.002",
            "0.01",
            "0.1",
            "0.9",
            "1.0",
            "9.999",
            "10.0",
            "100.0",
            "1000.0",
            "10000.0",
            "100000.0",
            "604800.0",
            "1e+06",
            "1.2096e+06",
            "1.2345678e+07",
            "1e+08",
            "1e+09",
            "1e+10",
            "0.0",
            "300.0",
            "86400.0",
            "0.00025",
            "2.5e-05",
        ] {
            assert_eq!(canonical(spelling.parse().unwrap()), spelling);
        }
    }
}
