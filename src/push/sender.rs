//! A client for either transport.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::answer::Answer;
use super::grpc::GrpcSender;
use super::http::HttpSender;
use super::payload::Payload;
use super::{Protocol, PushError, PushOptions, certificates};
use crate::clock::Clock;
use crate::files;
use crate::tls::TlsTexts;
use crate::unreached::Place;

/// Sends requests, one at a time.
pub(super) struct Sender {
    client: Client,
    /// By which certificates the client was made.
    texts: TlsTexts,
}

enum Client {
    Http(HttpSender),
    Grpc(Box<GrpcSender>),
}

impl Sender {
    /// Connects only when there is something to send.
    pub(super) fn new(options: &PushOptions, clock: &Arc<dyn Clock>) -> Result<Self, PushError> {
        Self::with(options, clock, certificates::read(&options.tls, files::AT_LENGTH)?)
    }

    fn with(options: &PushOptions, clock: &Arc<dyn Clock>, texts: TlsTexts) -> Result<Self, PushError> {
        let client = match options.protocol {
            Protocol::HttpProtobuf | Protocol::HttpJson => {
                Client::Http(HttpSender::new(options, &texts, Arc::clone(clock))?)
            }
            Protocol::Grpc => Client::Grpc(Box::new(GrpcSender::new(options, &texts)?)),
        };
        Ok(Self { client, texts })
    }

    /// A sender by the certificates that stand in the files now, if these are others than before.
    pub(super) async fn renewed(
        &self,
        options: &PushOptions,
        clock: &Arc<dyn Clock>,
    ) -> Result<Option<Self>, PushError> {
        let texts = certificates::look(&options.tls).await?;
        if texts == self.texts { Ok(None) } else { Self::with(options, clock, texts).map(Some) }
    }

    /// Where it sends to.
    pub(super) fn place(&self) -> &Place {
        match &self.client {
            Client::Http(sender) => sender.place(),
            Client::Grpc(sender) => sender.place(),
        }
    }

    pub(super) async fn send(&mut self, payload: &Payload, within: Duration) -> Answer {
        let sent = match (&mut self.client, payload) {
            (Client::Http(sender), Payload::Body(body)) => timeout(within, sender.send(body.clone())).await,
            (Client::Grpc(sender), Payload::Message(message)) => {
                timeout(within, sender.send((**message).clone())).await
            }
            // Both follow from one option.
            _ => return Answer::Refused("the request is packed for another protocol".to_owned()),
        };
        sent.unwrap_or_else(|_| {
            if let Client::Grpc(sender) = &mut self.client {
                // The connection may lead nowhere any more, and gRPC would go on using it.
                sender.reconnect();
            }
            Answer::Later(
                format!("no answer within {within:?}; check otlp.endpoint and the receiver, or raise otlp.timeout"),
                None,
            )
        })
    }
}
