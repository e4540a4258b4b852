//! The demo's peers: good, leaky and slow, each a thread with a script.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{JoinHandle, sleep, spawn};
use std::time::Duration;

use super::{Addresses, LEAKY_CLIENT};
use crate::error::Problem;

/// How often a thread looks whether it is over.
const BREATH: Duration = Duration::from_millis(50);
/// How long the slow server takes.
const SLOW: Duration = Duration::from_secs(6);

type Stop = Arc<AtomicBool>;

fn over(stop: &Stop) -> bool {
    stop.load(Ordering::Relaxed)
}

/// Sleeps, unless it is over before; says whether it is.
fn rest(stop: &Stop, length: Duration) -> bool {
    let mut left = length;
    while !over(stop) && !left.is_zero() {
        let now = left.min(BREATH);
        sleep(now);
        left -= now;
    }
    over(stop)
}

/// What a server does with a connection it has read a request from.
#[derive(Clone, Copy)]
enum Manners {
    /// Answers and closes.
    Good,
    /// Answers, and keeps its side open whatever the other does.
    Leaky,
    /// Answers late, and closes.
    Slow,
}

/// The three servers.
pub(super) fn servers(addresses: Addresses, stop: &Stop) -> Result<Vec<JoinHandle<()>>, Problem> {
    let Addresses {
        good_server,
        leaky_server,
        slow_server,
        ..
    } = addresses;
    [
        (good_server, Manners::Good),
        (leaky_server, Manners::Leaky),
        (slow_server, Manners::Slow),
    ]
    .into_iter()
    .map(|(address, manners)| {
        let listener = TcpListener::bind(address)
            .map_err(|error| Problem::failed(format!("listening on {address}: {error}")))?;
        listener
            .set_nonblocking(true)
            .map_err(|error| Problem::failed(format!("listening on {address}: {error}")))?;
        let stop = Arc::clone(stop);
        Ok(spawn(move || serve(&listener, manners, &stop)))
    })
    .collect()
}

fn serve(listener: &TcpListener, manners: Manners, stop: &Stop) {
    let mut kept = Vec::new();
    let mut threads = Vec::new();
    while !over(stop) {
        let Ok((mut stream, _)) = listener.accept() else {
            sleep(BREATH);
            continue;
        };
        let _ = stream.set_nonblocking(false);
        let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
        match manners {
            Manners::Good => answer(&mut stream),
            Manners::Leaky => {
                answer(&mut stream);
                kept.push(stream);
            }
            Manners::Slow => {
                let stop = Arc::clone(stop);
                threads.push(spawn(move || {
                    let mut request = [0u8; 64];
                    if stream.read(&mut request).is_ok_and(|length| length > 0) && !rest(&stop, SLOW) {
                        let _ = stream.write_all(b"at last\n");
                    }
                }));
            }
        }
    }
    for thread in threads {
        let _ = thread.join();
    }
}

fn answer(stream: &mut TcpStream) {
    let mut request = [0u8; 64];
    if stream.read(&mut request).is_ok_and(|length| length > 0) {
        let _ = stream.write_all(b"answer\n");
    }
}

/// The clients: a few connections a second.
pub(super) fn clients(addresses: Addresses, stop: &Stop) -> Vec<JoinHandle<()>> {
    let Addresses {
        good, leaky, slow, ..
    } = addresses;
    let start = |work: fn(SocketAddr, &Stop), to: SocketAddr| {
        let stop = Arc::clone(stop);
        spawn(move || work(to, &stop))
    };
    vec![
        start(good_clients, good),
        start(leaky_client, good),
        start(clients_of_the_leaky_server, leaky),
        start(slow_client, slow),
    ]
}

fn good_clients(to: SocketAddr, stop: &Stop) {
    for number in (8..=10).cycle() {
        if let Ok(mut stream) = connect(&format!("127.0.0.{number}"), to) {
            ask(&mut stream);
            let mut text = Vec::new();
            let _ = stream.read_to_end(&mut text);
        }
        if rest(stop, Duration::from_millis(120)) {
            return;
        }
    }
}

/// The balancer upstream: reads HAProxy's FIN, keeps the connection.
fn leaky_client(to: SocketAddr, stop: &Stop) {
    let mut kept = Vec::new();
    while !rest(stop, Duration::from_millis(700)) {
        if let Ok(mut stream) = connect(LEAKY_CLIENT, to) {
            ask(&mut stream);
            let mut text = Vec::new();
            let _ = stream.read_to_end(&mut text);
            kept.push(stream);
        }
    }
}

/// Good clients of a server that never closes: they close first.
fn clients_of_the_leaky_server(to: SocketAddr, stop: &Stop) {
    let mut kept = Vec::new();
    while !rest(stop, Duration::from_millis(900)) {
        if let Ok(mut stream) = connect("127.0.0.9", to) {
            ask(&mut stream);
            let mut text = [0u8; 64];
            let _ = stream.read(&mut text);
            let _ = stream.shutdown(Shutdown::Write);
            kept.push(stream);
        }
    }
}

/// Closes its side at once and waits for the answer: CLOSE_WAIT on HAProxy's side until the server is done.
fn slow_client(to: SocketAddr, stop: &Stop) {
    let mut kept = Vec::new();
    while !rest(stop, Duration::from_secs(3)) {
        if let Ok(mut stream) = connect("127.0.0.11", to) {
            ask(&mut stream);
            let _ = stream.shutdown(Shutdown::Write);
            kept.push(stream);
        }
    }
}

fn ask(stream: &mut TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let _ = stream.write_all(b"question\n");
}

/// A connection from a loopback address of the peer's own, so that it can be told by it.
fn connect(from: &str, to: SocketAddr) -> std::io::Result<TcpStream> {
    let SocketAddr::V4(to) = to else {
        return Err(std::io::Error::other("the demo speaks IPv4"));
    };
    let from: std::net::Ipv4Addr = from.parse().map_err(std::io::Error::other)?;
    // SAFETY: no pointers.
    let fd = unsafe { libc::socket(libc::AF_INET, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: a descriptor the kernel has just made for us; closed by the stream on every path from here.
    let stream = unsafe { TcpStream::from_raw_fd(fd) };
    call(libc::bind, &stream, std::net::SocketAddrV4::new(from, 0))?;
    call(libc::connect, &stream, to)?;
    Ok(stream)
}

type AddressCall = unsafe extern "C" fn(libc::c_int, *const libc::sockaddr, libc::socklen_t) -> libc::c_int;

fn call(function: AddressCall, stream: &TcpStream, address: std::net::SocketAddrV4) -> std::io::Result<()> {
    let raw = libc::sockaddr_in {
        sin_family: libc::AF_INET.unsigned_abs().try_into().unwrap_or(2),
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(*address.ip()).to_be(),
        },
        sin_zero: [0; 8],
    };
    let length = libc::socklen_t::try_from(size_of::<libc::sockaddr_in>()).unwrap_or(16);
    // SAFETY: a live descriptor, and an address structure of the length given.
    let result = unsafe { function(stream.as_raw_fd(), (&raw const raw).cast(), length) };
    if result == 0 {
        Ok(())
    } else {
        Err(std::io::Error::last_os_error())
    }
}
