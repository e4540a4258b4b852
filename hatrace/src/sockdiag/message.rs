//! The wire format of `SOCK_DIAG_BY_FAMILY`: requests and answers (`include/uapi/linux/inet_diag.h`).
//!
//! Pure, and tolerant: newer kernels append to `tcp_info` and add attributes, older ones are shorter. The crate there is
//! drops the remaining time of a timewait, the one number this program is about.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hatrace_core::ids::Cookie;
use hatrace_core::sock::{Endpoints, Quiet, Timer};
use hatrace_core::tcp::{StateSet, TcpState};

const TCPDIAG_GETSOCK: u16 = 18;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_ULP_INFO: u16 = 19;
const INET_ULP_INFO_NAME: u16 = 1;
/// `NLA_TYPE_MASK`: the kind of an attribute, without its flags.
const KIND: u16 = 0x3fff;
const IPPROTO_TCP: u8 = 6;
const NO_COOKIE: [u8; 8] = [0xff; 8];
/// `struct nlmsghdr`.
const HEADER: usize = 16;
/// `struct inet_diag_msg`.
const MESSAGE: usize = 72;

/// One socket as sock_diag tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct DiagRow {
    /// Cookie.
    pub cookie: Cookie,
    /// A timewait mini-socket.
    pub timewait: bool,
    /// State; a timewait's substate.
    pub state: TcpState,
    /// Between whom.
    pub endpoints: Endpoints,
    /// Inode; `None`: an orphan, a timewait, or not accepted yet.
    pub inode: Option<u64>,
    /// Unread bytes; of a listener: connections waiting to be accepted.
    pub unread: u32,
    /// Unacknowledged bytes; of a listener: the backlog.
    pub unacked: u32,
    /// `icsk_retransmits`.
    pub retransmits: u8,
    /// The timer that runs.
    pub timer: Timer,
    /// From `tcp_info`.
    pub quiet: Option<Quiet>,
    /// `tcpi_rto`.
    pub rto: Option<Duration>,
    /// `tcpi_bytes_received`.
    pub received: Option<u64>,
    /// Something has taken the socket over that is called `mptcp` (`icsk_ulp_ops`).
    pub mptcp: bool,
}

impl DiagRow {
    /// A subflow of an MPTCP connection: its states are not those of the connection, whose inode it bears. A listener for such
    /// connections is one for plain TCP as well.
    #[must_use]
    pub fn is_subflow(&self) -> bool {
        self.mptcp && self.state != TcpState::Listen
    }
}

/// What a datagram of answers ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum More {
    /// There is more to come.
    Yes,
    /// That was all. `interrupted`: the tables changed under the dump; rows may be missing.
    Done {
        /// `NLM_F_DUMP_INTR`.
        interrupted: bool,
    },
    /// The kernel refused, by errno.
    Refused(i32),
}

/// A request for all TCP sockets in any of `states`, of both families: the older form (`struct inet_diag_req`), which walks the
/// kernel's tables once. The newer one asks by family, and walks them twice.
#[must_use]
pub fn request(states: StateSet) -> [u8; 76] {
    let mut bytes = [0u8; 76];
    head(&mut bytes, TCPDIAG_GETSOCK);
    bytes[HEADER + 3] = 1 << (INET_DIAG_INFO - 1);
    bytes[60..68].copy_from_slice(&NO_COOKIE);
    bytes[68..72].copy_from_slice(&states.bits().to_ne_bytes());
    bytes
}

/// The same for a family alone, in the newer form (`struct inet_diag_req_v2`).
#[must_use]
pub fn request_of(family: u8, states: StateSet) -> [u8; 72] {
    let mut bytes = [0u8; 72];
    head(&mut bytes, SOCK_DIAG_BY_FAMILY);
    bytes[HEADER] = family;
    bytes[HEADER + 1] = IPPROTO_TCP;
    bytes[HEADER + 2] = 1 << (INET_DIAG_INFO - 1);
    bytes[HEADER + 4..HEADER + 8].copy_from_slice(&states.bits().to_ne_bytes());
    bytes[64..72].copy_from_slice(&NO_COOKIE);
    bytes
}

/// `struct nlmsghdr` of a dump's request.
fn head<const N: usize>(bytes: &mut [u8; N], kind: u16) {
    let length = u32::try_from(N).unwrap_or(0);
    bytes[0..4].copy_from_slice(&length.to_ne_bytes());
    bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
    bytes[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_DUMP).to_ne_bytes());
}

