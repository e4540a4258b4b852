//! Lines as HAProxy wrote them (2.6.12, 3.0.11, 3.2.26), and what is left of them when somebody has been at them.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use proptest::prelude::*;

use super::*;

/// Captured; header, format and ending differ.
const LINES: [&str; 15] = [
    r#"<134>Nov 20 09:49:15 localhost hatr[7459]: 127.0.0.1:41142 [20/Nov/2026:09:49:15.083] f_http b/s1 0/0/0/0/0 200 52 - - ---- 1/1/0/0/0 0/0 "GET /x HTTP/1.1""#,
    r#"<142>1 2026-11-20T09:49:15.083817+00:00 - hatr 7459 - - 127.0.0.1:41142 [20/Nov/2026:09:49:15.083] f_http b/s1 0/0/0/0/0 200 52 - - ---- 1/1/0/0/0 0/0 "GET /x HTTP/1.1""#,
    r#"<6>2026-11-20T09:49:15.083829+00:00 127.0.0.1:41142 [20/Nov/2026:09:49:15.083] f_http b/s1 0/0/0/0/0 200 52 - - ---- 1/1/0/0/0 0/0 "GET /x HTTP/1.1""#,
    r#"<6>127.0.0.1:41148 [20/Nov/2026:09:49:15.384] f_http b/s1 0/0/0/-1/1001 504 198 - - sH-- 1/1/0/0/0 0/0 "GET /hang HTTP/1.1""#,
    r#"127.0.0.1:48428 [20/Nov/2026:09:49:17.987] f_http f_http/<NOSRV> -1/-1/-1/-1/1001 408 0 - - cR-- 1/1/0/0/0 0/0 "<BADREQ>""#,
    r#"127.0.0.1 - - [20/Nov/2026:09:49:20 +0000] "GET /x HTTP/1.1" 200 52 "" "" 58914 988 "f_clf" "b" "s1" 0 0 0 0 0 ---- 1 1 0 0 0 0 0 "" """#,
    r"127.0.0.1:58226 [20/Nov/2026:09:49:21.290] f_tcp b_tcp/s1 1/0/101 5 -- 1/1/0/0/0 0/0",
    r#"127.0.0.1:50886 [20/Nov/2026:09:49:21.695] f_https~ b/s1 0/0/0/1/1 200 52 - - ---- 1/1/0/0/0 0/0 "GET /x HTTP/1.1" 0/0000000000000000/0/0/0 -/TLSv1.3/TLS_AES_256_GCM_SHA384"#,
    r"127.0.0.1:50900 [20/Nov/2026:09:49:21.996] f_https/1: SSL handshake failure (error:0A00010B:SSL routines::wrong version number)",
    r#"{"t":"20/Nov/2026:09:49:22.297","ci":"127.0.0.1","cp":36672,"fe":"f_json","be":"b","srv":"s1","TR":0,"Tw":0,"st":200,"B":52,"tsc":"----","ts":"--"}"#,
    "Connect from 127.0.0.1:46304 to 127.0.0.1:18006 (f_nolog/HTTP)",
    r#"{"MESSAGE":"2001:db8::7:5555 [20/Nov/2026:09:49:23.901] f_px b/s1 0/0/0/0/+0 200 +52 - - --VN 1/1/0/0/0 0/0 {a|b} \"GET /x\"y HTTP/1.1\"","_PID":"77"}"#,
    "Nov 20 09:49:15 lb haproxy[1]: Server b/s1 is DOWN, reason: Layer4 timeout, check duration: 2001ms.",
    r#"127.0.0.1:41142 [20/Nov/2026:09:49:15.083] f_http b/s1 0/0/0/0/0 200 52 - - CD-- 1/1/0/0/0 0/0 "GET /cut/off/because/it/is/too/lo"#,
    "an unknown header, 127.0.0.1:58226 [20/Nov/2026:09:49:21.290] f_tcp b_tcp/s1 1/0/101 5 cD 1/1/0/0/0 0/0",
];

fn read(line: &str) -> String {
    let mut scratch = Scratch::default();
    match Reader::new(Vec::new()).read(line.as_bytes(), &mut scratch) {
        Line::Session(entry) => {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            format!(
                "{} {}:{} {} {}/{} status {} bytes {} pid {} total {}{}{}",
                entry.code.map(|code| code.to_string()).unwrap_or_default(),
                entry.client.map(|ip| ip.to_string()).unwrap_or_default(),
                entry.client_port.unwrap_or(0),
                text(entry.frontend),
                text(entry.backend),
                text(entry.server),
                entry.status.unwrap_or(0),
                entry.bytes.unwrap_or(0),
                entry.pid.unwrap_or(0),
                entry.total.unwrap_or(-9),
                if entry.early { " early" } else { "" },
                if entry.truncated { " truncated" } else { "" },
            )
        }
        Line::Connection(_) => "connection".to_owned(),
        Line::Message(_) => "message".to_owned(),
        Line::Unknown(_) => "unknown".to_owned(),
        Line::Blank => "blank".to_owned(),
    }
}

