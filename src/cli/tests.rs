use super::*;

/// A run with credentials, so that nothing else is missing.
const CREDENTIALS: [(&str, &str); 2] =
    [("JELOU_EXPORTER_API_CLIENT_ID", "me"), ("JELOU_EXPORTER_API_CLIENT_SECRET", "hunter2")];

fn invoke(args: &[&str], env: &[(&str, &str)]) -> Result<Invocation, Stop> {
    let args = std::iter::once("jelou-exporter").chain(args.iter().copied()).map(OsString::from);
    let env = env.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    parse(args, &env, &|path| match path.to_str() {
        Some("c.yml") => Ok("poll: {interval: 7s}\nlog: {level: debug}".to_owned()),
        _ => Err(io::ErrorKind::NotFound.into()),
    })
}

fn run(args: &[&str]) -> Result<Invocation, Stop> {
    invoke(args, &CREDENTIALS)
}

fn refused(args: &[&str]) -> String {
    let stop = run(args).unwrap_err();
    assert_eq!(stop.exit_status(), 2);
    stop.to_string()
}

#[test]
fn the_parser_is_sound() {
    parser().debug_assert();
    with_flags().debug_assert();
}

#[test]
fn help_and_errors_know_the_commands_that_nobody_named() {
    for help in ["--help", "-h"] {
        let Err(Stop::Asked(told)) = run(&[help]) else { panic!("{help} is help") };
        assert!(commands().iter().all(|command| told.contains(&format!("\n  {}\n", command.get_name()))), "{told}");
    }
    assert!(refused(&["simulat"]).contains("'simulate'"), "{}", refused(&["simulat"]));
}

#[test]
fn a_value_that_is_no_text_is_a_problem_if_it_may_be_meant() {
    use std::os::unix::ffi::OsStringExt as _;
    let mangled = OsString::from_vec(b"hunter2\xff".to_vec());
    let ours = CREDENTIALS.map(|(name, value)| (OsString::from(name), OsString::from(value)));
    let with = |name: &str| {
        let env = ours.iter().cloned().chain([(name.into(), mangled.clone())]).collect();
        parse(["jelou-exporter".into()], &env, &|_| Err(io::ErrorKind::NotFound.into()))
    };
    for name in ["JELOU_EXPORTER_API_CLIENT_SECRET", "JELOU_EXPORTER_API_NONSENSE", "OTEL_SERVICE_NAME"] {
        let stop = with(name).unwrap_err();
        let told = stop.to_string();
        assert!(told.contains(name) && told.contains("not UTF-8") && !told.contains("hunter2"), "{told}");
        assert_eq!(stop.exit_status(), 2);
    }
    assert!(with("SOMEBODY_ELSES").is_ok());
}

#[test]
fn a_switch_that_is_neither_on_nor_off_is_named() {
    for args in [["--web.open-probes", "maybe", "run"], ["run", "--web.open-probes", "maybe"]] {
        let told = refused(&args);
        assert!(told.contains("web.open_probes = \"maybe\" (--web.open-probes): true or false is wanted"), "{told}");
    }
    assert!(matches!(run(&["--web.open-probes", "check-config"]).unwrap().command, Command::CheckConfig));
    assert!(matches!(run(&["--web.open-probes", "completions", "bash"]), Err(Stop::Asked(_))));
    assert!(matches!(run(&["completions", "--web.open-probes", "bash"]), Err(Stop::Asked(_))));
}

#[test]
fn every_command_has_its_name() {
    let none = DemoOptions { seed: None };
    let address = "127.0.0.1:10111".to_owned();
    for (args, command) in [
        (vec![], Command::Run),
        (vec!["run"], Command::Run),
        (vec!["once"], Command::Once),
        (vec!["check-config"], Command::CheckConfig),
        (vec!["demo"], Command::Demo(none)),
        (vec!["demo", "--simulator.seed=7"], Command::Demo(DemoOptions { seed: Some(7) })),
        (vec!["simulate"], Command::Simulate(SimulateOptions { listen_address: address, seed: None, faults: 0.0 })),
        (
            vec!["simulate", "--simulator.seed", "7", "--simulator.listen-address", ":1", "--simulator.faults", "0.1"],
            Command::Simulate(SimulateOptions { listen_address: "0.0.0.0:1".to_owned(), seed: Some(7), faults: 0.1 }),
        ),
    ] {
        assert_eq!(run(&args).unwrap().command, command, "{args:?}");
    }
}

