//! The upstream: one call is one request, and brings a page or says why not.

pub mod budget;