fn bytes_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes_at(bytes, at).map(u32::from_ne_bytes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes_at(bytes, at).map(u16::from_ne_bytes)
}

/// Reads a datagram of answers, appending its sockets. A message that makes no sense is passed over, and counted in `malformed`.
pub fn answers(mut bytes: &[u8], rows: &mut Vec<DiagRow>, malformed: &mut u64) -> More {
    let mut interrupted = false;
    while let (Some(length), Some(kind), Some(flags)) = (u32_at(bytes, 0), u16_at(bytes, 4), u16_at(bytes, 6))
    {
        let length = length as usize;
        if length < HEADER || length > bytes.len() {
            *malformed += 1;
            break;
        }
        interrupted |= flags & NLM_F_DUMP_INTR != 0;
        let body = &bytes[HEADER..length];
        match kind {
            NLMSG_DONE => return More::Done { interrupted },
            NLMSG_ERROR => {
                let code = bytes_at(body, 0).map_or(0, i32::from_ne_bytes);
                return More::Refused(code.saturating_neg());
            }
            TCPDIAG_GETSOCK | SOCK_DIAG_BY_FAMILY => match socket(body) {
                Some(row) => rows.push(row),
                None => *malformed += 1,
            },
            _ => {}
        }
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    More::Yes
}

/// `struct inet_diag_msg` and its attributes.
fn socket(body: &[u8]) -> Option<DiagRow> {
    const AF_INET: u8 = 2;
    const TIMEWAIT: u8 = 3;
    let (family, state, timer, retransmits) = (*body.first()?, *body.get(1)?, *body.get(2)?, *body.get(3)?);
    let port = |at| bytes_at(body, at).map(u16::from_be_bytes);
    let address = |at: usize| -> Option<IpAddr> {
        Some(if family == AF_INET {
            IpAddr::V4(Ipv4Addr::from(bytes_at::<4>(body, at)?))
        } else {
            IpAddr::V6(Ipv6Addr::from(bytes_at::<16>(body, at)?))
        })
    };
    let local = SocketAddr::new(address(8)?, port(4)?);
    let peer = SocketAddr::new(address(24)?, port(6)?);
    let cookie = u64::from(u32_at(body, 44)?) | u64::from(u32_at(body, 48)?) << 32;
    // A timer that is due already is told as a negative number; the wheel fires up to an eighth late.
    let left = Duration::from_millis(u64::from(u32_at(body, 52)?.cast_signed().max(0).cast_unsigned()));
    let inode = u32_at(body, 68)?;
    // A request socket and a timewait have none.
    let attributes = body.get(MESSAGE..).unwrap_or_default();
    let info = attribute(attributes, INET_DIAG_INFO);
    let layer = attribute(attributes, INET_DIAG_ULP_INFO).and_then(|ulp| attribute(ulp, INET_ULP_INFO_NAME));
    Some(DiagRow {
        cookie: Cookie(cookie),
        timewait: timer == TIMEWAIT,
        state: TcpState::from_kernel(state)?,
        endpoints: Endpoints::new(local, peer),
        inode: (inode != 0).then_some(u64::from(inode)),
        unread: u32_at(body, 56)?,
        unacked: u32_at(body, 60)?,
        retransmits,
        timer: match timer {
            1 => Timer::Retransmit(left),
            2 => Timer::Keepalive(left),
            TIMEWAIT => Timer::Timewait(left),
            4 => Timer::Probe(left),
            _ => Timer::None,
        },
        quiet: info.and_then(quiet),
        // tcpi_rto at 8, in microseconds.
        rto: info
            .and_then(|info| u32_at(info, 8))
            .map(|us| Duration::from_micros(u64::from(us))),
        // tcpi_bytes_received at 128.
        received: info.and_then(|info| bytes_at(info, 128).map(u64::from_ne_bytes)),
        mptcp: layer.is_some_and(|name| name.starts_with(b"mptcp")),
    })
}

/// What an attribute of that kind holds (`struct nlattr`).
fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    while let (Some(length), Some(kind)) = (u16_at(attributes, 0), u16_at(attributes, 2)) {
        let length = usize::from(length);
        let value = attributes.get(4..length)?;
        if kind & KIND == wanted {
            return Some(value);
        }
        attributes = attributes.get(length.next_multiple_of(4).max(4)..)?;
    }
    None
}

