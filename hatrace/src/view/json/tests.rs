use std::collections::BTreeSet;

use hatrace_core::ids::{Cookie, Pid};
use hatrace_core::sock::Side;
use hatrace_core::tcp::TcpState;

use super::*;
use crate::view::sample::{self, text};

fn parsed(view: &str, page: &Page) -> Value {
    let written = text(|out| write(out, view, &sample::snapshot(), &sample::context(), page));
    assert_eq!(written.lines().count(), 1);
    serde_json::from_str(&written).unwrap()
}

fn has(object: &Value, keys: &str) {
    let there: BTreeSet<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
    for key in keys.split_whitespace() {
        assert!(there.contains(key), "no {key} in {object}");
    }
}

#[test]
fn every_key_of_the_contract_is_there() {
    for view in ["report", "stuck"] {
        let all = parsed(view, &Page::default());
        has(
            &all,
            "schema view target window totals dwell lingering culprits notices",
        );
        assert_eq!(all["schema"], 1);
        assert_eq!(all["view"], view);
        has(&all["target"], "pids haproxy_version mode");
        has(&all["window"], "started_at seconds");
        has(&all["totals"], "sockets adopted transitions lost with_session");
        for row in all["dwell"].as_array().unwrap() {
            has(
                row,
                "side state ended open p50_s p90_s p99_s max_s buckets between_sweeps",
            );
        }
        let lingering = all["lingering"].as_array().unwrap();
        assert_eq!(lingering.len(), 5);
        for row in lingering {
            has(
                row,
                "cookie side state holder age_s age_bound age_max_s local peer proxy server pid fd session pair \
                 unread_bytes unacked_bytes retransmits first_fin clock adopted end",
            );
            has(&row["clock"], "name source fires_in_s");
        }
        for row in all["notices"].as_array().unwrap() {
            has(
                row,
                "rank peer proxy server side state open ended socket_seconds p99_s verdict responsible confidence \
                 because fix",
            );
        }
    }
}

#[test]
fn values_are_the_snapshot_s() {
    let all = parsed("report", &Page::default());
    assert_eq!(all["target"]["pids"], json!([5108, 5106]));
    assert_eq!(all["target"]["mode"], "traced");
    assert_eq!(
        all["window"],
        json!({ "started_at": "2026-11-20T09:44:00Z", "seconds": 34.2 })
    );
    assert_eq!(all["totals"]["sockets"], 1284);
    assert_eq!(all["dwell"][0]["p50_s"], 5.96);
    assert_eq!(
        all["dwell"][0]["buckets"][4],
        json!({ "low_s": 10.0, "high_s": null, "ended": 0, "open": 2 })
    );
    assert_eq!(all["notices"][0]["verdict"], "records-lost");
    assert!(all.get("truncated").is_none());
    assert_eq!(
        all["lingering"][1],
        json!({
            "host": "lb1", "cookie": "0x2b", "side": "server", "state": "CLOSE_WAIT", "holder": "held",
            "age_s": 124.0, "age_bound": "between", "age_max_s": 310.0, "end": "exact",
            "local": "127.0.0.1:37956", "peer": "127.0.0.2:29001", "netns": 4_026_531_840_u32,
            "proxy": null, "server": null, "pid": 5108, "fd": 18, "session": null, "session_state": null, "session_facts": null,
            "without_session": "unsure", "pair": null,
            "unread_bytes": 12, "unacked_bytes": 0, "retransmits": 0, "first_fin": "peer", "adopted": true,
            "clock": { "name": null, "source": null, "fires_in_s": null, "length_s": null, "certain": false },
            "verdict": "peer-never-closes",
        })
    );
    assert_eq!(
        all["lingering"][3]["clock"],
        json!({ "name": "tcp_fin_timeout", "source": "kernel", "fires_in_s": 57.7, "length_s": null, "certain": true })
    );
    assert_eq!(all["lingering"][3]["end"], "polled");
    let named = &all["lingering"][0];
    assert_eq!(named["session"], "0x55e4635ad1b0");
    assert_eq!(named["session_state"], "live");
    assert_eq!(
        (&named["proxy"], &named["server"]),
        (&json!("fe_http"), &json!("srv2"))
    );
    assert_eq!(
        named["pair"],
        json!({ "cookie": "0x2b", "state": "CLOSE_WAIT", "side": "server" })
    );
    assert_eq!(named["session_facts"]["backend"], "be_app");
    assert_eq!(all["totals"]["with_session"], 1);
    assert_eq!(all["target"]["api"][0]["socket"], "/run/haproxy/admin.sock");
    assert_eq!(all["target"]["api"][0]["share"], 0.000_363);
    assert_eq!(all["lingering"][4]["peer"], Value::Null);
}

#[test]
fn keys_stand_in_the_contract_s_order() {
    let written = text(|out| {
        write(
            out,
            "stuck",
            &sample::quiet(),
            &sample::context(),
            &Page::default(),
        )
    });
    assert!(
        written.starts_with("{\"schema\":1,\"view\":\"stuck\",\"target\":{"),
        "{written}"
    );
}

#[test]
fn a_limit_is_told_and_a_selection_selects() {
    let mut page = Page {
        rows: 2,
        ..Page::default()
    };
    let all = parsed("stuck", &page);
    assert_eq!(all["lingering"].as_array().unwrap().len(), 2);
    assert_eq!(all["truncated"], 3);
    page.selection.states = vec![TcpState::CloseWait];
    let all = parsed("stuck", &page);
    assert!(all.get("truncated").is_none());
    assert_eq!(all["dwell"].as_array().unwrap().len(), 1);
    assert_eq!(all["selection"]["states"], json!(["CLOSE_WAIT"]));
}

#[test]
fn percentiles_of_nothing_are_null() {
    let nothing = Dwell {
        ended: 0,
        open: 0,
        ..sample::dwell()
    };
    assert_eq!(dwell(&nothing)["p99_s"], Value::Null);
}

#[test]
fn an_event_is_one_line() {
    let context = sample::context();
    let at = context.started_mono.plus(Duration::from_millis(6757));
    let row = Box::new(sample::snapshot().lingering[0].clone());
    let told = |given: &Event| -> Value {
        let line = text(|out| event(out, given, &context));
        assert_eq!(line.lines().count(), 1);
        serde_json::from_str(&line).unwrap()
    };
    let lingers = told(&Event::Lingers { at, row: row.clone() });
    has(&lingers, "schema view event at socket");
    assert_eq!(lingers["at"], "2026-11-20T09:44:06.757Z");
    assert_eq!(lingers["socket"]["cookie"], "0x2a");
    let left = told(&Event::Left {
        at,
        row: row.clone(),
        next: Next::ProcessEnded(Pid(5108)),
    });
    assert_eq!(
        left["next"],
        json!({ "state": "CLOSE", "how": "process-ended", "pid": 5108 })
    );
    let moved = told(&Event::Transition {
        at,
        transition: Transition {
            cookie: Some(Cookie(0x2a)),
            side: Side::Client,
            from: TcpState::FinWait1,
            to: TcpState::FinWait2,
            endpoints: row.endpoints.unwrap(),
            pid: None,
            sk_err: None,
        },
        held: Some(sample::exact(Duration::from_micros(46_400))),
    });
    assert_eq!(moved["transition"]["held_s"], 0.0464);
    assert_eq!(moved["transition"]["to"], "FIN_WAIT2");
    let ended = told(&Event::Process {
        at,
        change: ProcessChange::Ended { pid: Pid(5108) },
    });
    assert_eq!(
        ended["process"],
        json!({ "change": "ended", "pid": 5108, "parent": null })
    );
}
