//! Closed sets of label values, and counts kept for each.

use std::marker::PhantomData;

/// A value of a label that has a closed set of values.
pub trait LabelValue: Copy + 'static {
    /// Every value, in the order in which they are shown.
    const ALL: &'static [Self];

    /// The value of the label.
    fn text(self) -> &'static str;

    /// Where the value stands in [`LabelValue::ALL`].
    fn index(self) -> usize;
}

/// A closed set of label values: an enum whose variants know how the upstream and the metrics spell them.
macro_rules! label_values {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            /// Every value, in the order in which they are shown.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// How it is spelt.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }

            /// The value that is spelt so, in upper or lower case, whatever white space is around it.
            pub fn named(text: &str) -> Option<Self> {
                let all = || Self::ALL.iter().copied();
                // Nearly always it is spelt as we spell it, and that is quicker to see.
                all().find(|value| value.as_str() == text).or_else(|| {
                    let text = text.trim();
                    all().find(|value| value.as_str().eq_ignore_ascii_case(text))
                })
            }
        }

        impl $crate::domain::label::LabelValue for $name {
            const ALL: &'static [Self] = Self::ALL;
            fn text(self) -> &'static str {
                self.as_str()
            }
            fn index(self) -> usize {
                self as usize
            }
        }
    };
}
pub(crate) use label_values;

/// One count for each value of a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tally<K> {
    counts: Box<[u64]>,
    key: PhantomData<K>,
}

impl<K: LabelValue> Default for Tally<K> {
    fn default() -> Self {
        Self { counts: vec![0; K::ALL.len()].into_boxed_slice(), key: PhantomData }
    }
}

impl<K: LabelValue> Tally<K> {
    /// Counts one.
    pub fn count(&mut self, key: K) {
        self.add(key, 1);
    }

    /// Counts several at once.
    pub fn add(&mut self, key: K, many: u64) {
        self.counts[key.index()] += many;
    }

    /// What was counted for this value.
    pub fn get(&self, key: K) -> u64 {
        self.counts[key.index()]
    }

    /// What was counted for all values together.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// What was counted since it held what `earlier` holds.
    pub fn since(&self, earlier: &Self) -> Self {
        let counts = self.counts.iter().zip(&earlier.counts).map(|(now, before)| now.saturating_sub(*before));
        Self { counts: counts.collect(), key: PhantomData }
    }

    /// Every value with its count, zeros included.
    pub fn iter(&self) -> impl Iterator<Item = (K, u64)> + '_ {
        K::ALL.iter().map(|key| (*key, self.get(*key)))
    }
}

label_values! {
    /// How a poll ended.
    PollResult {
        /// The newest stretch and every due unsettled stretch were walked completely and committed.
        Success = "success",
        /// Anything less.
        Failure = "failure",
    }
}

label_values! {
    /// How a walk ended.
    WalkResult {
        /// It showed all that the upstream said there is.
        Complete = "complete",
        /// It reached the end, but some records slipped between the pages.
        Incomplete = "incomplete",
        /// A request failed for good.
        Failed = "failed",
    }
}

label_values! {
    /// What became of a row that was read.
    RecordResult {
        /// Seen for the first time.
        New = "new",
        /// Something that is tracked differs from the last reading.
        Changed = "changed",
        /// As it was.
        Unchanged = "unchanged",
        /// Without `_id` or a readable `startAt`.
        Rejected = "rejected",
    }
}

label_values! {
    /// What changed after it had been counted.
    AmendedField {
        /// `timeRepliedOperator`.
        ReplyTime = "reply_time",
        /// `conversationDuration`.
        Duration = "duration",
        /// Bot or team.
        Labels = "labels",
        /// Whether the reply target was met.
        Decision = "decision",
    }
}

label_values! {
    /// A field that bore a value which the exporter does not know.
    UnknownField {
        /// `state`.
        State = "state",
        /// `endedReason`.
        Reason = "reason",
        /// `origin`.
        Origin = "origin",
    }
}

label_values! {
    /// How a request to the upstream ended.
    Outcome {
        /// A page that could be read.
        Ok = "ok",
        /// 401 and 403.
        Unauthorized = "unauthorized",
        /// 429.
        RateLimited = "rate_limited",
        /// Other 4xx.
        InvalidRequest = "invalid_request",
        /// 5xx.
        ServerError = "server_error",
        /// No whole answer in time.
        Timeout = "timeout",
        /// No connection, or it broke.
        Connect = "connect",
        /// An answer that cannot be read.
        BadBody = "bad_body",
    }
}

label_values! {
    /// How an OTLP export ended.
    ExportResult {
        /// The receiver took everything.
        Success = "success",
        /// The receiver rejected some data points.
        Partial = "partial",
        /// The receiver took nothing.
        Failure = "failure",
    }
}

label_values! {
    /// Why the web server closed a connection before its time.
    HttpDrop {
        /// To make room for a newer one.
        Crowded = "crowded",
        /// The TLS handshake failed.
        Handshake = "handshake",
        /// The TLS handshake took too long.
        HandshakeTimeout = "handshake_timeout",
        /// The headers of a request took too long.
        HeaderTimeout = "header_timeout",
        /// An answer took too long, or was taken too slowly.
        RequestTimeout = "request_timeout",
    }
}

label_values! {
    /// Severity of a log message.
    LogLevel {
        /// Something is wrong and needs someone.
        Error = "error",
        /// Something is odd or failed for now.
        Warn = "warn",
        /// The normal course of things.
        Info = "info",
        /// Detail for finding a fault.
        Debug = "debug",
        /// All detail.
        Trace = "trace",
    }
}
