//! An upstream that means harm: whatever it sends, the exporter stays small, counts it, and says it once.

use std::io::{Read as _, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use flate2::{Compress, Compression, FlushCompress};

use crate::support::exporter::{Exporter, polling};
use crate::support::exposition::Scrape;
use crate::support::until;

type Attack = Arc<dyn Fn(&mut TcpStream) -> std::io::Result<()> + Send + Sync>;

/// Answers every request by the attack of the moment.
struct Upstream {
    url: String,
    attack: Arc<Mutex<Attack>>,
}

impl Upstream {
    fn start(first: Attack) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let attack = Arc::new(Mutex::new(first));
        let now = Arc::clone(&attack);
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let attack = Arc::clone(&now.lock().unwrap());
                std::thread::spawn(move || {
                    // The exporter hangs up as soon as it has had enough.
                    let _ = asked(&mut stream).and_then(|()| attack(&mut stream));
                });
            }
        });
        Self { url, attack }
    }

    fn attack_by(&self, attack: Attack) {
        *self.attack.lock().unwrap() = attack;
    }
}

/// Reads the head and the short body of a request.
fn asked(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    while !request.ends_with(b"}") {
        match stream.read(&mut buffer)? {
            0 => return Err(std::io::ErrorKind::UnexpectedEof.into()),
            count => request.extend_from_slice(&buffer[..count]),
        }
    }
    Ok(())
}

fn head(stream: &mut TcpStream, more: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\nconnection: close\r\n{more}\r\n")
}

/// A body that ends with the connection.
fn body(bytes: impl Into<Vec<u8>>) -> Attack {
    let bytes = bytes.into();
    Arc::new(move |stream| {
        head(stream, "")?;
        stream.write_all(&bytes)
    })
}

/// A body that never ends.
fn endless() -> Attack {
    Arc::new(|stream| {
        head(stream, "")?;
        stream.write_all(b"{\"results\":[")?;
        loop {
            stream.write_all(&[b' '; 1 << 16])?;
        }
    })
}

/// A gigabyte, and says so.
fn gigabyte(sent: &Arc<AtomicU64>) -> Attack {
    let sent = Arc::clone(sent);
    Arc::new(move |stream| {
        head(stream, &format!("content-length: {}\r\n", 1 << 30))?;
        for _ in 0..1 << 14 {
            stream.write_all(&[b' '; 1 << 16])?;
            sent.fetch_add(1 << 16, Ordering::Relaxed);
        }
        Ok(())
    })
}

/// A gigabyte of nothing in a megabyte.
fn bomb() -> Attack {
    let mut packer = Compress::new(Compression::fast(), false);
    let mut block = Vec::with_capacity(1 << 16);
    packer.compress_vec(&vec![b' '; 1 << 20], &mut block, FlushCompress::Full).unwrap();
    Arc::new(move |stream| {
        head(stream, "content-encoding: gzip\r\n")?;
        stream.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255])?;
        for _ in 0..1024 {
            stream.write_all(&block)?;
        }
        Ok(())
    })
}

