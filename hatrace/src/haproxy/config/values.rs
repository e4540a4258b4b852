//! Times and numbers as HAProxy writes them (configuration manual, section 2.5: a bare number is milliseconds).

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hatrace_core::config::Limit;
use hatrace_core::sock::fold;

/// A time; without a unit it is milliseconds.
#[must_use]
pub fn time(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let number: u64 = number.parse().ok()?;
    let seconds = |each: u64| number.checked_mul(each).map(Duration::from_secs);
    match unit {
        "us" => Some(Duration::from_micros(number)),
        "" | "ms" => Some(Duration::from_millis(number)),
        "s" => seconds(1),
        "m" => seconds(60),
        "h" => seconds(3600),
        "d" => seconds(86_400),
        _ => None,
    }
}

/// A timeout: 0 is never. What is shorter than a millisecond is one: HAProxy rounds up to its clock.
#[must_use]
pub fn limit(text: &str) -> Option<Limit> {
    let time = time(text)?;
    Some(if time.is_zero() {
        Limit::Never
    } else {
        Limit::After(time.max(Duration::from_millis(1)))
    })
}

/// The address of a server or a listener where it is one as a number: `10.0.0.7:80`, `ipv4@10.0.0.7:80`, `[::1]:80`, `::1:80`.
#[must_use]
pub fn address(text: &str) -> Option<SocketAddr> {
    let bare = text
        .strip_prefix("ipv4@")
        .or_else(|| text.strip_prefix("ipv6@"))
        .unwrap_or(text);
    let (host, port) = bare.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    let ip: IpAddr = match host {
        "" | "*" => "0.0.0.0",
        host => host,
    }
    .parse()
    .ok()?;
    Some(fold(SocketAddr::new(ip, port)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times() {
        let ms = Duration::from_millis;
        for (text, expected) in [
            ("5000", Some(ms(5000))),
            ("30s", Some(ms(30_000))),
            ("1m", Some(ms(60_000))),
            ("2h", Some(ms(7_200_000))),
            ("1d", Some(ms(86_400_000))),
            ("1500us", Some(Duration::from_micros(1500))),
            ("10ms", Some(ms(10))),
            ("1h30m", None),
            ("s", None),
            ("", None),
            ("99999999999999999999", None),
            ("99999999999999999d", None),
        ] {
            assert_eq!(time(text), expected, "{text}");
        }
        assert_eq!(limit("0"), Some(Limit::Never));
        assert_eq!(limit("10us"), Some(Limit::After(ms(1))));
        assert_eq!(limit("fast"), None);
    }

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("10.0.0.7:80", Some("10.0.0.7:80")),
            ("ipv4@10.0.0.7:80", Some("10.0.0.7:80")),
            ("[2001:db8::1]:443", Some("[2001:db8::1]:443")),
            ("::1:443", Some("[::1]:443")),
            (":443", Some("0.0.0.0:443")),
            ("*:443", Some("0.0.0.0:443")),
            ("::ffff:10.0.0.7:80", Some("10.0.0.7:80")),
            ("app.example.org:80", None),
            ("/run/app.sock", None),
            ("10.0.0.7", None),
        ] {
            assert_eq!(
                address(text),
                expected.map(|text| text.parse().unwrap()),
                "{text}"
            );
        }
    }
}
