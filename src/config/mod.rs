//! Settings: read from file, environment and flags, checked all at once, handed on as one small struct per concern.

pub mod api;
pub mod secret;