/// What the listing of one second of today holds.
fn listing(rows: &str, total: u64) -> String {
    format!(r#"{{"results":[{rows}],"pagination":{{"total":{total}}}}}"#)
}

fn bad_bodies(scrape: &Scrape) -> f64 {
    scrape.total("jelou_exporter_api_requests_total", &[("outcome", "bad_body")])
}

fn settings() -> [(&'static str, &'static str); 4] {
    [("poll.interval", "300ms"), ("api.timeout", "20s"), ("poll.initial_lookback", "1m"), ("api.timezone", "UTC")]
}

#[test]
fn bodies_that_are_meant_to_burst_are_refused_in_little_room() {
    let upstream = Upstream::start(endless());
    // What goes on is told again only at this level.
    let more = [("log.level", "debug")];
    let exporter = Exporter::run(&mut polling(&upstream.url, &[&settings()[..], &more].concat()));
    let many = |what: &str, count: usize| vec![what; count].join(",");
    let sent = Arc::<AtomicU64>::default();
    // A whole row, but for a field that nobody reads and that has no end of its depth.
    let deep = format!(r#"{{"results":[{{"_id":"a","startAt":1,"x":{}"#, "[{\"x\":".repeat(1 << 20));
    let attacks: [(&str, Attack, &str); 8] = [
        ("a body without an end", endless(), "the answer is longer than 32 MiB"),
        ("a gigabyte", gigabyte(&sent), "the answer is longer than 32 MiB"),
        ("a deep field", body(deep), "the answer ends in the middle"),
        ("a bomb", bomb(), "the answer is longer than 32 MiB"),
        ("deep JSON", body(format!("{{\"results\":{}", "[".repeat(4 << 20))), "the answer ends in the middle"),
        (
            "a failure of many words",
            body(format!(r#"{{"status":"failed","message":[{}]}}"#, many(r#"[["no"],[],[0]]"#, 1 << 18))),
            "the API answers with a failure",
        ),
        (
            "rows beyond number",
            body(format!(r#"{{"results":[{}]}}"#, many("{}", 1 << 20))),
            "the answer has more than 10000 rows",
        ),
        ("no JSON at all", body("x".repeat(16 << 20)), "the answer is no readable JSON"),
    ];
    for (what, attack, said) in attacks {
        let told = exporter.program.stderr().len();
        upstream.attack_by(attack);
        let before = bad_bodies(&exporter.scrape());
        exporter.scraped(what, |scrape| bad_bodies(scrape) > before);
        until(what, || exporter.program.stderr()[told..].contains(said));
        exporter.polls_again(1.0);
        let told = exporter.program.stderr();
        let told = told.lines().filter(|line| line.contains("level=warn") && line.contains(said)).count();
        // As a page that is passed over, and as what failed the poll.
        assert!(told <= 4, "{what} was told {told} times");
        assert_eq!(exporter.get("/-/healthy").status, 200, "{what}");
    }
    // Whatever one attempt brought, it was cut off far from its end.
    let attempts = exporter.scrape().total("jelou_exporter_api_requests_total", &[]);
    assert!(sent.load(Ordering::Relaxed) < attempts as u64 * (64 << 20), "{sent:?} in {attempts}");
    let peak = exporter.peak_kib();
    assert!(peak < 160 << 10, "{peak} KiB");
}

#[test]
fn a_flood_of_headers_is_a_failed_connection() {
    let upstream = Upstream::start(Arc::new(|stream| {
        write!(stream, "HTTP/1.1 200 OK\r\n")?;
        loop {
            write!(stream, "x-{}: {}\r\n", "y".repeat(50), "z".repeat(5000))?;
        }
    }));
    let exporter = Exporter::run(&mut polling(&upstream.url, &settings()));
    exporter.scraped("it is counted", |scrape| {
        scrape.total("jelou_exporter_api_requests_total", &[("outcome", "connect")]) >= 3.0
    });
    let peak = exporter.peak_kib();
    assert!(peak < 64 << 10, "{peak} KiB");
}

/// Rows as an upstream could send them on purpose: names and ids of megabytes, a row of a million fields.
#[test]
fn rows_of_megabytes_cost_neither_memory_nor_scrapes() {
    let start = crate::support::world::now().seconds() - 30;
    let row = |id: &str, more: &str| format!(r#"{{"_id":"{id}","startAt":{start}000,"state":"active",{more}}}"#);
    let long = "n".repeat(3 << 20);
    let fields: String = (0..300_000).map(|number| format!(r#""f{number}":0,"#)).collect();
    let rows = [
        row("a", &format!(r#""bot":{{"name":"{long}"}},"assignationMethod":{{"teamName":"{long}"}}"#)),
        row(&long, &format!(r#""bot":{{"name":"B"}},"company":{{"id":"{long}"}}"#)),
        row("c", &format!(r#"{fields}"bot":{{"name":"\ud800"}}"#)),
    ];
    let upstream = Upstream::start(body(listing(&rows.join(","), 3)));
    let exporter = Exporter::run(&mut polling(&upstream.url, &settings()));
    let scrape =
        exporter.scraped("two of them count", |scrape| scrape.total("jelou_exporter_ledger_entries", &[]) == 2.0);
    exporter.succeeds_again(2.0);
    assert!(scrape.total("jelou_exporter_records_total", &[("result", "rejected")]) >= 1.0);
    let bytes = exporter.get("/metrics").body.len();
    assert!(bytes < 200 << 10, "{bytes} bytes");
    let told = exporter.program.stderr();
    for once in ["names of bots or teams are cut", "the upstream lists rows that cannot be counted"] {
        assert_eq!(told.matches(once).count(), 1, "{once}");
    }
    assert!(told.len() < 64 << 10, "the log holds no long names");
    let peak = exporter.peak_kib();
    assert!(peak < 160 << 10, "{peak} KiB");
}

#[test]
fn bots_beyond_number_fold_into_one() {
    let now = crate::support::world::now().seconds() - 30;
    let rows: Vec<String> = (0..60_000)
        .map(|bot| format!(r#"{{"_id":"{bot}","startAt":{now}000,"state":"active","bot":{{"name":"bot {bot}"}}}}"#))
        .collect();
    let pages: Vec<String> = rows.chunks(10_000).map(|page| listing(&page.join(","), 60_000)).collect();
    let upstream = Upstream::start(body(""));
    // The page that is asked for is told by the order of the requests: a walk asks for one after the other.
    let asked = Arc::new(AtomicUsize::new(0));
    upstream.attack_by(Arc::new(move |stream| {
        head(stream, "")?;
        let page = asked.fetch_add(1, Ordering::Relaxed) % pages.len();
        stream.write_all(pages[page].as_bytes())
    }));
    let more = [("metrics.max_label_sets", "50"), ("poll.interval", "1m")];
    let exporter = Exporter::run(&mut polling(&upstream.url, &[&settings()[..], &more].concat()));
    let scrape =
        exporter.scraped("all of them", |scrape| scrape.total("jelou_exporter_ledger_entries", &[]) == 60_000.0);
    assert_eq!(scrape.total("jelou_exporter_label_sets", &[]), 50.0);
    assert_eq!(scrape.total("jelou_exporter_label_sets_overflowed_total", &[]), 60_000.0 - 49.0);
    assert!(exporter.get("/metrics").body.len() < 1 << 20);
    assert_eq!(exporter.program.stderr().matches("than metrics.max_label_sets allows").count(), 1);
    let peak = exporter.peak_kib();
    assert!(peak < 96 << 10, "{peak} KiB");
}
