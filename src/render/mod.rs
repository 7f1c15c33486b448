//! Pure encoders of a snapshot, one a format: values in, bytes or messages out.
//!
//! What a scraper gets is [`exposition`]: `lines` writes both text formats, `protobuf` the third; `family` and `number` say
//! what they share. What is pushed is [`otlp`]; what a person sees is [`page`].

pub mod exposition;
mod family;
mod lines;
mod number;
pub mod otlp;
pub mod page;
mod protobuf;
pub mod reference;

#[cfg(test)]
pub(crate) use crate::domain::sample;
