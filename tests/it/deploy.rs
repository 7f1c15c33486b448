//! What deploys the exporter speaks of settings, ports, paths and versions that there are. Whether systems take it is
//! judged by their own programs, in `scripts/check-deploy` and `scripts/check-unit`.

mod charts;
mod files;
mod provisioning;
mod stack;
mod starts;
mod words;
