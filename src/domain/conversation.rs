//! One conversation as the upstream listed it, cut down to what is counted.
//!
//! Nothing that identifies a customer or an operator has a field here, so nothing of the kind can leak further on.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::label::label_values;
use super::time::UnixMillis;

/// The `_id` of a record, small and cheap to clone. It leaves the process only in exemplars and at debug level.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConversationId(Spelling);

/// A ledger of a million conversations is mostly their ids: those that the upstream's database makes take 12 bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Spelling {
    /// An ObjectId of MongoDB, spelt as 24 lower-case hexadecimal digits.
    Object([u8; OBJECT_BYTES]),
    /// Whatever else. The pointer is a thin one, so that the other kind needs no more room for its sake.
    Text(Arc<Box<str>>),
}

const OBJECT_BYTES: usize = 12;

/// Room to spell an id in, see [`ConversationId::spell`].
pub type SpellingRoom = [u8; 2 * OBJECT_BYTES];

impl ConversationId {
    /// The identifier as the upstream spells it, written to `room` if it is not kept as text.
    pub fn spell<'a>(&'a self, room: &'a mut SpellingRoom) -> &'a str {
        match &self.0 {
            Spelling::Text(text) => text,
            Spelling::Object(bytes) => {
                for (digits, byte) in room.chunks_exact_mut(2).zip(bytes) {
                    digits.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
                }
                std::str::from_utf8(room).unwrap_or_default()
            }
        }
    }

    /// How many Unicode code points the identifier has.
    pub fn code_points(&self) -> usize {
        match &self.0 {
            Spelling::Object(bytes) => 2 * bytes.len(),
            Spelling::Text(text) => text.chars().count(),
        }
    }
}

const DIGITS: &[u8; 16] = b"0123456789abcdef";

fn object_bytes(text: &str) -> Option<[u8; OBJECT_BYTES]> {
    let digits: &SpellingRoom = text.as_bytes().try_into().ok()?;
    let (mut bytes, mut invalid) = ([0; OBJECT_BYTES], 0);
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let (high, low) = (DIGIT_VALUES[usize::from(pair[0])], DIGIT_VALUES[usize::from(pair[1])]);
        invalid |= high | low;
        *byte = high << 4 | low & 15;
    }
    // One look at the end is quicker than one at each digit.
    (invalid < NO_DIGIT).then_some(bytes)
}

const NO_DIGIT: u8 = 0x10;
/// What a byte stands for as a lower-case hexadecimal digit; upper case is another spelling, hence another id.
const DIGIT_VALUES: [u8; 256] = {
    let mut values = [NO_DIGIT; 256];
    let mut digit = 0;
    while digit < DIGITS.len() {
        values[DIGITS[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

impl From<&str> for ConversationId {
    fn from(id: &str) -> Self {
        Self(object_bytes(id).map_or_else(|| Spelling::Text(Arc::new(id.into())), Spelling::Object))
    }
}

impl Hash for ConversationId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.0 {
            // As numbers, which hashers take in fewer steps than bytes. The two kinds need not be told apart.
            Spelling::Object([a, b, c, d, rest @ ..]) => {
                state.write_u64(u64::from_ne_bytes(*rest));
                state.write_u32(u32::from_ne_bytes([*a, *b, *c, *d]));
            }
            Spelling::Text(text) => text.hash(state),
        }
    }
}

impl fmt::Display for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.spell(&mut [0; 2 * OBJECT_BYTES]))
    }
}

impl fmt::Debug for ConversationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\"{self}\"")
    }
}

label_values! {
    /// `state` of a record.
    State {
        /// Not over yet. Never a value of the `state` label.
        Active = "active",
        /// Closed by someone.
        Closed = "closed",
        /// Marked as solved.
        Resolved = "resolved",
        /// Ran into the time limit.
        Expired = "expired",
        /// Handed to another operator or team; the record of this stint ends.
        Transferred = "transferred",
        /// Handed on by a rule.
        AutoTransfer = "auto_transfer",
        /// Whatever the exporter does not know (yet), a missing state included.
        Other = "other",
    }
}

label_values! {
    /// `endedReason` of a record.
    Reason {
        /// An operator closed it.
        ClosedByOperator = "closed_by_operator",
        /// A rule transferred it.
        ClosedByAutoTransfer = "closed_by_auto_transfer",
        /// Ran into the time limit.
        Expired = "expired",
        /// Handed on.
        Transferred = "transferred",
        /// Null, empty or missing.
        None = "none",
        /// Whatever the exporter does not know (yet).
        Other = "other",
    }
}

label_values! {
    /// `origin` of a record: what opened the conversation.
    Origin {
        /// The customer wrote.
        Organic = "organic",
        /// A ticket was opened.
        Ticket = "ticket",
        /// A mass message was answered.
        Broadcast = "broadcast",
        /// Induced, without saying by whom.
        Induced = "induced",
        /// Induced by the system.
        InducedBySystem = "induced_by_system",
        /// Induced by an administrator.
        InducedByAdmin = "induced_by_admin",
        /// Induced by an operator: no customer is waiting.
        InducedByOperator = "induced_by_operator",
        /// Handed over by another operator.
        Transfer = "transfer",
        /// Handed over by a rule.
        AutomaticTransfer = "automatic_transfer",
        /// Opened from a closed one.
        Closed = "closed",
        /// Null, empty or missing.
        None = "none",
        /// Whatever the exporter does not know (yet).
        Other = "other",
    }
}

