//! One export: its requests, sent one after the other and repeated where that can help.

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use tokio::time::{Instant, sleep, timeout};

use super::grpc::GrpcSender;
use super::http::HttpSender;
use super::{Protocol, PushError, PushOptions, retry};
use crate::clock::Clock;
use crate::domain::label::ExportResult;

/// What a receiver made of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It took everything.
    Taken,
    /// It took some; what it says of the rest.
    Partly(String),
    /// It took nothing, but may later; why, and how long it wants to be left alone.
    Later(String, Option<Duration>),
    /// It will never take this; why.
    Refused(String),
}

impl Answer {
    /// Reads a response by OTLP's rules for partial success.
    pub(super) fn read(response: ExportMetricsServiceResponse) -> Self {
        match response.partial_success {
            Some(partial) if partial.rejected_data_points > 0 || !partial.error_message.is_empty() => {
                Self::Partly(format!("{} points rejected: {}", partial.rejected_data_points, partial.error_message))
            }
            _ => Self::Taken,
        }
    }
}

/// A client for either transport.
pub(super) enum Sender {
    Http(HttpSender),
    Grpc(Box<GrpcSender>),
}

impl Sender {
    /// Connects only when there is something to send.
    pub(super) fn new(options: &PushOptions, clock: &Arc<dyn Clock>) -> Result<Self, PushError> {
        Ok(match options.protocol {
            Protocol::HttpProtobuf => Self::Http(HttpSender::new(options, Arc::clone(clock))?),
            Protocol::Grpc => Self::Grpc(Box::new(GrpcSender::new(options)?)),
        })
    }

    async fn send(&mut self, request: &ExportMetricsServiceRequest, within: Duration) -> Answer {
        let sent = match self {
            Self::Http(sender) => timeout(within, sender.send(request)).await,
            Self::Grpc(sender) => timeout(within, sender.send(request)).await,
        };
        sent.unwrap_or_else(|_| {
            if let Self::Grpc(sender) = self {
                // The connection may lead nowhere any more, and gRPC would go on using it.
                sender.reconnect();
            }
            Answer::Later(format!("no answer within {within:?}"), None)
        })
    }
}

/// How an export ended.
#[derive(Clone, Debug)]
pub(super) struct Outcome {
    pub(super) result: ExportResult,
    /// What the receiver said, or what was wrong; `None` after a success.
    pub(super) why: Option<String>,
    /// Until when the receiver wants to be left alone.
    pub(super) not_before: Option<Instant>,
}

/// How hard one export tries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Delivery {
    pub(super) deadline: Instant,
    pub(super) timeout: Duration,
    pub(super) first_retry: Duration,
}

impl Delivery {
    /// Sends every request. One that is refused does not keep the others back; one that finds no receiver in time does.
    pub(super) async fn deliver(&self, sender: &mut Sender, requests: &[ExportMetricsServiceRequest]) -> Outcome {
        let (mut taken, mut whole) = (0, true);
        let (mut why, mut not_before) = (None, None);
        for request in requests {
            match self.send(sender, request, &mut not_before).await {
                Answer::Taken => taken += 1,
                Answer::Partly(said) => {
                    (taken, whole) = (taken + 1, false);
                    why.get_or_insert(said);
                }
                Answer::Refused(said) => {
                    whole = false;
                    why.get_or_insert(said);
                }
                Answer::Later(said, _) => {
                    whole = false;
                    why.get_or_insert(said);
                    break;
                }
            }
        }
        let result = match (whole, taken) {
            (true, _) => ExportResult::Success,
            (false, 0) => ExportResult::Failure,
            (false, _) => ExportResult::Partial,
        };
        Outcome { result, why, not_before }
    }

    /// Sends one request until it is answered for good or time is up.
    async fn send(
        &self,
        sender: &mut Sender,
        request: &ExportMetricsServiceRequest,
        not_before: &mut Option<Instant>,
    ) -> Answer {
        let mut failed = 0;
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let answer = sender.send(request, self.timeout.min(left)).await;
            let Answer::Later(_, asked) = &answer else { return answer };
            failed += 1;
            let asked = asked.unwrap_or_default().min(retry::MOST_ASKED);
            let pause = retry::pause(self.first_retry, failed, retry::random()).max(asked);
            if Instant::now() + pause >= self.deadline {
                *not_before = Some(Instant::now() + asked);
                return answer;
            }
            sleep(pause).await;
        }
    }
}
