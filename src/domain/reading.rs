//! What one request to the upstream brought.

use super::conversation::{Conversation, ConversationId};
use super::time::UnixMillis;

/// One row of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Row {
    /// A record that can be counted.
    Conversation(Conversation),
    /// A record without `_id` or a readable `startAt` (rule **rejected**): it alone is lost, and it counts towards the total.
    Rejected(Rejected),
}

/// A row that cannot be counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejected {
    /// What tells it from other rows: its `_id`, or a fingerprint of its bytes.
    pub identity: ConversationId,
    /// What is wrong with it, for the log. Names the field, never a value.
    pub why: &'static str,
}

/// One page of one range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// The rows in the order in which they were listed.
    pub rows: Vec<Row>,
    /// `pagination.total`, when it can be read.
    pub total: Option<u64>,
    /// When the request was sent, by the local clock.
    pub sent_at: UnixMillis,
    /// The upstream's `Date` header.
    pub server_date: Option<UnixMillis>,
}
