//! A log with everything in it that a log must not have: it is read to its end, and every line is accounted for.

use std::io::Write;

use hatrace_tests::ready;
use hatrace_tests::tracer::run;
use serde_json::Value;

use super::logs;

fn good(number: u32) -> Vec<u8> {
    format!(
        "Nov 20 09:49:15 lb haproxy[7]: 10.0.0.{}:{} [20/Nov/2026:09:49:15.083] fe be/s1 0/0/1/2/3 200 99 - - ---- 1/1/0/0/0 0/0 \"GET /{number} HTTP/1.1\"",
        number % 250,
        1024 + number % 60_000,
    )
    .into_bytes()
}

/// Numbers by chance, always the same.
struct Chance(u64);

impl Chance {
    fn next(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % most as u64).unwrap()
    }
}

fn sum(told: &Value) -> u64 {
    ["parsed", "messages", "unparsed"]
        .iter()
        .map(|key| told[*key].as_u64().unwrap())
        .sum()
}

#[test]
fn every_line_of_a_broken_log_is_accounted_for() {
    if !ready("logs::corpus::every_line_of_a_broken_log_is_accounted_for") {
        return;
    }
    let mut chance = Chance(88_172_645_463_325_252);
    let (mut text, mut lines, mut whole) = (Vec::new(), 0u64, 0u64);
    for number in 0..20_000u32 {
        let mut line = good(number);
        match number % 10 {
            // Bytes turned, of which a line may well survive.
            0 => {
                for _ in 0..1 + chance.next(8) {
                    let at = chance.next(line.len());
                    line[at] = u8::try_from(chance.next(256)).unwrap();
                }
                line.retain(|byte| *byte != b'\n');
            }
            // Cut off.
            1 => line.truncate(chance.next(line.len())),
            // Nothing but garbage, with what moves a cursor.
            2 => {
                line = (0..chance.next(2000))
                    .map(|_| u8::try_from(chance.next(256)).unwrap())
                    .collect();
                line.extend(b"\x1b[2J\x1b]0;owned\x07\xe2\x80\xae");
                line.retain(|byte| *byte != b'\n');
            }
            3 => {
                line.push(b'\r');
                whole += 1;
            }
            // A request of a megabyte, less than a line may have; and more.
            4 if number % 1000 == 4 => {
                line.extend(std::iter::repeat_n(b'a', 1_000_000));
                line.push(b'"');
                whole += 1;
            }
            4 if number % 1000 == 14 => line.extend(std::iter::repeat_n(b'a', 5 << 20)),
            _ => whole += 1,
        }
        // What has nothing in it is no line.
        lines += u64::from(line.iter().any(|byte| !matches!(byte, b'\r' | b' ' | 0)));
        text.extend(line);
        text.push(b'\n');
    }
    // The last one has no end.
    text.extend(good(1));
    (lines, whole) = (lines + 1, whole + 1);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("broken.log");
    std::fs::write(&file, &text).unwrap();
    let told = logs(&[], &file);
    assert_eq!(
        (&told["lines"], sum(&told)),
        (&lines.into(), lines),
        "{}",
        told["examples"][0]
    );
    let parsed = told["parsed"].as_u64().unwrap();
    assert!(
        (whole..whole + 4000).contains(&parsed),
        "{parsed} of {whole} whole ones"
    );
    // The same from a pipe, packed, and when it is read as text: nothing that a terminal would obey.
    let packed = folder.path().join("broken.log.gz");
    let mut gzip = flate2::write::GzEncoder::new(
        std::fs::File::create(&packed).unwrap(),
        flate2::Compression::fast(),
    );
    gzip.write_all(&text).unwrap();
    gzip.finish().unwrap();
    let again = logs(&[], &packed);
    assert_eq!(
        (&again["lines"], &again["codes"]),
        (&told["lines"], &told["codes"])
    );
    let page = run(&["logs", "--unparsed", "-n", "all", file.to_str().unwrap()]);
    assert!(page.status.success(), "{}", page.stderr);
    assert!(
        page.stdout
            .chars()
            .all(|c| c == '\n' || !c.is_control() && c != '\u{202e}'),
        "{}",
        page.stdout
    );
    // A packed file that is cut off: what could be read is told, and that it isn't all.
    let half = folder.path().join("half.log.gz");
    let bytes = std::fs::read(&packed).unwrap();
    std::fs::write(&half, &bytes[..bytes.len() / 2]).unwrap();
    let cut = run(&["logs", "--json", half.to_str().unwrap()]);
    assert!(
        !cut.status.success() && cut.stderr.contains("half.log.gz"),
        "{}",
        cut.stderr
    );
    let cut: Value = serde_json::from_str(&cut.stdout).unwrap();
    assert!(cut["lines"].as_u64().unwrap() > 1000 && cut["failures"][0].is_string());
}
