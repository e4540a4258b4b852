use std::fs;
use std::time::Duration;

use hatrace_core::config::{Limit, ProxyMode, TimeoutKind};

use super::*;

const SITE: &str = r#"
global
    maxconn 4000
    hard-stop-after 10m
    stats socket /run/a.sock mode 660 level admin # stats socket /run/no.sock
    setenv FIN 30s

defaults base
    mode http
    timeout connect 5000
    timeout client 1m
    timeout server 1m
    timeout tunnel 1h
    option abortonclose

defaults tcp from base
    mode tcp
    no option abortonclose
    timeout client-fin "${FIN}"
    maxconn 900

frontend fe from base
    bind :80,:81 name web tcp-ut 20s
    bind unix@/run/f.sock,:82
    timeout client 10s
    maxconn 500
    http-request set-timeout server 5s if { path /slow }
    default_backend be

listen tls
    bind 10.0.0.1:443
    default-server maxconn 50 tcp-ut 30s
    server s1 10.0.0.7:443 check
    server s2 10.0.0.8:443 maxconn 7 source 10.0.0.2

backend be from base
    timeout server 0
    timeout client 7s
    timeout nonsense 3
    timeout queue soon
    server app app.example.org:80
peers p
    timeout client 1s
"#;

fn whose(folder: &std::path::Path, files: &[&str]) -> Whose {
    Whose {
        arguments: Arguments {
            files: files.iter().map(PathBuf::from).collect(),
            ..Arguments::default()
        },
        roots: vec![PathBuf::from("/")],
        directories: vec![folder.to_path_buf()],
        environment: Environment::new(),
        version: Some("2.6.12".to_owned()),
        started: Some(SystemTime::now() + Duration::from_secs(60)),
    }
}

fn site() -> Configuration {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("site.cfg"), SITE).unwrap();
    whose(folder.path(), &["site.cfg"]).configuration()
}

fn line_of(text: &str) -> u32 {
    let at = SITE.lines().position(|line| line.contains(text)).unwrap();
    u32::try_from(at + 1).unwrap()
}

#[test]
fn a_proxy_has_what_its_defaults_give_it_and_says_where_that_stands() {
    let site = site();
    let fe = site.frontend("fe").unwrap();
    assert_eq!(fe.mode.value, ProxyMode::Http);
    let client = fe.timeout(TimeoutKind::Client).unwrap();
    assert_eq!(client.value, Limit::After(Duration::from_secs(10)));
    assert_eq!(
        client.place.to_string(),
        format!("site.cfg:{}", line_of("timeout client 10s"))
    );
    assert!(!client.inherited);
    // A backend's: not its business.
    assert!(fe.timeout(TimeoutKind::Tunnel).is_none());
    assert!(fe.has("abortonclose"));
    assert_eq!(fe.maxconn.as_ref().unwrap().value, 500);
    assert_eq!(fe.binds.len(), 2);
    assert_eq!(fe.binds[0].tcp_ut, Some(Duration::from_secs(20)));
    assert_eq!(fe.set_timeouts.len(), 1);
    assert_eq!(fe.place.line, line_of("frontend fe"));
    assert!(site.backend("fe").is_none());
}

#[test]
fn defaults_inherit_by_name_and_the_last_one_counts_for_who_names_none() {
    let site = site();
    let tls = site.frontend("tls").unwrap();
    assert_eq!(tls.mode.value, ProxyMode::Tcp);
    assert!(!tls.has("abortonclose"));
    let fin = tls.timeout(TimeoutKind::ClientFin).unwrap();
    assert_eq!(
        (fin.value, fin.inherited),
        (Limit::After(Duration::from_secs(30)), true)
    );
    assert_eq!(
        tls.timeout(TimeoutKind::Connect).unwrap().value,
        Limit::After(Duration::from_secs(5))
    );
    assert_eq!(tls.maxconn.as_ref().unwrap().value, 900);
    let [s1, s2] = tls.servers.as_slice() else {
        panic!()
    };
    assert_eq!((s1.maxconn, s1.tcp_ut), (Some(50), Some(Duration::from_secs(30))));
    assert_eq!((s2.maxconn, s2.source), (Some(7), true));
    assert_eq!(
        &*site.server_at("10.0.0.8:443".parse().unwrap()).unwrap().1.name,
        "s2"
    );
}

