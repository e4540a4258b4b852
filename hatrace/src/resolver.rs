//! Names of addresses (reverse DNS), by the system's own resolver: `/etc/hosts`, DNS, whatever `nsswitch.conf` says.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

/// All together may take this long; who hasn't answered then has no name.
const PATIENCE: Duration = Duration::from_secs(3);

/// The names that could be had.
pub async fn names(addresses: Vec<IpAddr>) -> BTreeMap<IpAddr, String> {
    let mut asked = tokio::task::JoinSet::new();
    for address in addresses {
        // getnameinfo() blocks: each on a thread of its own.
        asked.spawn_blocking(move || (address, name(address)));
    }
    let mut found = BTreeMap::new();
    let _ = tokio::time::timeout(PATIENCE, async {
        while let Some(answer) = asked.join_next().await {
            if let Ok((address, Some(name))) = answer {
                found.insert(address, name);
            }
        }
    })
    .await;
    asked.abort_all();
    found
}

fn name(address: IpAddr) -> Option<String> {
    const LONGEST: usize = 1025;
    let mut host = [0u8; LONGEST];
    let (storage, length) = raw(SocketAddr::new(address, 0));
    // SAFETY: an address with its length, and a buffer with its own; the service isn't asked for.
    let failed = unsafe {
        libc::getnameinfo(
            std::ptr::from_ref(&storage).cast(),
            length,
            host.as_mut_ptr().cast(),
            LONGEST as libc::socklen_t,
            std::ptr::null_mut(),
            0,
            libc::NI_NAMEREQD,
        )
    };
    if failed != 0 {
        return None;
    }
    let text = std::ffi::CStr::from_bytes_until_nul(&host).ok()?;
    // What a stranger's name server says goes to a terminal: nothing but what names are made of.
    let text = text.to_str().ok()?;
    text.chars()
        .all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'))
        .then(|| text.to_owned())
}

fn raw(address: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    // SAFETY: all zeroes is a valid sockaddr_storage.
    let mut storage: libc::sockaddr_storage = unsafe { std::mem::zeroed() };
    let length = match address {
        SocketAddr::V4(v4) => {
            let own = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: 0,
                sin_addr: libc::in_addr {
                    s_addr: u32::from_ne_bytes(v4.ip().octets()),
                },
                sin_zero: [0; 8],
            };
            // SAFETY: a sockaddr_in fits into a sockaddr_storage.
            unsafe {
                std::ptr::from_mut(&mut storage)
                    .cast::<libc::sockaddr_in>()
                    .write(own);
            }
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            let own = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: 0,
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr {
                    s6_addr: v6.ip().octets(),
                },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: a sockaddr_in6 fits into a sockaddr_storage.
            unsafe {
                std::ptr::from_mut(&mut storage)
                    .cast::<libc::sockaddr_in6>()
                    .write(own);
            }
            size_of::<libc::sockaddr_in6>()
        }
    };
    (storage, libc::socklen_t::try_from(length).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_s_own_address_has_a_name_and_nonsense_has_none() {
        let name = name(IpAddr::from([127, 0, 0, 1]));
        assert_eq!(name.as_deref(), Some("localhost"));
    }
}
