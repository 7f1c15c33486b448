//! jelou-exporter: Jelou conversations as Prometheus and OpenTelemetry metrics, each conversation counted exactly once.
//!
//! ```text
//! upstream pages ─► jelou (bytes → records) ─► poller ─► domain (each conversation counted once)
//!                                                 │              │
//!                                       (checkpoint)             └► Snapshot (immutable, Arc) ─► http: render::text
//!                                                                                          └► push: render::otlp
//! ```
//!
//! Data flows one way. The poller is the only writer; whoever shows numbers gets an immutable snapshot.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod http;
pub mod jelou;
pub mod live;
pub mod logging;
pub mod poller;
pub mod push;
pub mod render;
pub mod simulator;
pub mod store;
pub mod tls;