#[test]
fn never_is_a_value_and_what_is_wrong_is_a_doubt() {
    let site = site();
    let be = site.backend("be").unwrap();
    assert_eq!(be.timeout(TimeoutKind::Server).unwrap().value, Limit::Never);
    assert!(be.maxconn.is_none());
    assert_eq!(
        site.doubts.iter().map(ToString::to_string).collect::<Vec<_>>(),
        [format!(
            "site.cfg:{} was not understood: a timeout takes a time like 30s",
            line_of("timeout queue")
        )]
    );
    assert_eq!(site.global.maxconn.as_ref().unwrap().value, 4000);
    assert_eq!(
        site.global.hard_stop_after.unwrap().value,
        Duration::from_secs(600)
    );
}

#[test]
fn several_files_and_folders_are_one_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    fs::create_dir_all(folder.path().join("conf.d")).unwrap();
    fs::create_dir_all(folder.path().join("other")).unwrap();
    write("a.cfg", "defaults\n timeout client 5s\n");
    write("conf.d/b.cfg", "frontend one\n");
    write("conf.d/a.cfg", "frontend two\n");
    write("conf.d/.hidden.cfg", "frontend no\n");
    write("conf.d/note.txt", "frontend no\n");
    write("other/z.cfg", "frontend three\n");
    let found = whose(
        folder.path(),
        &["a.cfg", "conf.d", "other/z.cfg", "gone.cfg", "/dev/stdin"],
    )
    .configuration();
    let places: Vec<String> = found
        .proxies
        .iter()
        .map(|proxy| format!("{} {}", proxy.section(), proxy.place))
        .collect();
    assert_eq!(
        places,
        [
            "frontend two conf.d/a.cfg:1",
            "frontend one b.cfg:1",
            "frontend three z.cfg:1"
        ]
    );
    assert!(
        found
            .proxies
            .iter()
            .all(|proxy| proxy.timeout(TimeoutKind::Client).is_some())
    );
    assert_eq!(found.doubts.len(), 2, "{:?}", found.doubts);
    assert!(found.is_stale());
}

#[test]
fn a_file_newer_than_the_process_is_not_what_it_runs_with() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.cfg"), "defaults\n").unwrap();
    let mut whose = whose(folder.path(), &["a.cfg"]);
    assert!(!whose.configuration().is_stale());
    whose.started = Some(SystemTime::now() - Duration::from_secs(60));
    assert!(matches!(
        whose.configuration().doubts.as_slice(),
        [Doubt::Newer { .. }]
    ));
}

#[test]
fn what_depends_on_how_haproxy_was_built_is_uncertain() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("a.cfg"),
        "listen l\n.if feature(OPENSSL)\n timeout client 5s\n.endif\n timeout server 5s\n",
    )
    .unwrap();
    let found = whose(folder.path(), &["a.cfg"]).configuration();
    let proxy = found.frontend("l").unwrap();
    assert!(!proxy.timeout(TimeoutKind::Client).unwrap().certain);
    assert!(proxy.timeout(TimeoutKind::Server).unwrap().certain);
    assert_eq!(
        found.doubts[0].to_string(),
        "the condition at a.cfg:2 (feature(OPENSSL)) can't be decided from outside"
    );
}

#[test]
fn stats_sockets_and_the_frontends_that_look_like_them() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("a.cfg"),
        "global\n  stats socket /run/a.sock mode 660 level admin # stats socket /run/no.sock\n\tstats socket ipv4@127.0.0.1:9999\n\
         frontend f\n  bind unix@/run/f.sock,:80\n  bind abns@g accept-proxy\n  stats socket /run/not-here.sock\n",
    )
    .unwrap();
    let found = whose(folder.path(), &["a.cfg"]).sockets();
    assert_eq!(found.stats, ["/run/a.sock", "ipv4@127.0.0.1:9999"]);
    assert_eq!(found.binds, ["unix@/run/f.sock", "abns@g"]);
}

proptest::proptest! {
    /// Any text at all: no panic, and every line it names exists.
    #[test]
    fn any_text_is_read(text in "(\\PC|[\"'\\\\$#{}\n ]|\\.if|\\.elif|\\.endif|defaults|frontend|timeout client|[0-9]+[smhd]?){0,60}") {
        let environment = Environment::new();
        let mut reader = Reader::new(&environment, None);
        reader.file(&Name::from("x"), &text);
        let (lines, doubts) = reader.done();
        let last = text.lines().count();
        proptest::prop_assert!(lines.iter().all(|line| line.place.line as usize <= last && !line.words.is_empty()));
        let _ = sections::configuration(&lines, doubts);
    }
}
