//! What a receiver made of a request, and what it said in doing so.

use std::time::Duration;

use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsPartialSuccess, ExportMetricsServiceResponse};
use serde::Deserialize;

/// What a receiver made of one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It took everything; what it warns of.
    Taken(Option<String>),
    /// It took some; what it says of the rest, which it will never take.
    Partly(String),
    /// It took nothing, but may later; why, and how long it wants to be left alone.
    Later(String, Option<Duration>),
    /// It will never take this; why.
    Refused(String),
    /// It takes nothing of ours as things stand; why. By the specification the request is not repeated; but what is in it
    /// is not to blame, and may go out again when the next export is due.
    Denied(String),
}

impl Answer {
    /// Reads a response by OTLP's rules for partial success: a message without rejected points is a warning.
    pub(super) fn read(response: ExportMetricsServiceResponse) -> Self {
        let ExportMetricsPartialSuccess { rejected_data_points, error_message } =
            response.partial_success.unwrap_or_default();
        if rejected_data_points > 0 {
            Self::Partly(format!("{rejected_data_points} points rejected: {error_message}"))
        } else {
            Self::Taken(Some(error_message).filter(|message| !message.is_empty()))
        }
    }
}

/// `ExportMetricsServiceResponse` in JSON.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct JsonResponse {
    partial_success: Option<JsonPartial>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct JsonPartial {
    rejected_data_points: JsonInteger,
    error_message: Option<String>,
}

/// 64 bits: a string by ProtoJSON, and a number from those who do not know.
#[derive(Deserialize)]
#[serde(untagged)]
enum JsonInteger {
    Number(i64),
    Text(String),
    Null(()),
}

impl Default for JsonInteger {
    fn default() -> Self {
        Self::Null(())
    }
}

/// `google.rpc.Status` in JSON, as far as it is of interest.
#[derive(Deserialize)]
struct JsonStatus {
    message: String,
}

/// The response in a JSON body, if it is one.
pub(super) fn from_json(body: &[u8]) -> Option<ExportMetricsServiceResponse> {
    let response: JsonResponse = serde_json::from_slice(body).ok()?;
    let partial_success = response.partial_success.map(|partial| ExportMetricsPartialSuccess {
        rejected_data_points: match partial.rejected_data_points {
            JsonInteger::Number(number) => number,
            JsonInteger::Text(text) => text.parse().unwrap_or_default(),
            JsonInteger::Null(()) => 0,
        },
        error_message: partial.error_message.unwrap_or_default(),
    });
    Some(ExportMetricsServiceResponse { partial_success })
}

/// The message of a status in a JSON body, if it is one.
pub(super) fn message(body: &[u8]) -> Option<String> {
    serde_json::from_slice(body).ok().map(|status: JsonStatus| status.message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_without_rejected_points_is_a_warning() {
        let read = |rejected_data_points, message: &str| {
            let partial = ExportMetricsPartialSuccess { rejected_data_points, error_message: message.to_owned() };
            Answer::read(ExportMetricsServiceResponse { partial_success: Some(partial) })
        };
        assert_eq!(read(0, "use HTTP/2"), Answer::Taken(Some("use HTTP/2".to_owned())));
        assert_eq!(read(0, ""), Answer::Taken(None));
        assert_eq!(read(2, "too old"), Answer::Partly("2 points rejected: too old".to_owned()));
        assert_eq!(Answer::read(ExportMetricsServiceResponse::default()), Answer::Taken(None));
    }

    #[test]
    fn answers_in_json_are_read() {
        for (body, answer) in [
            ("{}", Answer::Taken(None)),
            (r#"{"partialSuccess":null}"#, Answer::Taken(None)),
            (r#"{"partialSuccess":{}}"#, Answer::Taken(None)),
            (r#"{"partialSuccess":{"errorMessage":"w"},"unknown":[1]}"#, Answer::Taken(Some("w".to_owned()))),
            (
                r#"{"partialSuccess":{"rejectedDataPoints":"3","errorMessage":"e"}}"#,
                Answer::Partly("3 points rejected: e".to_owned()),
            ),
            (r#"{"partialSuccess":{"rejectedDataPoints":3}}"#, Answer::Partly("3 points rejected: ".to_owned())),
        ] {
            assert_eq!(from_json(body.as_bytes()).map(Answer::read), Some(answer), "{body}");
        }
        assert_eq!(from_json(b"ok"), None);
        assert_eq!(message(br#"{"code":3,"message":"bad"}"#).as_deref(), Some("bad"));
    }
}
