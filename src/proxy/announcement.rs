//! The PROXY protocol, versions 1 and 2: whom a connection is from, as a proxy says before anything
//! else. Only a connection of a trusted proxy is read here.

use std::{io, net::SocketAddr};

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// What version 2 begins with; no request begins so.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// What version 1 begins with.
const WORD: &[u8] = b"PROXY ";

/// The longest line of version 1, its end included.
const LONGEST_LINE: usize = 107;

/// The longest header of version 2 that is read. With addresses of IPv6 and what load balancers add
/// it has a few hundred bytes.
const LONGEST: usize = 4 << 10;

/// Reads the header, and nothing behind it. Nobody is announced by a connection of the proxy's own,
/// such as it makes to see whether we are there.
///
/// # Errors
/// There is none, or it is not well formed, or speaks of something else than TCP.
pub(super) async fn read(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<SocketAddr>, Unsound> {
    let mut header = vec![0; SIGNATURE.len()];
    stream.read_exact(&mut header).await?;
    if header == SIGNATURE {
        read_binary(stream, header).await
    } else if header.starts_with(WORD) {
        read_line(stream, header).await
    } else {
        Err(Unsound)
    }
}

/// What came is no header of the PROXY protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unsound;

impl From<io::Error> for Unsound {
    fn from(_: io::Error) -> Self {
        Self
    }
}

async fn read_line(
    stream: &mut (impl AsyncRead + Unpin),
    mut line: Vec<u8>,
) -> Result<Option<SocketAddr>, Unsound> {
    while !line.ends_with(b"\r\n") {
        if line.len() >= LONGEST_LINE {
            return Err(Unsound);
        }
        line.push(stream.read_u8().await?);
    }
    let header = v1::Header::try_from(line.as_slice()).map_err(|_| Unsound)?;
    match header.addresses {
        v1::Addresses::Tcp4(pair) => {
            Ok(Some(SocketAddr::new(pair.source_address.into(), pair.source_port)))
        }
        v1::Addresses::Tcp6(pair) => {
            Ok(Some(SocketAddr::new(pair.source_address.into(), pair.source_port)))
        }
        v1::Addresses::Unknown => Ok(None),
    }
}

async fn read_binary(
    stream: &mut (impl AsyncRead + Unpin),
    mut header: Vec<u8>,
) -> Result<Option<SocketAddr>, Unsound> {
    let fixed = [stream.read_u8().await?, stream.read_u8().await?];
    let length = stream.read_u16().await?;
    header.extend(fixed);
    header.extend(length.to_be_bytes());
    let rest = usize::from(length);
    if rest > LONGEST {
        return Err(Unsound);
    }
    let begin = header.len();
    header.resize(begin + rest, 0);
    stream.read_exact(header.get_mut(begin..).unwrap_or_default()).await?;
    let header = v2::Header::try_from(header.as_slice()).map_err(|_| Unsound)?;
    match (header.command, header.protocol, header.addresses) {
        (v2::Command::Local, ..) => Ok(None),
        (v2::Command::Proxy, v2::Protocol::Stream, v2::Addresses::IPv4(pair)) => {
            Ok(Some(SocketAddr::new(pair.source_address.into(), pair.source_port)))
        }
        (v2::Command::Proxy, v2::Protocol::Stream, v2::Addresses::IPv6(pair)) => {
            Ok(Some(SocketAddr::new(pair.source_address.into(), pair.source_port)))
        }
        (v2::Command::Proxy, ..) => Err(Unsound),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of these bytes, and what is left of them.
    async fn told(bytes: &[u8]) -> Result<(Option<String>, Vec<u8>), Unsound> {
        let mut rest = bytes;
        let address = read(&mut rest).await?;
        Ok((address.map(|address| address.to_string()), rest.to_vec()))
    }

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [&SIGNATURE[..], &[command, family], &length, rest].concat()
    }

    const V4: [u8; 12] = [203, 0, 113, 9, 192, 0, 2, 1, 0xc0, 0x01, 0x01, 0xbb];

    #[tokio::test]
    async fn a_line_of_version_1_names_the_client_and_leaves_the_request() {
        let (address, rest) =
            told(b"PROXY TCP4 203.0.113.9 192.0.2.1 49153 443\r\nGET / HTTP/1.1\r\n")
                .await
                .unwrap();
        assert_eq!(address.as_deref(), Some("203.0.113.9:49153"));
        assert_eq!(rest, b"GET / HTTP/1.1\r\n");
        let (address, _) = told(b"PROXY TCP6 2001:db8::9 2001:db8::1 49153 443\r\n").await.unwrap();
        assert_eq!(address.as_deref(), Some("[2001:db8::9]:49153"));
        assert_eq!(told(b"PROXY UNKNOWN\r\nGET").await, Ok((None, b"GET".to_vec())));
    }

    #[tokio::test]
    async fn a_header_of_version_2_names_the_client_and_leaves_the_request() {
        let header = binary(0x21, 0x11, &V4);
        let (address, rest) = told(&[&header[..], b"GET"].concat()).await.unwrap();
        assert_eq!(address.as_deref(), Some("203.0.113.9:49153"));
        assert_eq!(rest, b"GET");
        // What a load balancer adds: here the name of an endpoint.
        let more = [&V4[..], &[0xea, 0, 3, 1, b'v', b'p']].concat();
        let (address, rest) =
            told(&[&binary(0x21, 0x11, &more)[..], b"GET"].concat()).await.unwrap();
        assert_eq!((address.as_deref(), rest.as_slice()), (Some("203.0.113.9:49153"), &b"GET"[..]));
        let mut v6 = [0; 36];
        v6[..4].copy_from_slice(&[0x20, 0x01, 0x0d, 0xb8]);
        v6[15] = 9;
        v6[32] = 0xc0;
        let (address, _) = told(&binary(0x21, 0x21, &v6)).await.unwrap();
        assert_eq!(address.as_deref(), Some("[2001:db8::9]:49152"));
    }

    #[tokio::test]
    async fn a_proxy_that_speaks_for_itself_announces_nobody() {
        assert_eq!(told(&binary(0x20, 0x00, &[])).await, Ok((None, vec![])));
        assert_eq!(told(&binary(0x20, 0x11, &V4)).await, Ok((None, vec![])));
    }

    #[tokio::test]
    async fn what_is_no_header_of_the_protocol_is_refused() {
        for line in [
            &b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"[..],
            b"PROXY TCP4 203.0.113.9 192.0.2.1 49153\r\n",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 49153 443 7\r\n",
            b"PROXY TCP4 203.0.113.9  192.0.2.1 49153 443\r\n",
            b"PROXY TCP4 2001:db8::9 2001:db8::1 49153 443\r\n",
            b"PROXY TCP6 203.0.113.9 192.0.2.1 49153 443\r\n",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 99999 443\r\n",
            b"PROXY TCP4 203.0.113.256 192.0.2.1 49153 443\r\n",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 49153 443\nGET / HTTP/1.1\r\n",
            b"PROXY UDP4 203.0.113.9 192.0.2.1 49153 443\r\n",
            b"proxy TCP4 203.0.113.9 192.0.2.1 49153 443\r\n",
            b"PROXY TCP4 203.0.113.9 192.0.2.1 49153 443",
            b"PROXY",
            b"",
        ] {
            assert_eq!(told(line).await, Err(Unsound), "{}", String::from_utf8_lossy(line));
        }
        let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(LONGEST_LINE));
        assert_eq!(told(long.as_bytes()).await, Err(Unsound));
        for (command, family, rest) in [
            (0x11, 0x11, &V4[..]),   // version 1 in the form of version 2
            (0x22, 0x11, &V4),       // a command that is not known
            (0x21, 0x12, &V4),       // datagrams
            (0x21, 0x00, &[]),       // of no family
            (0x21, 0x31, &[0; 216]), // a socket of the file system
            (0x21, 0x11, &V4[..11]), // too short for its family
            (0x21, 0x21, &V4),
        ] {
            let header = binary(command, family, rest);
            assert_eq!(told(&header).await, Err(Unsound), "{command:x} {family:x}");
        }
        let mut endless = binary(0x21, 0x11, &V4);
        endless[14] = 0xff;
        assert_eq!(told(&endless).await, Err(Unsound));
    }
}
