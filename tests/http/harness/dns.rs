//! A DNS server that says what a test wants (RFC 1035, section 4).

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::{Arc, Mutex},
};

/// The server; it answers until the test ends.
pub struct Dns {
    address: SocketAddr,
    zone: Arc<Mutex<Zone>>,
}

#[derive(Default)]
struct Zone {
    /// Addresses by name, without the final dot.
    names: HashMap<String, Vec<IpAddr>>,
    time: u32,
    is_silent: bool,
    /// What it says instead of an answer.
    fault: Option<u8>,
    asked: usize,
}

const A: u16 = 1;
const AAAA: u16 = 28;

impl Dns {
    /// `time` is how many seconds its answers hold.
    pub fn start(time: u32) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let zone = Arc::new(Mutex::new(Zone { time, ..Zone::default() }));
        let shared = Arc::clone(&zone);
        std::thread::spawn(move || {
            let mut query = [0; 512];
            while let Ok((length, from)) = socket.recv_from(&mut query) {
                let mut zone = shared.lock().unwrap();
                zone.asked += 1;
                if !zone.is_silent {
                    let _ = socket.send_to(&zone.answer(&query[..length]), from);
                }
            }
        });
        Self { address, zone }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on a name has these addresses; without any there is no such name.
    pub fn set(&self, name: &str, addresses: &[&str]) {
        let addresses = addresses.iter().map(|text| text.parse().unwrap()).collect();
        self.zone.lock().unwrap().names.insert(name.to_owned(), addresses);
    }

    /// From now on nobody is answered, or is again.
    pub fn fall_silent(&self, is_silent: bool) {
        self.zone.lock().unwrap().is_silent = is_silent;
    }

    /// From now on everything is answered with this code (RFC 1035, section 4.1.1), or no longer: 2 is that it failed.
    pub fn fail_with(&self, code: Option<u8>) {
        self.zone.lock().unwrap().fault = code;
    }

    /// How often it was asked.
    pub fn asked(&self) -> usize {
        self.zone.lock().unwrap().asked
    }
}

impl Zone {
    fn answer(&self, query: &[u8]) -> Vec<u8> {
        let (mut name, mut at) = (Vec::new(), 12);
        while query[at] > 0 {
            let end = at + 1 + usize::from(query[at]);
            name.push(String::from_utf8(query[at + 1..end].to_ascii_lowercase()).unwrap());
            at = end;
        }
        let question = &query[12..at + 5];
        let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
        let known = self.names.get(&name.join(".")).map(Vec::as_slice).unwrap_or_default();
        let known = if self.fault.is_some() { &[] } else { known };
        let of_kind = known
            .iter()
            .filter(|one| (kind == A && one.is_ipv4()) || (kind == AAAA && one.is_ipv6()));
        let records: Vec<Vec<u8>> = of_kind
            .map(|one| match one {
                IpAddr::V4(v4) => v4.octets().to_vec(),
                IpAddr::V6(v6) => v6.octets().to_vec(),
            })
            .collect();
        let code = self.fault.unwrap_or(if known.is_empty() { 3 } else { 0 });
        let mut answer = query[..2].to_vec();
        answer.extend([
            0x81,
            0x80 | code,
            0,
            1,
            0,
            u8::try_from(records.len()).unwrap(),
            0,
            0,
            0,
            0,
        ]);
        answer.extend(question);
        for record in records {
            answer.extend([0xc0, 12]);
            answer.extend(kind.to_be_bytes());
            answer.extend([0, 1]);
            answer.extend(self.time.to_be_bytes());
            answer.extend(u16::try_from(record.len()).unwrap().to_be_bytes());
            answer.extend(record);
        }
        answer
    }
}
