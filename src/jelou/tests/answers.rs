//! Answers that are pages, and secrets that change.

use std::fs;
use std::io::Write;
use std::sync::mpsc::channel;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::loopback::{Server, answer, listen, read_request};
use super::{DAY, DOCUMENTED, NOW, client, settings};
use crate::domain::time::UnixMillis;
use crate::files::tests::Hanging;
use crate::jelou::client::SetupError;
use crate::tls::tests::Authority;

#[tokio::test]
async fn a_page_is_stamped_by_both_clocks() {
    let server = Server::answering(answer("200 OK", "date: Thu, 08 Jun 2023 20:52:41 GMT\r\n", DOCUMENTED));
    let page = client(&settings(&server.url)).conversations(DAY, 1).await.unwrap();
    assert_eq!((page.rows.len(), page.total), (1, Some(61)));
    assert_eq!((page.sent_at, page.server_date), (NOW, Some(UnixMillis(1_686_257_561_000))));
}

#[tokio::test]
async fn a_date_that_is_none_is_no_error() {
    for headers in ["", "date: today\r\n"] {
        let server = Server::answering(answer("200 OK", headers, DOCUMENTED));
        let page = client(&settings(&server.url)).conversations(DAY, 1).await.unwrap();
        assert_eq!(page.server_date, None, "{headers}");
    }
}

#[tokio::test]
async fn packed_answers_are_unpacked() {
    let mut packer = GzEncoder::new(Vec::new(), Compression::default());
    packer.write_all(DOCUMENTED.as_bytes()).unwrap();
    let server = Server::answering(answer("200 OK", "content-encoding: gzip\r\n", packer.finish().unwrap()));
    assert_eq!(client(&settings(&server.url)).conversations(DAY, 1).await.unwrap().rows.len(), 1);
}

#[tokio::test]
async fn connections_are_used_again() {
    let (opened, connections) = channel();
    let url = listen(move |mut stream| {
        let _ = opened.send(());
        while read_request(&mut stream).is_some() {
            let _ = stream.write_all(&answer("200 OK", "", DOCUMENTED));
        }
    });
    let client = client(&settings(&url));
    for page in 1..=3 {
        client.conversations(DAY, page).await.unwrap();
    }
    assert_eq!(connections.try_iter().count(), 1);
}

#[tokio::test]
async fn the_secret_file_is_read_again() {
    let file = std::env::temp_dir().join(format!("jelou-exporter-secret-{}", uuid::Uuid::new_v4()));
    fs::write(&file, "first\n").unwrap();
    let server = Server::answering_again(answer("401 Unauthorized", "", ""));
    let mut settings = settings(&server.url);
    settings.client_secret = None;
    settings.client_secret_file = Some(file.clone());
    settings.auth = crate::config::api::AuthScheme::Raw;
    let client = client(&settings);
    let sent = async || {
        let _ = client.conversations(DAY, 1).await;
        let request = server.request();
        request.lines().find_map(|line| line.strip_prefix("authorization: ")).unwrap().to_owned()
    };
    let changed = async || {
        let _ = client.look_at_files().await;
        client.credentials_changed()
    };
    let reload = async || {
        let _ = client.look_at_files().await;
        client.reload_credentials()
    };
    assert_eq!(sent().await, "the-id:first");
    assert!(!changed().await);
    assert!(!reload().await.unwrap());

    fs::write(&file, "second\r\n").unwrap();
    assert!(changed().await);
    assert_eq!(sent().await, "the-id:first");
    assert!(reload().await.unwrap());
    assert!(!changed().await);
    assert_eq!(sent().await, "the-id:second");

    let file_itself = fs::File::options().write(true).open(&file).unwrap();
    file_itself.set_modified(std::time::UNIX_EPOCH).unwrap();
    assert!(changed().await, "the same secret is to be tried once more");
    assert!(!reload().await.unwrap());
    assert!(!changed().await, "once");

    for unusable in ["\n", "no\nheader", "no\nheader either", "señor"] {
        fs::write(&file, unusable).unwrap();
        assert!(!changed().await, "{unusable}: a secret half replaced is none");
        let told = client.look_at_files().await.unwrap_err().to_string();
        assert!(told.contains("api.client_secret_file") && !told.contains("eader"), "{told}");
        assert!(reload().await.is_err());
    }
    fs::remove_file(&file).unwrap();
    assert!(!changed().await);
    assert_eq!(client.look_at_files().await.unwrap_err().kind(), std::io::ErrorKind::NotFound);
    assert!(reload().await.is_err());
    assert_eq!(sent().await, "the-id:second");
}

#[tokio::test]
async fn a_file_that_does_not_answer_is_named_and_what_was_read_of_it_stays() {
    let (secret, authorities) = (Hanging::new(), Hanging::new());
    secret.put("first");
    authorities.put(&Authority::new().pem());
    let mut settings = settings("https://127.0.0.1:9");
    settings.client_secret = None;
    settings.client_secret_file = Some(secret.file.clone());
    settings.ca_file = Some(authorities.file.clone());
    let client = client(&settings);
    client.look_at_files().await.unwrap();
    let other = Authority::new().pem();
    for (hanging, setting, text) in
        [(&secret, "api.client_secret_file", "second"), (&authorities, "api.ca_file", other.as_str())]
    {
        hanging.hang();
        let error = client.look_at_files().await.unwrap_err().to_string();
        let silent = "it does not answer; is the server of its mount gone?";
        assert_eq!(error, format!("{setting} {}: {silent}", hanging.file.display()));
        assert!(!client.credentials_changed());
        assert!(!client.reload_credentials().unwrap());
        hanging.answer(text);
        while client.look_at_files().await.is_err() {}
        assert!(client.credentials_changed());
        assert!(client.reload_credentials().unwrap());
    }
}

#[test]
fn a_client_that_cannot_be_is_an_error_that_names_the_setting() {
    let new = |change: &dyn Fn(&mut crate::config::api::ApiSettings)| {
        let mut settings = settings("http://127.0.0.1:1");
        change(&mut settings);
        let clock = std::sync::Arc::new(crate::clock::ManualClock::new(UnixMillis(0)));
        crate::jelou::client::Client::new(&settings, clock).err()
    };
    let missing = new(&|settings| settings.client_secret_file = Some("/nonexistent/secret".into())).unwrap();
    assert_eq!(missing.to_string(), "api.client_secret_file /nonexistent/secret: entity not found");
    assert!(matches!(new(&|settings| settings.url = "nowhere".to_owned()), Some(SetupError::Url(_))));
    assert!(matches!(new(&|settings| settings.url = "ftp://there".to_owned()), Some(SetupError::Url(_))));
    assert_eq!(new(&|settings| settings.timezone_name = "A\nB".to_owned()), Some(SetupError::Timezone));
    let unsendable = new(&|settings| {
        settings.auth = crate::config::api::AuthScheme::Raw;
        settings.client_id = Some("a\nb".to_owned());
    });
    assert_eq!(unsendable, Some(SetupError::Credentials));
}
