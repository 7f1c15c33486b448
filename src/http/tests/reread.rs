//! The web configuration changes while the server runs.

use rcgen::{CertificateParams, KeyPair};

use super::access::{Site, TLS, ada};
use super::*;
use crate::web_config::Found;
use crate::web_config::tests::Folder;

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
    let folder = Folder::new();
    let path = folder.put("w.yml", &ada());
    let source = Source::looking_every(Duration::from_secs(3600), &path, false).unwrap();
    let broken = |found, why: &str| {
        let Found::Broken(error) = found else { panic!("{found:?}") };
        assert!(error.starts_with(why) && !error.contains("hunter2"), "{error}");
        assert_eq!(source.look(), Found::Nothing);
    };
    assert_eq!(source.look(), Found::Nothing);
    folder.put("w.yml", "basic_auth_users: {ada: hunter2}\n");
    broken(source.look(), "basic_auth_users.ada (");
    folder.put("w.yml", "basic_auth_users: {ada: hunter2}\n\n");
    assert!(matches!(source.look(), Found::StillBroken(_)));
    // As a file is that is being written.
    folder.put("w.yml", "");
    broken(source.look(), "basic_auth_users would be empty: ");
    std::fs::remove_file(&path).unwrap();
    broken(source.look(), "web.config_file (");
    folder.put("w.yml", &format!("{}  bob: {}\n", ada(), bcrypt::hash("two", 4).unwrap()));
    assert_eq!(source.look(), Found::Changed(Vec::new()));
    assert_eq!(source.look(), Found::Nothing);
    // The same error after a time without one is news again.
    folder.put("w.yml", "");
    broken(source.look(), "basic_auth_users would be empty: ");
}

#[tokio::test]
async fn one_look_in_a_while_is_enough() {
    let folder = Folder::new();
    let path = folder.put("w.yml", &ada());
    let source = Arc::new(Source::looking_every(Duration::from_secs(3600), &path, false).unwrap());
    let before = source.current().await;
    folder.put("w.yml", &format!("{}  bob: {}\n", ada(), bcrypt::hash("two", 4).unwrap()));
    assert!(Arc::ptr_eq(&source.current().await, &before));
    source.look();
    source.outdated(&before).await;
    assert_eq!((before.users.len(), source.current().await.users.len()), (1, 2));
}
