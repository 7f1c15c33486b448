//! The web configuration changes while the server runs.

use rcgen::{CertificateParams, KeyPair};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::access::{Site, TLS, ada};
use super::*;
use crate::clock::SystemClock;
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
    in_time(async { while get().await.is_ok() {} }).await;
    assert!(site.client(None).get(site.url("/-/healthy")).send().await.is_err());
    let tls = crate::tls::config_with(&crate::tls::TlsTexts { authorities: Some(other), identity: None }, &[]).unwrap();
    let knowing = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().build().unwrap();
    assert_eq!(knowing.get(site.url("/-/healthy")).send().await.unwrap().status(), 200);
}

/// Asks by a connection that is open; the answer, or nothing when the connection has ended.
async fn ask_on(stream: &mut TcpStream, head: &[u8]) -> String {
    let mut answer = [0; 4096];
    let _ = stream.write_all(head).await;
    let read = in_time(stream.read(&mut answer)).await.unwrap_or(0);
    String::from_utf8_lossy(&answer[..read]).into_owned()
}

#[tokio::test]
async fn tls_that_is_switched_on_binds_connections_that_are_open() {
    const ASK: &[u8] = b"GET /-/healthy HTTP/1.1\r\nhost: x\r\n\r\n";
    let site = Site::start("").await;
    let mut idle = TcpStream::connect(site.server.address).await.unwrap();
    let mut halfway = TcpStream::connect(site.server.address).await.unwrap();
    assert!(ask_on(&mut idle, ASK).await.starts_with("HTTP/1.1 200"));
    let (begin, rest) = ASK.split_at(20);
    assert!(ask_on(&mut halfway, ASK).await.starts_with("HTTP/1.1 200"));
    halfway.write_all(begin).await.unwrap();
    site.folder.put("w.yml", TLS);
    let refused = ask_on(&mut halfway, rest).await;
    assert!(
        refused.starts_with("HTTP/1.1 400") && refused.ends_with("HTTPS is spoken here, and this was plain HTTP.\n")
    );
    // Nor is the other one asked for more.
    closed(&idle).await;
    assert_eq!(site.client(None).get(site.url("/-/healthy")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn certificates_that_are_wanted_now_are_wanted_of_connections_that_are_open() {
    let wanted = format!("{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n");
    let (known, other) = (Site::start(TLS).await, Site::start(&wanted).await);
    let client = known.client(Some(known.authority.issue("client")));
    let get = async |client: &reqwest::Client, site: &Site| {
        client.get(site.url("/metrics")).send().await.ok().map(|response| response.status().as_u16())
    };
    // Nobody had asked it for a certificate when the connection began.
    assert_eq!(get(&client, &known).await, Some(200));
    known.folder.put("w.yml", &wanted);
    let answer = get(&client, &known).await;
    assert!(matches!(answer, None | Some(403)), "{answer:?}");
    let again = known.client(Some(known.authority.issue("client")));
    assert_eq!(get(&again, &known).await, Some(200));

    // What one authority vouched for is worth nothing to another.
    let client = other.client(Some(other.authority.issue("client")));
    assert_eq!(get(&client, &other).await, Some(200));
    other.folder.put("ca.crt", &known.authority.pem());
    let answer = get(&client, &other).await;
    assert!(matches!(answer, None | Some(403)), "{answer:?}");
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

fn looking_every(every: Duration, path: &std::path::Path) -> Source {
    Source::looking_every(every, path, false, Arc::new(SystemClock)).unwrap()
}

#[test]
fn what_cannot_be_used_leaves_the_former_in_force_and_is_said_once() {
    let folder = Folder::new();
    let path = folder.put("w.yml", &ada());
    let source = looking_every(Duration::from_secs(3600), &path);
    let broken = |found, why: &str| {
        let Found::Broken(error) = found else { panic!("{found:?}") };
        assert!(error.starts_with(why) && !error.contains("hunter2"), "{error}");
        assert_eq!(source.look(), Found::Nothing);
    };
    assert_eq!(source.look(), Found::Nothing);
    folder.put("w.yml", "basic_auth_users: {ada: hunter2}\n");
    broken(source.look(), "basic_auth_users.ada (");
    folder.put("w.yml", "basic_auth_users: {ada: hunter2}\n\n");
    assert_eq!(source.look(), Found::Nothing);
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

/// A certificate that is replaced by garbage at night is not found by whoever reads only the newest lines of the log.
#[tokio::test(start_paused = true)]
async fn what_stays_broken_is_told_again_and_whoever_counts_knows_it_meanwhile() {
    let (folder, clock) = (Folder::new(), Arc::new(ManualClock::new(sample::NOW)));
    let path = folder.put("w.yml", &ada());
    let source = Source::looking_every(Duration::ZERO, &path, false, Arc::<ManualClock>::clone(&clock)).unwrap();
    let told = Arc::<std::sync::Mutex<Vec<bool>>>::default();
    let source = {
        let told = Arc::clone(&told);
        source.telling(move |holds| told.lock().unwrap().push(holds))
    };
    let told = || std::mem::take(&mut *told.lock().unwrap());
    assert_eq!((source.look(), told()), (Found::Nothing, vec![]));
    folder.put("w.yml", "basic_auth_users: [");
    assert!(matches!(source.look(), Found::Broken(_)));
    assert_eq!(told(), [false]);
    // Nothing changes from here on, and nobody is told twice.
    for (seconds, again) in [(1, false), (599, true), (1, false), (600, true)] {
        tokio::time::advance(Duration::from_secs(seconds)).await;
        clock.advance(1000);
        match source.look() {
            Found::StillBroken { since, .. } => assert!(again && since == sample::NOW),
            found => assert!(!again && found == Found::Nothing, "{found:?}"),
        }
    }
    assert!(source.check().is_err() && told().is_empty());
    folder.put("w.yml", &ada());
    assert_eq!((source.look(), told()), (Found::Changed(Vec::new()), vec![true]));
}

#[tokio::test]
async fn one_look_in_a_while_is_enough() {
    let folder = Folder::new();
    let path = folder.put("w.yml", &ada());
    let source = Arc::new(looking_every(Duration::from_secs(3600), &path));
    let before = source.current().await;
    folder.put("w.yml", &format!("{}  bob: {}\n", ada(), bcrypt::hash("two", 4).unwrap()));
    assert!(Arc::ptr_eq(&source.current().await, &before));
    source.look();
    in_time(source.outdated(&before)).await;
    assert_eq!((before.users.len(), source.current().await.users.len()), (1, 2));
}

/// As a mount does that has lost its server: whoever opens the file waits.
#[tokio::test]
async fn a_look_that_hangs_keeps_nobody_waiting() {
    let folder = Folder::new();
    let path = folder.put("w.yml", &ada());
    let source = Arc::new(looking_every(Duration::ZERO, &path));
    let before = source.current().await;
    // A pipe cannot be opened for reading before somebody opens it for writing.
    std::fs::remove_file(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let asks = async || tokio::time::timeout(Duration::from_secs(100), source.current()).await;
    let answers = [asks().await, asks().await, asks().await];
    // The one that hangs is the only one: no other waits for it.
    let found = answers[0].is_ok().then(|| source.look());
    std::fs::write(&path, "").unwrap();
    assert!(answers.iter().all(|answer| answer.as_ref().is_ok_and(|now| Arc::ptr_eq(now, &before))));
    assert_eq!(found, Some(Found::Nothing));
}
