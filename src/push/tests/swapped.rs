//! Receivers that are not reached, or are others than they are taken for.

use std::io::{Read as _, Write as _};

use super::*;

/// Answers everybody with these bytes, and closes.
fn saying(bytes: &'static [u8]) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            // What becomes of a client that goes early is its own business.
            let _ =
                stream.write_all(bytes).and_then(|()| std::io::copy(&mut stream.take(1 << 20), &mut std::io::sink()));
        }
    });
    url
}

/// Why a receiver at this place takes nothing.
async fn why(protocol: Protocol, url: String) -> String {
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(sample::NOW));
    let options = options(url, protocol);
    let payload = Packing::new(&options).pack(ExportMetricsServiceRequest::default());
    let mut sender = Sender::new(&options, &clock).unwrap();
    let answer = within_patience("an answer", sender.send(&payload, Duration::from_secs(10))).await;
    let (Answer::Later(why, _) | Answer::Refused(why) | Answer::Denied(why)) = answer else { panic!("{answer:?}") };
    why
}

#[tokio::test]
async fn protocols_that_are_swapped_are_recognised() {
    // As servers of HTTP/1.1 answer the preface of HTTP/2.
    let http = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    let told = why(Protocol::Grpc, saying(http)).await;
    assert!(told.contains("set otlp.protocol to http/protobuf"), "{told}");
    // An empty SETTINGS frame, with which every server of HTTP/2 begins.
    let told = why(Protocol::HttpProtobuf, saying(b"\0\0\0\x04\0\0\0\0\0")).await;
    assert!(told.contains("set otlp.protocol to grpc"), "{told}");
}

#[tokio::test]
async fn a_receiver_that_is_not_reached_is_told_once_with_its_place() {
    for protocol in ALL {
        let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let told = why(protocol, format!("http://ada:hunter2@{nobody}")).await;
        assert_eq!(told.matches("Connection refused").count(), 1, "{told}");
        assert!(told.starts_with(&format!("{nobody} refuses the connection")), "{told}");
        assert!(told.contains("otlp.endpoint") && !told.contains("hunter2"), "{told}");
        let told = why(protocol, "http://no-such-host.invalid:4317".to_owned()).await;
        assert!(told.starts_with("the name of no-such-host.invalid cannot be resolved"), "{told}");
        let told = why(protocol, saying(b"HTTP/1.1 400 No\r\n\r\n").replace("http", "https")).await;
        assert!(told.contains("no TLS is spoken there") && told.contains("otlp.endpoint"), "{told}");
    }
}