#[test]
fn flags_stand_before_and_behind_the_command() {
    for args in [
        ["--log.level", "debug", "--metrics.native-histogram-schema", "-4", "once", "--config.file=c.yml"],
        ["once", "--config.file", "c.yml", "--log.level=debug", "--metrics.native-histogram-schema", "-4"],
        ["--config.file", "c.yml", "--metrics.native-histogram-schema", "-4", "--log.level=debug", "once"],
    ] {
        let Invocation { command, config, .. } = run(&args).unwrap();
        assert_eq!(command, Command::Once);
        assert_eq!((config.poll.interval.as_secs(), config.metrics.schema), (7, -4));
        assert_eq!(config.log.level, tracing::Level::DEBUG);
    }
}

#[test]
fn a_switch_may_stand_alone() {
    for (args, counts) in [
        (vec!["--poll.count-initial", "run"], true),
        (vec!["--poll.count-initial", "true", "run"], true),
        (vec!["run", "--poll.count-initial"], true),
        (vec!["--poll.count-initial=true"], true),
        (vec!["--poll.count-initial", "false"], false),
        (vec!["--poll.count-initial=false"], false),
        (vec![], false),
    ] {
        assert_eq!(run(&args).unwrap().config.poll.count_initial, counts, "{args:?}");
    }
    assert!(
        refused(&["--poll.count-initial=perhaps"])
            .contains("poll.count_initial = \"perhaps\" (--poll.count-initial): true or false is wanted")
    );
}

#[test]
fn what_is_unknown_is_refused_with_what_was_meant() {
    for (args, said) in [
        (vec!["--api.ulr", "x"], "'--api.url'"),
        (vec!["--api.client_id=x"], "'--api.client-id'"),
        (
            vec!["--web.interval=5s"],
            "'--web.interval' found\n\n  tip: did you mean '--poll.interval' or '--otlp.interval'?",
        ),
        (vec!["--log-level", "debug"], "'--log.level'"),
        (vec!["--config=c.yml"], "'--config.file'"),
        (vec!["--api.secret=x"], "api.client_secret has no flag"),
        (vec!["simulate", "--simulator.fault", "1"], "'--simulator.faults'"),
        (vec!["chek-config"], "'check-config'"),
        (vec!["--simulator.seed", "7", "demo"], "'demo --simulator.seed'"),
        (vec!["simulate", "--simulator.faults", "2"], "a number from 0 to 1 is wanted"),
        (vec!["simulate", "--simulator.listen-address", "x"], "host:port is wanted"),
        (vec!["--log.level"], "a value is required"),
    ] {
        let text = refused(&args);
        assert!(text.contains(said), "{args:?}: {text}");
    }
}

#[test]
fn what_is_like_no_flag_is_given_no_guess() {
    assert_eq!(
        refused(&["--verbose"]),
        "error: unexpected argument '--verbose' found\n\nFor more information, try '--help'."
    );
}

#[test]
fn a_secret_as_a_flag_is_refused_unseen() {
    for args in [
        vec!["--api.client-secret", "hunter2"],
        vec!["--api.client-secret=hunter2"],
        vec!["once", "--api.client_secret=hunter2"],
        vec!["--api.client-secrt=hunter2"],
    ] {
        assert!(!refused(&args).contains("hunter2"), "{args:?}");
    }
    assert!(refused(&["--api.client-secret=x"]).contains("set JELOU_EXPORTER_API_CLIENT_SECRET"));
}

#[test]
fn help_of_a_command_says_what_it_does_otherwise() {
    for (args, expected) in [
        (["demo", "--help"], "Defaults of this command:\n  poll.interval: 2s\n"),
        (["demo", "--help"], "Decided by this command, whatever is set:\n  api.*: that of the simulated API\n"),
        (["once", "-h"], "Decided by this command, whatever is set:\n  otlp.traces: false\n"),
    ] {
        let told = run(&args).unwrap_err().to_string();
        assert!(
            told.contains(expected) && told.contains("\n  state.path: \"\"") && !told.contains("127.0.0.1:0"),
            "{told}"
        );
    }
    assert!(!run(&["run", "--help"]).unwrap_err().to_string().contains("of this command"));
}

