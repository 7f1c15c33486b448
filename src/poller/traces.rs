//! Traces of the poller's own work: a span a poll, and within it one for each request, fold and commit.
//!
//! Nothing of a conversation and no secret is told: what was asked for, how long it took, and how it ended.

use std::fmt::Display;
use std::sync::Arc;

use opentelemetry::global::{BoxedSpan, BoxedTracer};
use opentelemetry::trace::noop::NoopTracer;
use opentelemetry::trace::{Span as _, SpanBuilder, SpanKind, Status, TraceContextExt, Tracer};
use opentelemetry::{Context, KeyValue, Value};

use crate::domain::label::LabelValue;
use crate::domain::time::Range;
use crate::jelou::ApiError;

/// Where spans are made, and the poll that they belong to.
#[derive(Clone, Debug)]
pub struct Traces {
    tracer: Arc<BoxedTracer>,
    poll: Context,
}

impl Traces {
    /// Spans of this tracer.
    pub fn new(tracer: BoxedTracer) -> Self {
        Self { tracer: Arc::new(tracer), poll: Context::new() }
    }

    /// No spans.
    pub fn off() -> Self {
        Self::new(BoxedTracer::new(Box::new(NoopTracer::new())))
    }

    /// A poll begins: what is made from here on belongs to it.
    pub(super) fn poll(&self) -> Self {
        let span = self.tracer.build_with_context(SpanBuilder::from_name("poll"), &Context::new());
        Self { tracer: Arc::clone(&self.tracer), poll: Context::new().with_span(span) }
    }

    /// Ends the poll's span: what it came to, and the kind of its failure.
    pub(super) fn end_poll(
        &self,
        counts: impl IntoIterator<Item = (&'static str, u64)>,
        failure: Option<&'static str>,
    ) {
        let span = self.poll.span();
        for (name, count) in counts {
            span.set_attribute(KeyValue::new(name, signed(count)));
        }
        if let Some(kind) = failure {
            span.set_attribute(KeyValue::new("error.type", kind));
            span.set_status(Status::error(kind));
        }
        span.end();
    }

    /// A request for a page begins, the `attempt`-th of its kind (from 0).
    pub(super) fn request(&self, range: Range, page: u32, attempt: u32) -> RequestSpan {
        let attributes = vec![
            KeyValue::new("jelou.range.start", range.start),
            KeyValue::new("jelou.range.end", range.end),
            KeyValue::new("jelou.page", i64::from(page)),
            // The name that the semantic conventions of OpenTelemetry give it.
            KeyValue::new("http.request.resend_count", i64::from(attempt)),
        ];
        let builder = SpanBuilder::from_name("request").with_kind(SpanKind::Client).with_attributes(attributes);
        RequestSpan(self.tracer.build_with_context(builder, &self.poll))
    }

    /// A step within the poll; it ends when it is dropped.
    pub(super) fn step(&self, name: &'static str) -> StepSpan {
        StepSpan(self.tracer.build_with_context(SpanBuilder::from_name(name), &self.poll))
    }
}

/// The span of a request.
pub(super) struct RequestSpan(BoxedSpan);

impl RequestSpan {
    /// The page came, with so many rows.
    pub(super) fn answered(mut self, rows: usize) {
        self.0.set_attribute(KeyValue::new("http.response.status_code", 200));
        self.0.set_attribute(KeyValue::new("jelou.rows", signed(rows as u64)));
    }

    /// It failed. What the upstream says of it may name anything, so only the kind is told.
    pub(super) fn failed(mut self, error: &ApiError) {
        if let Some(status) = error.http_status() {
            self.0.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        }
        let outcome = error.outcome().text();
        self.0.set_attribute(KeyValue::new("error.type", outcome));
        self.0.set_status(Status::error(outcome));
    }
}

/// The span of a step.
pub(super) struct StepSpan(BoxedSpan);

impl StepSpan {
    /// How much there was of something.
    pub(super) fn count(&mut self, name: &'static str, count: usize) {
        self.0.set_attribute(KeyValue::new(name, signed(count as u64)));
    }

    /// The step failed.
    pub(super) fn failed(&mut self, why: &dyn Display) {
        self.0.set_status(Status::error(why.to_string()));
    }
}

fn signed(count: u64) -> Value {
    Value::I64(i64::try_from(count).unwrap_or(i64::MAX))
}
