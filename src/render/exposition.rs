//! What a scrape gets: a snapshot in one of three formats.
//!
//! It comes in two parts. What stands still while a snapshot is shown is encoded once ([`kept`]); what moves between
//! snapshots, and the kernel's figures of the process, are encoded for each scrape ([`fresh`]) and follow it.

use prometheus::proto::MetricFamily;

use super::family::Head;
use super::lines::{Dialect, Lines};
use super::protobuf::Protobuf;
use crate::domain::catalog::{FAMILIES, Family, FamilyId, Kind};
use crate::domain::snapshot::{Live, Point, Snapshot, Value};

/// A format of the metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4.
    Text,
    /// OpenMetrics 1.0.0 text: exemplars, units, start times if wanted.
    OpenMetrics,
    /// Prometheus protobuf, delimited: native histograms, exemplars, start times.
    Protobuf,
}

impl Format {
    /// Every format; where a client does not care, the first is best.
    pub const ALL: [Self; 3] = [Self::Text, Self::OpenMetrics, Self::Protobuf];

    /// What a client is told that it gets.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// What the formats leave open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `_created` lines in OpenMetrics.
    pub openmetrics_created: bool,
}

/// One format's way to write families, each in one piece.
pub(super) trait Encoder {
    /// A family begins; it has a point.
    fn begin(&mut self, head: &Head<'_>);
    /// A point of the family that began last.
    fn point(&mut self, head: &Head<'_>, point: &Point<'_>);
    /// The family is over.
    fn end(&mut self, head: &Head<'_>);
    /// All families have been written.
    fn finish(&mut self);
    /// What is ready to be given out; whoever takes it clears it.
    fn written(&mut self) -> &mut Vec<u8>;
}

/// How much is written before it is handed on: what is large never stands in memory twice.
const PIECE: usize = 64 << 10;

fn encoder(format: Format, options: Options) -> Box<dyn Encoder> {
    match format {
        Format::Text => Box::new(Lines::new(Dialect::Text)),
        Format::OpenMetrics => Box::new(Lines::new(Dialect::OpenMetrics { created: options.openmetrics_created })),
        Format::Protobuf => Box::new(Protobuf::default()),
    }
}

/// Everything that stands still while the snapshot is shown, handed to `give` piece by piece. It is a whole exposition
/// only with what [`fresh`] adds.
pub fn kept(format: Format, options: Options, snapshot: &Snapshot, give: &mut dyn FnMut(&[u8])) {
    let mut encoder = encoder(format, options);
    let live = Live::default();
    for family in FAMILIES.iter().filter(|family| !is_live(family.id)) {
        write_family(&mut *encoder, family, snapshot, &live, give);
    }
    give(encoder.written());
}

/// What moves between snapshots: the web server, the log and pushing, and `process` as the crate `prometheus` collects it.
pub fn fresh(format: Format, options: Options, snapshot: &Snapshot, live: &Live, process: &[MetricFamily]) -> Vec<u8> {
    let mut encoder = encoder(format, options);
    let mut out = Vec::new();
    for family in FAMILIES.iter().filter(|family| is_live(family.id)) {
        write_family(&mut *encoder, family, snapshot, live, &mut |piece| out.extend_from_slice(piece));
    }
    for family in process {
        write_collected(&mut *encoder, family, snapshot);
    }
    encoder.finish();
    out.append(encoder.written());
    out
}

const fn is_live(id: FamilyId) -> bool {
    use FamilyId::{
        ConfigReloadSuccess, ConfigReloadSuccessful, HttpDropped, HttpRequests, LogMessages, OtlpExports,
        OtlpLastSuccess,
    };
    matches!(
        id,
        OtlpExports
            | OtlpLastSuccess
            | ConfigReloadSuccessful
            | ConfigReloadSuccess
            | HttpRequests
            | HttpDropped
            | LogMessages
    )
}

/// The family, or nothing when it has no point.
fn write_family(
    encoder: &mut dyn Encoder,
    family: &Family,
    snapshot: &Snapshot,
    live: &Live,
    give: &mut dyn FnMut(&[u8]),
) {
    let head = Head::of(family);
    let mut begun = false;
    snapshot.visit(family, live, &mut |point| {
        if !begun {
            encoder.begin(&head);
            begun = true;
        }
        encoder.point(&head, &point);
        hand_on(encoder, give);
    });
    if begun {
        encoder.end(&head);
        hand_on(encoder, give);
    }
}

/// Gives away what is ready, if that is enough to be worth it.
fn hand_on(encoder: &mut dyn Encoder, give: &mut dyn FnMut(&[u8])) {
    let written = encoder.written();
    if written.len() >= PIECE {
        give(written);
        written.clear();
    }
}

/// A family of the process collector: one number without labels. What the kernel counts begins with the process.
fn write_collected(encoder: &mut dyn Encoder, family: &MetricFamily, snapshot: &Snapshot) {
    let head = Head::collected(family);
    let counts = head.kind == Kind::Counter;
    encoder.begin(&head);
    for metric in family.get_metric() {
        let value = if counts { metric.get_counter().get_value() } else { metric.get_gauge().get_value() };
        let start = counts.then_some(snapshot.own.process_start);
        encoder.point(&head, &Point { labels: &[], value: Value::Number(value), start });
    }
    encoder.end(&head);
}

#[cfg(test)]
mod tests;
