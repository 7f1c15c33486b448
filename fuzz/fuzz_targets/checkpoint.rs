#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| jelou_exporter::fuzzing::checkpoint(bytes));
