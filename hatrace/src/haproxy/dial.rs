//! Reaching a command line: through HAProxy's own root for a path, from inside of its network namespace for the rest.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hatrace_core::ids::Pid;
use rustix::fs::{Mode, OFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, UnixStream};

use super::address::Address;
use crate::netns::{netns_of, within};

/// A connection to a command line.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How long a connection may take. A local one is there at once, or the listener is full.
const PATIENCE: Duration = Duration::from_secs(2);

/// Connects to `address` as `process` sees it; a path is looked for below each of `roots`.
pub(super) async fn connect(
    address: &Address,
    process: Pid,
    roots: &[PathBuf],
) -> io::Result<Box<dyn Stream>> {
    let connecting = async {
        match address {
            Address::Unix(path) => unix(path, roots).await,
            Address::Abstract { name, padded } => abstract_unix(name, *padded, process).await,
            Address::Tcp(to) => tcp(*to, process).await,
        }
    };
    tokio::time::timeout(PATIENCE, connecting)
        .await
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

/// The first root below which somebody listens decides; of the others, the error that says most.
async fn unix(path: &Path, roots: &[PathBuf]) -> io::Result<Box<dyn Stream>> {
    let below = path.strip_prefix("/").unwrap_or(path);
    let mut refused: io::Error = io::ErrorKind::NotFound.into();
    for root in roots {
        match unix_at(&root.join(below)).await {
            Ok(stream) => return Ok(Box::new(stream)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => refused = error,
        }
    }
    Err(refused)
}

/// A socket's path has 107 bytes; below `/proc/PID/root` it would soon be longer. So its folder is opened, and named by our own descriptor.
async fn unix_at(path: &Path) -> io::Result<UnixStream> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::NotFound.into());
    };
    let folder = rustix::fs::open(
        folder,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let short = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&folder));
    UnixStream::connect(Path::new(&short).join(name)).await
}

/// A socket made inside of a process's network namespace: it stays there, whoever uses it.
fn socket_in(process: Pid, family: AddressFamily) -> io::Result<OwnedFd> {
    let make = move || {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        Ok(socket_with(family, SocketType::STREAM, flags, None)?)
    };
    let path = PathBuf::from(format!("/proc/{process}/ns/net"));
    let foreign = path.to_str().and_then(netns_of) != netns_of("/proc/self/ns/net");
    if foreign { within(&path, make) } else { make() }
}

async fn abstract_unix(name: &str, padded: bool, process: Pid) -> io::Result<Box<dyn Stream>> {
    /// `sun_path` but for the NUL that begins an abstract name.
    const LONGEST: usize = 107;
    let mut bytes = name.as_bytes().to_vec();
    if padded {
        bytes.resize(LONGEST, 0);
    }
    let socket = socket_in(process, AddressFamily::UNIX)?;
    rustix::net::connect(&socket, &rustix::net::SocketAddrUnix::new_abstract_name(&bytes)?)?;
    Ok(Box::new(UnixStream::from_std(socket.into())?))
}

async fn tcp(to: SocketAddr, process: Pid) -> io::Result<Box<dyn Stream>> {
    let family = if to.is_ipv4() {
        AddressFamily::INET
    } else {
        AddressFamily::INET6
    };
    let socket: std::net::TcpStream = socket_in(process, family)?.into();
    Ok(Box::new(TcpSocket::from_std_stream(socket).connect(to).await?))
}
