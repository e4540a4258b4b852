//! Logs of days, and logs that grow: what became more frequent is dated, counts are halog's, rotation loses nothing.

use std::collections::BTreeMap;
use std::io::Write;
use std::thread::sleep;
use std::time::Duration;

use hatrace_tests::ready;
use hatrace_tests::tracer::run;

use super::logs;

/// Lines of an ordinary day, of five days and three frontends; one way to end becomes frequent on the third.
fn busy_days() -> String {
    let mut text = String::new();
    for number in 0..60_000u32 {
        let (day, hour, minute) = (number / 12_000 + 1, number / 500 % 24, number % 500 * 60 / 500);
        let late = day >= 3;
        let code = match number % 100 {
            0 => "sH--",
            1 | 2 => "--NI",
            3 => "--II",
            4..=8 if late => "cD--",
            50 if number % 1000 == 50 => "cD--",
            _ => "--VN",
        };
        let network = if code == "cD--" { 2 } else { number % 7 };
        let frontend = if code == "cD--" { 0 } else { number % 3 };
        let status = if code == "sH--" { 504 } else { 200 };
        text.push_str(&format!(
            "Nov {day:2} {hour:02}:{minute:02}:07 lb haproxy[7]: 10.{network}.0.{}:{} [{day:02}/Nov/2026:{hour:02}:{minute:02}:07.{:03}] fe_{frontend} be/s{} 0/0/1/2/3 {status} 99 - - {code} 1/1/0/0/0 0/0 \"GET /{number} HTTP/1.1\"\n",
            number % 250,
            number % 60_000 + 1024,
            number % 1000,
            number % 4,
        ));
    }
    text
}

#[test]
fn rises_are_dated_and_counts_are_halog_s() {
    if !ready("logs::over_time::rises_are_dated_and_counts_are_halog_s") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("days.log");
    std::fs::write(&file, busy_days()).unwrap();
    let told = logs(&[], &file);
    assert_eq!(
        (&told["sessions"], &told["unparsed"]),
        (&60_000.into(), &0.into())
    );
    let rise = told["endings"]
        .as_array()
        .unwrap()
        .iter()
        .find(|way| way["code"] == "cD")
        .unwrap();
    assert_eq!(rise["frontend"], "fe_0");
    // Midnight, within a step of the five days'.
    let (at, within) = (
        rise["rose_at"].as_str().unwrap(),
        rise["rose_within_s"].as_u64().unwrap(),
    );
    assert!(
        ("2026-11-02 23:20".."2026-11-03 00:00:01").contains(&at) && within < 2400,
        "{rise}"
    );
    assert!(rise["rose_fold"].as_f64().unwrap() > 20.0, "{rise}");
    assert_eq!(rise["networks"][0]["network"], "10.2.0.0/24");
    let steady = told["endings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|way| way["code"] == "sH");
    assert!(steady.clone().count() == 3 && steady.clone().all(|way| way["rose_at"].is_null()));
    // The network itself, too, and no other.
    let network = &told["networks"][0];
    assert_eq!(network["network"], "10.2.0.0/24", "{network}");
    assert!(
        network["rose_at"].as_str().unwrap() > "2026-11-02 12"
            && network["rose_fold"].as_f64().unwrap() > 5.0,
        "{network}"
    );
    let others = told["networks"].as_array().unwrap()[1..].iter();
    assert!(others.clone().count() > 3 && others.clone().all(|other| other["rose_at"].is_null()));
    let verdicts = told["persistence"]["verdicts"].to_string();
    assert!(
        verdicts.contains("names a server that isn't configured any more"),
        "{verdicts}"
    );
    let text = run(&["logs", file.to_str().unwrap()]).stdout;
    assert!(
        text.contains("cD on fe_0 rose ") && text.contains("from 10.2.0.0/24"),
        "{text}"
    );
    let csv = run(&["logs", "--csv", file.to_str().unwrap()]).stdout;
    assert!(
        csv.starts_with("code,severity,frontend,server,network,count,") && csv.contains("cD,anomaly,fe_0,,,"),
        "{csv}"
    );

    // Debian's haproxy package has halog: the counts that both give are the same.
    let halog = |flag: &str| -> BTreeMap<String, u64> {
        let input = std::fs::File::open(&file).unwrap();
        let output = std::process::Command::new("halog")
            .arg(flag)
            .stdin(input)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines()
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(key, count)| Some((key.to_owned(), count.trim().parse().ok()?)))
            .collect()
    };
    let mut codes: BTreeMap<String, u64> = BTreeMap::new();
    for code in told["codes"].as_array().unwrap() {
        *codes
            .entry(code["code"].as_str().unwrap()[..2].to_owned())
            .or_default() += code["count"].as_u64().unwrap();
    }
    assert_eq!(halog("-tc"), codes);
    let statuses: BTreeMap<String, u64> = told["statuses"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["status"].to_string(), row["count"].as_u64().unwrap()))
        .collect();
    assert_eq!(halog("-st"), statuses);
}

#[test]
fn a_log_is_followed_through_its_rotation() {
    if !ready("logs::over_time::a_log_is_followed_through_its_rotation") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("haproxy.log");
    let line = |number: u32, code: &str| {
        format!("10.0.0.7:{number} [20/Nov/2026:09:49:21.290] f_tcp b/s1 1/0/101 5 {code} 1/1/0/0/0 0/0\n")
    };
    let append = |text: &str| {
        let mut log = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&file)
            .unwrap();
        log.write_all(text.as_bytes()).unwrap();
    };
    append(&line(1000, "sD"));
    let mut child = std::process::Command::new(hatrace_tests::tracer::binary())
        .args(["logs", "-F", file.to_str().unwrap()])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let out = std::io::BufReader::new(child.stdout.take().unwrap());
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in std::io::BufRead::lines(out).map_while(Result::ok) {
            let _ = tell.send(line);
        }
    });
    let next = || told.recv_timeout(Duration::from_secs(10)).expect("a line");
    assert!(next().contains("10.0.0.7:1000 sD"));
    append(&line(1001, "--"));
    // Half a line now, the rest later.
    let half = line(1002, "CD");
    append(&half[..40]);
    sleep(Duration::from_millis(500));
    append(&half[40..]);
    assert!(next().contains("10.0.0.7:1002 CD"));
    std::fs::rename(&file, folder.path().join("haproxy.log.1")).unwrap();
    append(&line(1003, "RC"));
    assert!(next().contains("10.0.0.7:1003 RC"));
    // Cut short in place, as `copytruncate` does.
    std::fs::write(&file, "").unwrap();
    sleep(Duration::from_millis(500));
    append(&line(1004, "cD"));
    assert!(next().contains("10.0.0.7:1004 cD"));
    rustix::process::kill_process(
        rustix::process::Pid::from_child(&child),
        rustix::process::Signal::INT,
    )
    .unwrap();
    assert!(child.wait().unwrap().success());
    let rest: Vec<String> = told.iter().collect();
    let rest = rest.join("\n");
    assert!(
        rest.contains("5 lines, 5 sessions") && rest.contains("alarm: 1 of f_tcp ended RC"),
        "{rest}"
    );
}