/// Its times: tcpi_last_data_sent at 44, _last_ack_sent 48 (always 0), _last_data_recv 52, _last_ack_recv 56.
fn quiet(info: &[u8]) -> Option<Quiet> {
    let ms = |at| u32_at(info, at).map(|ms| Duration::from_millis(u64::from(ms)));
    Some(Quiet {
        data_sent: ms(44)?,
        data_received: ms(52)?,
        ack_received: ms(56)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An orphaned FIN_WAIT2 as a 6.18 kernel tells it: a timewait, 57.784 s left.
    fn timewait() -> Vec<u8> {
        let mut body = vec![0u8; MESSAGE];
        body[0] = 2;
        body[1] = 5;
        body[2] = 3;
        body[4..6].copy_from_slice(&443u16.to_be_bytes());
        body[6..8].copy_from_slice(&50000u16.to_be_bytes());
        body[8..12].copy_from_slice(&[127, 0, 0, 1]);
        body[24..28].copy_from_slice(&[10, 0, 0, 7]);
        body[44..48].copy_from_slice(&42u32.to_ne_bytes());
        body[52..56].copy_from_slice(&57_784u32.to_ne_bytes());
        body
    }

    fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0u8; HEADER];
        bytes[0..4].copy_from_slice(&u32::try_from(HEADER + body.len()).expect("short").to_ne_bytes());
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn a_timewait_keeps_its_time() {
        let mut datagram = message(SOCK_DIAG_BY_FAMILY, &timewait());
        datagram.extend(message(NLMSG_DONE, &[0; 4]));
        let (mut rows, mut malformed) = (Vec::new(), 0);
        assert_eq!(
            answers(&datagram, &mut rows, &mut malformed),
            More::Done { interrupted: false }
        );
        let row = &rows[0];
        assert!(row.timewait && row.state == TcpState::FinWait2 && row.inode.is_none() && malformed == 0);
        assert_eq!(row.timer, Timer::Timewait(Duration::from_millis(57_784)));
        assert_eq!(row.endpoints.peer.to_string(), "10.0.0.7:50000");
    }

    #[test]
    fn a_subflow_is_known_by_what_is_layered_upon_it() {
        let named = |name: &[u8]| {
            let mut body = timewait();
            body[2] = 0;
            // The name within INET_DIAG_ULP_INFO, behind an attribute of no interest; nested ones may say that they are.
            let attribute = |kind: u16, value: &[u8]| {
                let length = u16::try_from(4 + value.len()).expect("short");
                let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
                bytes.extend_from_slice(value);
                bytes.resize(bytes.len().next_multiple_of(4), 0);
                bytes
            };
            body.extend(attribute(8, &[0]));
            body.extend(attribute(19 | 0x8000, &attribute(1, name)));
            socket(&body).expect("a socket")
        };
        assert!(named(b"mptcp\0").is_subflow());
        assert!(!named(b"tls\0").mptcp);
        let listener = DiagRow {
            state: TcpState::Listen,
            ..named(b"mptcp\0")
        };
        assert!(listener.mptcp && !listener.is_subflow());
    }

    #[test]
    fn a_timer_that_is_overdue_has_nothing_left() {
        let mut body = timewait();
        body[52..56].copy_from_slice(&(-12i32).to_ne_bytes());
        let row = socket(&body).expect("a socket");
        assert_eq!(row.timer, Timer::Timewait(Duration::ZERO));
    }

    #[test]
    fn any_bytes_are_read_without_harm() {
        let mut datagram = message(SOCK_DIAG_BY_FAMILY, &timewait());
        datagram.extend(message(
            SOCK_DIAG_BY_FAMILY,
            &[timewait(), vec![60, 0, 2, 0], vec![7; 56]].concat(),
        ));
        for cut in 0..datagram.len() {
            let _ = answers(&datagram[..cut], &mut Vec::new(), &mut 0);
        }
        for at in 0..datagram.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut broken = datagram.clone();
                broken[at] ^= flip;
                let _ = answers(&broken, &mut Vec::new(), &mut 0);
            }
        }
    }

    #[test]
    fn a_refusal_is_told() {
        let refused = message(NLMSG_ERROR, &(-2i32).to_ne_bytes());
        assert_eq!(answers(&refused, &mut Vec::new(), &mut 0), More::Refused(2));
    }
}