#[test]
fn captured_lines_say_what_they_say() {
    let expected = [
        "---- 127.0.0.1:41142 f_http b/s1 status 200 bytes 52 pid 7459 total 0",
        "---- 127.0.0.1:41142 f_http b/s1 status 200 bytes 52 pid 7459 total 0",
        "---- 127.0.0.1:41142 f_http b/s1 status 200 bytes 52 pid 0 total 0",
        "sH-- 127.0.0.1:41148 f_http b/s1 status 504 bytes 198 pid 0 total 1001",
        "cR-- 127.0.0.1:48428 f_http f_http/<NOSRV> status 408 bytes 0 pid 0 total 1001",
        "---- 127.0.0.1:58914 f_clf b/s1 status 200 bytes 52 pid 0 total 0",
        "-- 127.0.0.1:58226 f_tcp b_tcp/s1 status 0 bytes 5 pid 0 total 101",
        "---- 127.0.0.1:50886 f_https b/s1 status 200 bytes 52 pid 0 total 1",
        "connection",
        "---- 127.0.0.1:36672 f_json b/s1 status 200 bytes 52 pid 0 total -9",
        "connection",
        "--VN 2001:db8::7:5555 f_px b/s1 status 200 bytes 52 pid 77 total 0 early",
        "message",
        "CD-- 127.0.0.1:41142 f_http b/s1 status 200 bytes 52 pid 0 total -9 truncated",
        "cD 127.0.0.1:58226 f_tcp b_tcp/s1 status 0 bytes 5 pid 0 total 101",
    ];
    for (line, expected) in LINES.iter().zip(expected) {
        let expected = expected.replace("total -9 truncated", "total 0 truncated");
        assert_eq!(read(line), expected, "{line}");
    }
    assert_eq!(read("\r\n"), "blank");
    assert_eq!(read("garbage"), "unknown");
    assert_eq!(read(&LINES[6].replace(" -- ", " 12 ")), "unknown");
}

#[test]
fn a_client_can_not_write_another_line_s_figures() {
    // A request that looks like the rest of a line.
    let line = LINES[0].replace(
        "GET /x",
        r#"GET /x" 0/0/0/0/0 500 1 - - sD-- 9/9/9/9/9 0/0 "GET /y"#,
    );
    assert!(
        read(&line).starts_with("---- 127.0.0.1:41142 f_http b/s1 status 200"),
        "{}",
        read(&line)
    );
}

#[test]
fn formats_of_one_s_own() {
    let own = |text: &str| Format::parse("own", text);
    let line = b"77 [2001:db8::7]:443 -> be_1;s1 sD {say \"hi\"} \"GET /\"";
    let format = own(r#"%pid [%ci]:%cp -> %b;%s %ts {%[capture.req.hdr(0)]} %{+Q}r"#).unwrap();
    let entry = format.read(line).unwrap();
    assert_eq!((entry.pid, entry.client_port), (Some(77), Some(443)));
    assert_eq!((entry.backend, entry.server), (&b"be_1"[..], &b"s1"[..]));
    assert_eq!(entry.code.unwrap().to_string(), "sD");
    // As a configuration escapes it, with flags for all, with names, and with captures that are not there.
    assert!(
        own(r"%ci:%cp\ [%t]\ %ts")
            .unwrap()
            .read(b"10.0.0.1:1 [20/Nov/2026:09:49:15.083] CD")
            .is_some()
    );
    let escaped = own(r#"%{+Q,+E}o %ts %r %b"#).unwrap();
    assert_eq!(
        escaped.read(br#""CD" "GET /\"x\" y" "be""#).unwrap().uri,
        br#"GET /\"x\" y"#
    );
    assert!(own("%ts %hr %hs %b").unwrap().read(b"CD be").is_some());
    assert!(
        own("%ts %hr %hs %b")
            .unwrap()
            .read(b"CD {a b|c} {d} be")
            .is_some()
    );
    let json = own("%{+json}o %(when)t %(how)ts %(who:str)ci %(fe)f").unwrap();
    let mut reader = Reader::new(vec![json]);
    let mut scratch = Scratch::default();
    let line = br#"{"when": "20/Nov/2026:09:49:15.083", "how": "sD", "who": "10.0.0.7", "fe": "web"}"#;
    let Line::Session(entry) = reader.read(line, &mut scratch) else {
        panic!("not read")
    };
    assert_eq!(
        (entry.code.unwrap().to_string().as_str(), entry.frontend),
        ("sD", &b"web"[..])
    );
    for (text, why) in [
        ("%zz", "no variable"),
        ("nothing", "no variable in it"),
        ("%ci%cp", "follow each other"),
        ("%{+Q", "not closed"),
        ("%[src", "not closed"),
        ("%{+cbor}o %ci", "aren't text"),
    ] {
        assert!(own(text).unwrap_err().contains(why), "{text}: {:?}", own(text));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn whatever_it_is_nothing_falls_over(
        line in 0..LINES.len(),
        changes in proptest::collection::vec((any::<u16>(), any::<u8>(), any::<bool>()), 0..12),
        cut in any::<u16>(),
    ) {
        let mut bytes = LINES[line].as_bytes().to_vec();
        for (at, byte, insert) in changes {
            let at = usize::from(at) % bytes.len().max(1);
            if insert { bytes.insert(at, byte) } else { bytes[at] = byte }
        }
        bytes.truncate(usize::from(cut) % (bytes.len() * 2) + 1);
        let mut scratch = Scratch::default();
        let mut reader = Reader::new(Vec::new());
        let told = reader.read(&bytes, &mut scratch);
        let mut tally = hatrace_core::log::Tally::default();
        match told {
            Line::Session(entry) => tally.session(&entry),
            Line::Connection(entry) => tally.connection(&entry),
            Line::Message(_) | Line::Unknown(_) | Line::Blank => {}
        }
        prop_assert!(tally.summary().sessions <= 1);
    }

    #[test]
    fn any_format_is_taken_or_refused(text in "[ -~]{0,40}", line in "[ -~]{0,80}") {
        if let Ok(format) = Format::parse("any", &text) {
            let _ = format.read(line.as_bytes());
        }
    }
}
