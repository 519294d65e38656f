//! Network listeners.
//!
//! Invariant: only loopback, as long as there are no TLS and tokens.

use nokv_types::{Failure, Reason};
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Listens on a loopback address.
///
/// **Errors**: `InvalidArgument` for any other address; `Busy` when somebody listens there; `Io`.
pub async fn bind_tcp(address: SocketAddr) -> Result<TcpListener, Failure> {
    check_loopback(address)?;
    TcpListener::bind(address)
        .await
        .map_err(|error| match error.kind() {
            std::io::ErrorKind::AddrInUse => Failure::new(
                Reason::Busy,
                format!("{address} is in use; stop what listens there, or choose another port"),
            ),
            std::io::ErrorKind::PermissionDenied => Failure::new(
                Reason::PermissionDenied,
                format!("may not listen on {address}; choose a port above 1023"),
            ),
            _ => Failure::new(Reason::Io, format!("can't listen on {address}: {error}")),
        })
}

fn check_loopback(address: SocketAddr) -> Result<(), Failure> {
    let ip = match address.ip() {
        std::net::IpAddr::V6(ip) => ip.to_ipv4_mapped().map_or(address.ip(), Into::into),
        ip @ std::net::IpAddr::V4(_) => ip,
    };
    if ip.is_loopback() {
        return Ok(());
    }
    Err(Failure::new(
        Reason::InvalidArgument,
        format!(
            "refusing to listen on {address}: other machines could reach it, which needs TLS and tokens, and these are not available yet; listen on 127.0.0.1 or [::1]"
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::check_loopback;
    use nokv_types::Reason;

    #[test]
    fn only_loopback_is_listened_on() {
        for good in [
            "127.0.0.1:0",
            "127.9.9.9:7",
            "[::1]:0",
            "[::ffff:127.0.0.1]:1",
        ] {
            assert!(
                check_loopback(good.parse().expect("an address")).is_ok(),
                "{good}"
            );
        }
        for bad in [
            "0.0.0.0:0",
            "[::]:0",
            "10.0.0.1:7070",
            "192.168.0.1:1",
            "[2001:db8::1]:7",
        ] {
            let failure = check_loopback(bad.parse().expect("an address")).expect_err(bad);
            assert_eq!(failure.reason(), Reason::InvalidArgument);
            assert!(failure.message().contains("TLS and tokens"), "{failure}");
        }
    }
}
