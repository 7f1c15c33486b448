//! Certificates that the standard variables name.

use super::*;
use crate::tls::{TlsFiles, tests::Authority};

/// Pushes by TLS; the files `ca`, `cert` and `key` hold what their names say.
fn pushing() -> Case {
    let authority = Authority::new();
    let (cert, key) = authority.issue("client");
    case().flag("otlp.endpoint", "https://c").holds("ca", &authority.pem()).holds("cert", &cert).holds("key", &key)
}

fn with(files: [(&str, &str); 3]) -> Case {
    let name = |what: &str| format!("OTEL_EXPORTER_OTLP_{what}");
    files.iter().fold(pushing(), |case, (what, file)| case.env(&name(what), file))
}

#[test]
fn files_that_can_be_used_are_named() {
    let config = with([("CERTIFICATE", "ca"), ("CLIENT_CERTIFICATE", "cert"), ("CLIENT_KEY", "key")]).config();
    let identity = Some(("cert".into(), "key".into()));
    assert_eq!(config.otlp.tls, TlsFiles { authorities: Some("ca".into()), identity });
}

#[test]
fn files_that_cannot_be_used_are_problems() {
    for (files, problems) in [
        (
            [("CERTIFICATE", "nowhere"), ("CLIENT_CERTIFICATE", "cert"), ("CLIENT_KEY", "nowhere")],
            vec![
                "OTEL_EXPORTER_OTLP_CERTIFICATE = \"nowhere\": the file cannot be read: entity not found",
                "OTEL_EXPORTER_OTLP_CLIENT_KEY = \"nowhere\": the file cannot be read: entity not found",
            ],
        ),
        (
            [("CERTIFICATE", "key"), ("CLIENT_CERTIFICATE", "cert"), ("CLIENT_KEY", "cert")],
            vec![
                "OTEL_EXPORTER_OTLP_CERTIFICATE = \"key\": no certificate in PEM is in it",
                "OTEL_EXPORTER_OTLP_CLIENT_KEY = \"cert\": ",
            ],
        ),
        (
            [("METRICS_CLIENT_KEY", "key"), ("CERTIFICATE", "ca"), ("CLIENT_CERTIFICATE", "")],
            vec![
                "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY = \"key\": OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE is wanted",
            ],
        ),
    ] {
        let told = with(files).problems();
        let as_wanted = told.iter().zip(&problems).all(|(told, wanted)| told.starts_with(wanted));
        assert!(as_wanted && told.len() == problems.len(), "{told:#?}");
        // They matter to nobody who does not push by TLS.
        assert!(with(files).flag("otlp.endpoint", "http://c").read().is_ok());
        assert!(with(files).flag("otlp.endpoint", "").read().is_ok());
    }
}

#[test]
fn a_key_of_another_certificate_is_a_problem() {
    let (_, other) = Authority::new().issue("client");
    let files = [("CERTIFICATE", "ca"), ("CLIENT_CERTIFICATE", "cert"), ("CLIENT_KEY", "other")];
    let problems = with(files).holds("other", &other).problems();
    assert!(
        problems.len() == 1 && problems[0].starts_with("OTEL_EXPORTER_OTLP_CLIENT_KEY = \"other\": "),
        "{problems:?}"
    );
}