#[test]
fn help_names_every_setting_by_section() {
    let asked = |args: &[&str]| {
        let stop = run(args).unwrap_err();
        assert_eq!(stop.exit_status(), 0);
        stop.to_string()
    };
    for args in [&["--help"][..], &["simulate", "--help"]] {
        let text = asked(args);
        let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
        for setting in SETTINGS.iter().filter(|setting| !setting.secret) {
            assert!(flat.contains(&format!("--{} <", setting.flag().unwrap())), "{text}");
            assert!(
                flat.contains(&format!("[default: {}] [env: {}]", setting.default_text(), setting.env())),
                "{text}"
            );
        }
        let long = text.lines().find(|line| line.chars().count() > 80 && !line.contains("--"));
        assert_eq!(long, None);
    }
    let text = asked(&["--help"]);
    assert!(
        text.contains("\npoll:\n      --poll.interval <DURATION>\n          From the start of one poll to the start"),
        "{text}"
    );
    let short = asked(&["-h"]);
    assert!(2 * short.lines().count() < text.lines().count(), "{short}");
    assert!(short.contains("--api.client-id") && !short.contains("--api.page-size <"), "{short}");
    for text in [text, short] {
        assert!(text.contains("JELOU_EXPORTER_API_CLIENT_SECRET]"), "{text}");
    }
}

#[test]
fn shells_and_readers_get_their_texts_without_any_configuration() {
    let asked = |args: &[&str]| {
        let stop = invoke(args, &[]).unwrap_err();
        assert_eq!(stop.exit_status(), 0, "{stop}");
        stop.to_string()
    };
    for (shell, mark) in [("bash", "complete -F"), ("zsh", "#compdef jelou-exporter"), ("fish", "complete -c")] {
        let script = asked(&["completions", shell]);
        assert!(script.contains(mark) && script.contains("poll.interval"), "{shell}");
    }
    let page = asked(&["man"]);
    assert!(
        page.contains(".TH jelou-exporter 1")
            && page.contains("check\\-config")
            && page.contains("Base URL; redirects")
            && !page.contains("run(1)"),
        "{page}"
    );
    assert!(refused(&["completions", "smoke"]).contains("bash"));
    assert!(refused(&["completions"]).contains("<SHELL>"));
}

#[test]
fn the_version_is_told() {
    let version = run(&["--version"]).unwrap_err();
    assert_eq!(version.exit_status(), 0);
    let revision = REVISION.map(|revision| format!(" (revision {revision})")).unwrap_or_default();
    assert_eq!(version.to_string(), format!("jelou-exporter {VERSION}{revision}"));
}

#[test]
fn a_configuration_that_cannot_be_used_is_told_whole() {
    insta::assert_snapshot!(
        invoke(&["--api.page-size", "0", "--config.file", "/no"], &[("JELOU_EXPORTER_LOG_LVL", "x")]).unwrap_err(),
        @r#"
    error: the configuration cannot be used (3 problems):
      config.file (/no): the file cannot be read: entity not found
      JELOU_EXPORTER_LOG_LVL: unknown environment variable; did you mean JELOU_EXPORTER_LOG_LEVEL?
      api.page_size = "0" (--api.page-size): a whole number from 1 to 1000 is wanted
    "#
    );
}

#[test]
fn bash_completes_behind_every_subcommand() {
    let script = manual::completions(clap_complete::Shell::Bash);
    let names: Vec<_> =
        script.lines().filter_map(|line| line.trim().strip_prefix("cmd=\"")?.strip_suffix('"')).collect();
    assert!(names.iter().any(|name| name.ends_with("simulate")), "{script}");
    for name in names.iter().filter(|name| !name.is_empty()) {
        assert!(script.contains(&format!("        {name})\n")), "nothing is known of {name}");
    }
}
