//! A faithful stand-in for the Jelou API, and the judge that knows the truth behind it.
//!
//! * [`story`]: the whole life of one record, known in advance
//! * [`oracle`]: the exact totals for any moment

pub mod oracle;
pub mod story;
