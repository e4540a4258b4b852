//! Both stories of one session, and addresses that are used again.

use super::super::said::Proxies;
use super::super::testing::{HOUR, at, connection, line, wall};
use super::*;
use crate::tcp::TcpState;

fn held(stories: &Stories, lines: &[(u64, u64, &[u8])]) -> Held {
    let mut taken = Lines::default();
    for (accepted, total, code) in lines {
        taken.take(&line(*accepted, *total, code), stories);
    }
    taken.hold(stories, wall, (at(0), at(10_000_000)))
}

#[test]
fn the_kernel_s_story_beside_the_log_s() {
    let mut stories = Stories::default();
    // The client's RST, HAProxy's FIN first, the client's FIN, and one that lingered.
    connection(
        &mut stories,
        1,
        Some(1000),
        (TcpState::Established, 2000),
        (TcpState::Established, 2000, 104),
    );
    connection(
        &mut stories,
        2,
        Some(3000),
        (TcpState::FinWait1, 4000),
        (TcpState::FinWait2, 4100, 0),
    );
    connection(
        &mut stories,
        3,
        Some(5000),
        (TcpState::CloseWait, 6000),
        (TcpState::LastAck, 6010, 0),
    );
    connection(
        &mut stories,
        4,
        Some(7000),
        (TcpState::FinWait1, 8000),
        (TcpState::FinWait2, 66_000, 0),
    );
    let told = held(
        &stories,
        &[
            (1000, 1000, b"CD"),
            (3001, 1000, b"CD"),
            (5001, 1005, b"cD"),
            (7000, 1000, b"--"),
        ],
    );
    assert_eq!((told.lines, told.joined, told.zone), (4, 4, HOUR));
    // `cD` an instant after the client's FIN is no contradiction; `CD` without anything of the client's is.
    assert_eq!(
        (told.agree, told.disagree.clone()),
        (3, BTreeMap::from([(Code::parse(b"CD").unwrap(), 1)]))
    );
    assert!(
        told.disagreements[0]
            .kernel
            .starts_with("HAProxy closed its socket while"),
        "{told:?}"
    );
    let lingered = told.lingered[&(Code::parse(b"--").unwrap(), Side::Client)];
    assert_eq!(lingered, (1, Duration::from_millis(58_000)));
    let rst = (Some(Saw::PeerReset), None);
    assert_eq!(told.stories[&(Code::parse(b"CD").unwrap(), rst)].count, 1);
}

/// How one address and port is used again and again, in milliseconds, and what of it isn't told: one of so many, 0 for none.
struct Reuse {
    pause: u64,
    length: u64,
    rest: u64,
    lag: u64,
    without_story: u64,
    without_beginning: u64,
    without_line: u64,
}

/// What is joined is joined right. How many were, of how many lines.
fn joined_again_and_again(reuse: &Reuse) -> (u32, u32) {
    let mut state = 88_172_645_463_325_252u64;
    let mut chance = |most: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % most.max(1)
    };
    let (mut joined, mut all) = (0, 0);
    for _ in 0..200 {
        let (mut stories, mut truth, mut now) = (Stories::default(), Vec::new(), 100_000);
        for cookie in 0..30 {
            let begun = now + chance(reuse.pause);
            let ends = begun + 1 + chance(reuse.length);
            let gone = ends + chance(reuse.rest);
            now = gone;
            let missing = |roll: u64, of: u64| of > 0 && roll == 0;
            if !missing(chance(reuse.without_story), reuse.without_story) {
                let unseen = missing(chance(reuse.without_beginning), reuse.without_beginning);
                let (first, last) = ((TcpState::FinWait1, ends), (TcpState::FinWait2, gone, 0));
                connection(&mut stories, cookie, (!unseen).then_some(begun), first, last);
            }
            // HAProxy closes what it has accepted.
            let accepted = (begun + chance(reuse.lag)).min(ends);
            if !missing(chance(reuse.without_line), reuse.without_line) {
                truth.push((accepted, ends.saturating_sub(accepted), gone));
            }
        }
        let said: Vec<Said> = truth
            .iter()
            .filter_map(|(accepted, total, _)| Said::of(&line(*accepted, *total, b"--"), &Proxies::default()))
            .map(|said| said.by_utc(HOUR))
            .collect();
        let kernel = Kernel {
            stories: &stories,
            wall,
            free: |_| true,
        };
        for ((_, _, gone), found) in truth.iter().zip(join(&said, &kernel)) {
            all += 1;
            if let Some(story) = found.client.and_then(|number| stories.story(number)) {
                joined += 1;
                assert_eq!(story.gone, Some(at(*gone)), "{story:?}");
            }
        }
    }
    (joined, all)
}

#[test]
fn reused_addresses_are_never_joined_wrongly() {
    let slow = Reuse {
        pause: 200,
        length: 3000,
        rest: 100,
        lag: 1,
        without_story: 10,
        without_beginning: 10,
        without_line: 0,
    };
    let (joined, all) = joined_again_and_again(&slow);
    assert!(joined * 100 >= all * 60, "{joined} of {all}");
    // Used again within milliseconds: the order tells, where none is missing.
    let quick = Reuse {
        pause: 3,
        length: 8,
        rest: 2,
        lag: 1,
        without_story: 0,
        without_beginning: 0,
        without_line: 0,
    };
    let (joined, all) = joined_again_and_again(&quick);
    assert!(joined * 100 >= all * 85, "{joined} of {all}");
    // Nor where lines are missing, or HAProxy is busy.
    for (without_line, lag) in [(20, 1), (5, 4), (20, 30)] {
        let (joined, all) = joined_again_and_again(&Reuse {
            without_line,
            lag,
            ..quick
        });
        assert!(joined > 0 && all > 4000, "{joined} of {all}");
    }
}
