//! Certificates: whom we trust, who we are, and that both may change while we run.

use std::fs;

use rustls::ServerConfig;

use super::receiver::secure_receiver;
use super::*;
use crate::domain::label::LogLevel;
use crate::logging::{LogFormat, tests::logged};
use crate::tls::tests::Authority;

/// A folder that goes with its test.
struct Folder(std::path::PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("jelou-exporter-tls-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn put(&self, name: &str, text: &str) -> std::path::PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

/// A server of this authority, for either version of HTTP.
fn server(authority: &Authority, clients: Option<&Authority>) -> ServerConfig {
    let mut config = authority.server("localhost", clients);
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}

/// A push to a receiver that is spoken to by TLS.
async fn start(protocol: Protocol, server: ServerConfig, tls: TlsFiles) -> Push {
    let (received_in, received) = mpsc::unbounded_channel();
    let script = Script { answers: Arc::default(), received: received_in };
    let url = secure_receiver(protocol, script, server).await;
    let mut options = options(url, protocol);
    options.tls = tls;
    options.interval = Duration::from_millis(250);
    Push::hurried(options, received)
}

#[tokio::test]
async fn a_receiver_of_an_own_authority_is_trusted_when_that_is_named() {
    let (authority, folder) = (Authority::new(), Folder::new("own"));
    for protocol in ALL {
        let authorities = Some(folder.put("ca", &authority.pem()));
        let mut push = start(protocol, server(&authority, None), TlsFiles { authorities, identity: None }).await;
        push.publish("b");
        assert!(format!("{:?}", push.next().await.2).contains("\"b\""));
        push.until(|exports| counts(exports)[0] > 0).await;

        // The usual roots vouch for none of it, nor does another authority.
        for authorities in [None, Some(folder.put("other", &Authority::new().pem()))] {
            let push = start(protocol, server(&authority, None), TlsFiles { authorities, identity: None }).await;
            push.publish("b");
            push.exported(1).await;
            let (late, counts) = push.stop().await;
            assert_eq!((late.len(), counts[0]), (0, 0));
        }
    }
}

#[tokio::test]
async fn a_receiver_that_asks_who_we_are_is_shown_our_certificate() {
    let (servers, clients, folder) = (Authority::new(), Authority::new(), Folder::new("client"));
    let authorities = Some(folder.put("ca", &servers.pem()));
    let (certificate, key) = clients.issue("jelou-exporter");
    for protocol in ALL {
        let identity = Some((folder.put("cert", &certificate), folder.put("key", &key)));
        let tls = TlsFiles { authorities: authorities.clone(), identity };
        let push = start(protocol, server(&servers, Some(&clients)), tls).await;
        push.publish("b");
        push.until(|exports| counts(exports)[0] > 0).await;

        let tls = TlsFiles { authorities: authorities.clone(), identity: None };
        let push = start(protocol, server(&servers, Some(&clients)), tls).await;
        push.publish("b");
        push.exported(1).await;
        let (late, counts) = push.stop().await;
        assert_eq!((late.len(), counts[0]), (0, 0));
    }
}

#[tokio::test]
async fn certificates_that_are_renewed_are_used_from_then_on() {
    let (authority, folder) = (Authority::new(), Folder::new("renewed"));
    for protocol in ALL {
        let path = folder.put("ca", &Authority::new().pem());
        let tls = TlsFiles { authorities: Some(path), identity: None };
        let push = start(protocol, server(&authority, None), tls).await;
        push.publish("b");
        push.until(|exports| counts(exports)[2] > 0).await;
        // What cannot be used changes nothing, and does not stop the task.
        folder.put("ca", "half a cert");
        let failed = counts(&push.live.live().exports.unwrap())[2];
        push.until(|exports| counts(exports)[2] > failed + 1).await;
        folder.put("ca", &authority.pem());
        push.until(|exports| counts(exports)[0] > 0).await;
    }
}

#[test]
fn certificates_that_cannot_be_used_are_told_of_once() {
    let (authority, folder) = (Authority::new(), Folder::new("told"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let pushing = async {
        let authorities = Some(folder.put("ca", &authority.pem()));
        let tls = TlsFiles { authorities, identity: None };
        let push = start(Protocol::HttpProtobuf, server(&authority, None), tls).await;
        push.publish("b");
        for text in ["half a cert", &authority.pem(), "half a cert"] {
            let taken = push.exported(1).await.results.get(ExportResult::Success);
            folder.put("ca", text);
            push.until(|exports| counts(exports)[0] > taken + 3).await;
        }
    };
    let (text, _) = logged(LogLevel::Warn, LogFormat::Logfmt, || runtime.block_on(pushing));
    assert_eq!(text.matches("those before are used on").count(), 2, "{text}");
}

#[tokio::test]
async fn files_that_cannot_be_used_are_an_error_at_once() {
    let folder = Folder::new("unusable");
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(sample::NOW));
    for protocol in ALL {
        let mut options = options("https://localhost".to_owned(), protocol);
        for (authorities, why) in [
            (folder.0.join("nowhere"), "nowhere cannot be read: No such file"),
            (folder.put("empty", ""), "OTLP cannot be sent by TLS: the certificate authorities cannot be used"),
        ] {
            options.tls = TlsFiles { authorities: Some(authorities), identity: None };
            let error = Sender::new(&options, &clock).err().unwrap();
            assert!(error.to_string().contains(why), "{error}");
        }
    }
}
