//! The upstream: one call is one request, and brings a page or says why not.
//!
//! Nothing here loops, retries or counts; that is the poller's. In reading order:
//!
//! * [`client`]: the call
//! * `request`: the two dialects of the question
//! * [`decode`]: the body of an answer to rows; [`wire`] and [`lenient`] are its types, [`dates`] reads its dates
//! * [`error`]: everything that can go wrong, and what to make of it
//! * [`credentials`]: who asks; `hint`: what is known when they are refused; `transport`: by which connection
//! * [`budget`]: how often anyone may ask

pub mod budget;
pub mod client;
pub mod credentials;
pub mod dates;
pub mod decode;
pub mod error;
mod hint;
pub mod lenient;
mod message;
mod names;
mod request;
mod salvage;
#[cfg(test)]
mod tests;
mod transport;
pub mod wire;

pub use budget::Budget;
pub use client::{Client, SetupError};
pub use error::ApiError;
