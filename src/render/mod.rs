//! Pure encoders of a snapshot, one a format: values in, bytes or messages out.

pub mod otlp;
pub mod reference;
pub mod text;

#[cfg(test)]
pub(crate) mod sample;
