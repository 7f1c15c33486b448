//! The web configuration changes while the server runs.

use rcgen::{CertificateParams, KeyPair};

use super::access::{Site, TLS, ada};
use super::*;
use crate::domain::label::LogLevel;
use crate::logging::{LogFormat, tests::logged};

#[tokio::test]
async fn a_new_certificate_is_shown_to_the_next_client() {
    let site = Site::start(TLS).await;
    let client = site.client(None);
    let get = async || client.get(site.url("/-/healthy")).send().await;
    assert_eq!(get().await.unwrap().status(), 200);
    let key = KeyPair::generate().unwrap();
    let other = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap().pem();
    site.folder.put("server.key", &key.serialize_pem());
    // Between the two files nothing fits: what held goes on.
    assert_eq!(site.client(None).get(site.url("/-/healthy")).send().await.unwrap().status(), 200);
    site.folder.put("server.crt", &other);
    // The connection that is open is not cut, but it is asked to leave with its next answer.
    while get().await.is_ok() {}
    assert!(site.client(None).get(site.url("/-/healthy")).send().await.is_err());
    let tls = crate::tls::config_with(&crate::tls::TlsTexts { authorities: Some(other), identity: None }, &[]).unwrap();
    let knowing = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap();
    assert_eq!(knowing.get(site.url("/-/healthy")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn users_come_and_go() {
    let site = Site::start(&ada()).await;
    let status = async |user: &str, password: &str| {
        let url = format!("http://{}/-/healthy", site.server.address);
        client().get(url).basic_auth(user, Some(password)).send().await.unwrap().status().as_u16()
    };
    assert_eq!([status("ada", "one").await, status("bob", "two").await], [200, 401]);
    let bob = format!("basic_auth_users:\n  bob: {}\n", bcrypt::hash("two", 4).unwrap());
    site.folder.put("w.yml", &bob);
    assert_eq!([status("ada", "one").await, status("bob", "two").await], [401, 200]);
    // The new password holds at once, the old one no longer, though it had been verified.
    site.folder.put("w.yml", &bob.replace("bob: ", "ada: "));
    assert_eq!([status("ada", "one").await, status("ada", "two").await], [401, 200]);
}

#[test]
fn what_cannot_be_used_leaves_the_former_in_force_and_is_said_once() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let folder = crate::web_config::tests::Folder::new();
    let path = folder.put("w.yml", &ada());
    let source = Arc::new(Source::looking_every(Duration::ZERO, &path, false).unwrap());
    let users = || runtime.block_on(source.current()).users.len();
    let changes = source.changes();
    // Looking happens on a thread of its own, where these log lines would not be seen.
    let (text, _) = logged(LogLevel::Info, LogFormat::Logfmt, || {
        for (text, known) in [
            ("basic_auth_users: {ada: hunter2}\n".to_owned(), 1),
            ("basic_auth_users: {ada: hunter2}\n\n".to_owned(), 1),
            // As a file is that is being written.
            (String::new(), 1),
            (ada() + "  bob: " + &bcrypt::hash("two", 4).unwrap(), 2),
        ] {
            folder.put("w.yml", &text);
            source.look();
            source.look();
            assert_eq!(users(), known);
        }
        std::fs::remove_file(&path).unwrap();
        source.look();
        assert_eq!(users(), 2);
        folder.put("w.yml", &ada());
        source.look();
    });
    assert_eq!(users(), 1);
    assert_eq!(*changes.borrow(), 2);
    let told: Vec<&str> = text.lines().map(|line| line.split_once("level=").unwrap().1).collect();
    let starts = [
        "warn msg=\"the changed web configuration cannot be used; the former one holds on\" error=\"basic_auth_users.ada",
        "warn msg=\"the changed web configuration cannot be used; the former one holds on\" error=\"basic_auth_users would be empty",
        "info msg=\"the web configuration was read again\"",
        "warn msg=\"the changed web configuration cannot be used; the former one holds on\" error=\"web.config_file",
        "info msg=\"the web configuration was read again\"",
    ];
    assert!(
        told.len() == starts.len() && told.iter().zip(starts).all(|(told, start)| told.starts_with(start)),
        "{told:#?}"
    );
    assert!(!text.contains("hunter2"));
}
