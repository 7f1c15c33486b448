//! What the formats say of a family before its points.

use prometheus::proto::MetricType;

use crate::domain::catalog::{Family, Kind};

/// A family's head, of the catalog or of the process collector.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head<'a> {
    /// The name in Prometheus: a counter's ends in `_total`.
    pub(super) name: &'a str,
    pub(super) help: &'a str,
    pub(super) kind: Kind,
}

impl<'a> Head<'a> {
    pub(super) const fn of(family: &'a Family) -> Self {
        Self { name: family.name, help: family.help, kind: family.kind }
    }

    /// The head of a family that the crate `prometheus` collected; it has only counters and gauges of the process.
    pub(super) fn collected(family: &'a prometheus::proto::MetricFamily) -> Self {
        let kind = if family.get_field_type() == MetricType::COUNTER { Kind::Counter } else { Kind::Gauge };
        Self { name: family.name(), help: family.help(), kind }
    }

    /// Whether it tells facts by its labels, its value being always 1.
    pub(super) fn is_info(&self) -> bool {
        self.kind == Kind::Gauge && self.name.ends_with("_info")
    }

    /// The name of the family in OpenMetrics, which adds the suffix of the type to the samples, not to the family.
    pub(super) fn base(&self) -> &'a str {
        let suffix = match self.kind {
            Kind::Counter => "_total",
            Kind::Gauge if self.is_info() => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        self.name.strip_suffix(suffix).unwrap_or(self.name)
    }

    /// The unit, where the name has it as its suffix: OpenMetrics allows no other.
    pub(super) fn unit(&self) -> Option<&'static str> {
        ["seconds", "bytes"]
            .into_iter()
            .find(|unit| self.base().strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::catalog::FAMILIES;

    #[test]
    fn names_and_units_follow_from_the_name() {
        let told = |name: &'static str, kind| {
            let head = Head { name, help: "", kind };
            (head.base(), head.unit())
        };
        assert_eq!(told("a_seconds_total", Kind::Counter), ("a_seconds", Some("seconds")));
        assert_eq!(told("a_bytes", Kind::Gauge), ("a_bytes", Some("bytes")));
        assert_eq!(told("a_info", Kind::Gauge), ("a", None));
        assert_eq!(told("seconds", Kind::Gauge), ("seconds", None));
    }

    /// OpenMetrics reserves these endings for samples; and no two families may share a name, `_total` or not.
    #[test]
    fn every_family_has_a_name_of_its_own_in_openmetrics() {
        let mut seen = std::collections::BTreeSet::new();
        for family in FAMILIES {
            let base = Head::of(family).base();
            assert!(seen.insert(base), "{base} twice");
            for ending in ["_total", "_created", "_count", "_sum", "_bucket", "_info", "_gcount", "_gsum"] {
                assert!(!base.ends_with(ending), "{base}");
            }
        }
        assert!(FAMILIES.iter().all(|family| !family.help.is_empty()));
    }
}
