//! What a scraper, an orchestrator and a person who finds the port are answered.

use jelou_exporter::simulator::SimulatorOptions;
use jelou_exporter::simulator::faults::Fault;

use crate::support::exporter::Exporter;
use crate::support::until;
use crate::support::web;
use crate::support::world::frozen;

#[test]
fn every_endpoint_answers() {
    let (simulator, _) = frozen(SimulatorOptions { per_hour: 5.0, ..SimulatorOptions::default() });
    simulator.script(Fault::Hang, 1);
    let exporter = Exporter::start(&simulator.base_url(), &[("api.timeout", "2s")]);
    let status = |path: &str| exporter.get(path).status;

    // The first poll hangs: whatever is asked is answered all the same.
    until("the upstream is asked", || simulator.request_count() > 0);
    assert_eq!([status("/-/healthy"), status("/-/ready"), status("/"), status("/metrics")], [200, 503, 200, 200]);
    assert!(exporter.get("/-/ready").body.starts_with("Not ready: "));
    let scrape = exporter.scrape();
    assert_eq!(scrape.sum("jelou_up", &[]), Some(0.0));
    assert_eq!(scrape.sum("jelou_conversations_started_total", &[]), None, "no zeros before the truth is known");

    until("it is ready", || status("/-/ready") == 200);
    assert_eq!([status("/-/healthy"), status("/-/ready"), status("/"), status("/metrics")], [200, 200, 200, 200]);
    assert!(exporter.scrape().sum("jelou_conversations_started_total", &[]).is_some());
    assert!(exporter.get("/").body.contains("<a href=\"/metrics\">"));
    assert_eq!([status("/metric"), status("/metrics/"), status("/-/nothing")], [404; 3]);

    let metrics = exporter.get("/metrics");
    assert_eq!(metrics.header("Content-Type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(metrics.header("content-length"), Some(metrics.body.len().to_string().as_str()));
    for path in ["/", "/metrics", "/-/healthy", "/-/ready"] {
        for method in ["POST", "PUT", "DELETE"] {
            let refused = web::ask(&exporter.address, method, path, "content-length: 0\r\n").unwrap();
            assert_eq!((refused.status, refused.header("allow")), (405, Some("GET, HEAD")), "{method} {path}");
        }
        let head = web::ask(&exporter.address, "HEAD", path, "").unwrap();
        assert_eq!((head.status, head.body.as_str()), (200, ""), "HEAD {path}");
        let [of_head, of_get] =
            [&head, &exporter.get(path)].map(|answer| answer.header("content-type").map(str::to_owned));
        assert_eq!(of_head, of_get);
    }

    let counted = exporter.scrape();
    let with_code = |code| counted.total("jelou_exporter_http_requests_total", &[("code", code)]);
    assert_eq!((with_code("405"), with_code("404")), (12.0, 3.0));
    assert!(with_code("503") >= 2.0 && with_code("200") > 10.0);
}

#[test]
fn the_metrics_may_be_elsewhere() {
    let (simulator, _) = frozen(SimulatorOptions::scripted());
    let exporter = Exporter::start(&simulator.base_url(), &[("web.telemetry_path", "/prometheus")]);
    let [metrics, old] = ["/prometheus", "/metrics"].map(|path| exporter.get(path).status);
    assert_eq!((metrics, old), (200, 404));
    assert!(exporter.get("/").body.contains("<a href=\"/prometheus\">"));
}