impl State {
    /// Reads the field of a record; a missing or unknown state is [`State::Other`].
    pub fn read(text: Option<&str>) -> Self {
        text.and_then(Self::named).unwrap_or(Self::Other)
    }

    /// Whether this state says that the stint was handed on.
    pub const fn is_transfer(self) -> bool {
        matches!(self, Self::Transferred | Self::AutoTransfer)
    }
}

impl Reason {
    /// Reads the field of a record: missing or empty is [`Reason::None`], unknown [`Reason::Other`].
    pub fn read(text: Option<&str>) -> Self {
        let nothing_known = |text: &str| if text.trim().is_empty() { Self::None } else { Self::Other };
        text.map_or(Self::None, |text| Self::named(text).unwrap_or_else(|| nothing_known(text)))
    }

    /// Whether this reason says that the stint was handed on.
    pub const fn is_transfer(self) -> bool {
        matches!(self, Self::Transferred | Self::ClosedByAutoTransfer)
    }
}

impl Origin {
    /// Reads the field of a record: missing or empty is [`Origin::None`], unknown [`Origin::Other`].
    pub fn read(text: Option<&str>) -> Self {
        let nothing_known = |text: &str| if text.trim().is_empty() { Self::None } else { Self::Other };
        text.map_or(Self::None, |text| Self::named(text).unwrap_or_else(|| nothing_known(text)))
    }
}

/// The bot label where a record names none.
pub const UNKNOWN_BOT: &str = "unknown";
/// The team label where a record names no one team.
pub const UNASSIGNED_TEAM: &str = "unassigned";

/// The longest label, in bytes: every series of a pair bears it, in every scrape. Of a longer name the beginning counts.
pub const LONGEST_LABEL: usize = 256;

/// The name as it may be a label: as it is, for one that differs by a blank is another one.
pub fn label(name: &str) -> &str {
    &name[..name.floor_char_boundary(LONGEST_LABEL)]
}

/// Such a name names nothing.
fn is_blank(name: &str) -> bool {
    name.trim().is_empty()
}

/// The bot label of a record (rule **labels**).
pub fn bot_label(bot_name: Option<&str>) -> &str {
    bot_name.filter(|name| !is_blank(name)).map(label).unwrap_or(UNKNOWN_BOT)
}

/// The team label of a record (rule **labels**): the assignment's team, else an operator's team that is not a list.
pub fn team_label<'a>(assigned: Option<&'a str>, operator_team: Option<&'a str>) -> &'a str {
    let named = |name: Option<&'a str>| name.filter(|name| !is_blank(name)).map(label);
    named(assigned).or_else(|| named(operator_team).filter(|name| !name.contains(','))).unwrap_or(UNASSIGNED_TEAM)
}

/// One record, as one page listed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conversation {
    /// `_id`.
    pub id: ConversationId,
    /// `startAt`.
    pub start: UnixMillis,
    /// `endAt`; `None` while active.
    pub end: Option<UnixMillis>,
    /// `state`.
    pub state: State,
    /// `endedReason`.
    pub reason: Reason,
    /// `origin`.
    pub origin: Origin,
    /// The `bot` label.
    pub bot: Arc<str>,
    /// The `team` label.
    pub team: Arc<str>,
    /// `company.id` as text.
    pub company: Option<Arc<str>>,
    /// `timeRepliedOperator`, milliseconds; `None` when null, negative or unreadable.
    pub reply: Option<u64>,
    /// `conversationDuration`, milliseconds; `None` when null, negative or unreadable.
    pub stated_duration: Option<u64>,
}

impl Conversation {
    /// Whether this reading shows the conversation ended: a known state other than active, or an unknown one with an end.
    pub fn is_ended(&self) -> bool {
        match self.state {
            State::Active => false,
            State::Other => self.end.is_some(),
            _ => true,
        }
    }

    /// The duration that this reading tells, milliseconds: the stated one, else end minus start if that is not negative.
    pub fn duration(&self) -> Option<u64> {
        self.stated_duration.or_else(|| self.end.and_then(|end| u64::try_from(end.since(self.start)).ok()))
    }

    /// Whether state or reason say that the stint was handed on.
    pub const fn is_transferred(&self) -> bool {
        self.state.is_transfer() || self.reason.is_transfer()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_is_never_long() {
        assert_eq!(bot_label(Some(&"b".repeat(1_000_000))).len(), LONGEST_LABEL);
        let name = format!("{}é", "x".repeat(LONGEST_LABEL - 1));
        assert_eq!(team_label(Some(&name), None), &name[..LONGEST_LABEL - 1], "no letter is cut in two");
        assert_eq!(bot_label(Some(&name[..LONGEST_LABEL - 1])), &name[..LONGEST_LABEL - 1]);
    }

    #[test]
    fn an_id_is_spelt_as_it_came_and_is_small() {
        for id in [
            "6481f0d9af1c2b0012345678",
            "6481F0D9AF1C2B0012345678",
            "6481f0d9af1c2b001234567",
            "6481f0d9af1c2b0012345678a",
            "6481f0d9af1c2b001234567g",
            "g481f0d9af1c2b0012345678",
            "ids of other kinds, \u{1f600}",
            "",
        ] {
            assert_eq!(ConversationId::from(id).to_string(), id);
        }
        assert_ne!(ConversationId::from("6481f0d9af1c2b0012345678"), ConversationId::from("6481F0D9AF1C2B0012345678"));
        assert_eq!(size_of::<ConversationId>(), 16);
    }
}
