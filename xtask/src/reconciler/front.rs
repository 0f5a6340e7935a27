//! [`Front`]: the address of an environment, whichever process answers behind it. What a Service of
//! Kubernetes is: connections go to whoever is ready when they come, and stay where they went.

use std::io;
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

pub(super) struct Front {
    port: u16,
    backend: Arc<AtomicU16>,
}

/// Nothing is ready.
const NOWHERE: u16 = 0;

impl Front {
    /// Listens for as long as this program runs.
    pub(super) fn open() -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let backend = Arc::new(AtomicU16::new(NOWHERE));
        let leads_to = Arc::clone(&backend);
        std::thread::Builder::new().name("front".to_owned()).spawn(move || {
            for client in listener.incoming() {
                // As a rule too many files are open, and the next moment fewer.
                let Ok(client) = client else {
                    std::thread::sleep(Duration::from_millis(10));
                    continue;
                };
                let backend = leads_to.load(Ordering::SeqCst);
                if backend == NOWHERE {
                    continue;
                }
                // A connection that cannot be served is closed; its client sees that.
                drop(TcpStream::connect((Ipv4Addr::LOCALHOST, backend)).and_then(|service| {
                    relay(client.try_clone()?, service.try_clone()?)?;
                    relay(service, client)
                }));
            }
        })?;
        Ok(Self { port, backend })
    }

    pub(super) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn lead_to(&self, port: u16) {
        self.backend.store(port, Ordering::SeqCst);
    }
}

/// Hands on what one says to the other, the end included.
fn relay(mut from: TcpStream, mut to: TcpStream) -> io::Result<()> {
    std::thread::Builder::new()
        .spawn(move || {
            // However it ends, the other side is told.
            drop(io::copy(&mut from, &mut to));
            drop(to.shutdown(Shutdown::Write));
        })
        .map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    /// A service that says its name and ends once it was answered.
    fn service(name: &'static str) -> u16 {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        std::thread::spawn(move || {
            for mut client in listener.incoming().flatten() {
                client.write_all(name.as_bytes()).unwrap();
                let mut heard = String::new();
                client.read_to_string(&mut heard).unwrap();
                client.write_all(heard.as_bytes()).unwrap();
            }
        });
        port
    }

    fn call(front: &Front) -> TcpStream {
        TcpStream::connect((Ipv4Addr::LOCALHOST, front.port)).unwrap()
    }

    fn hear(mut client: TcpStream, saying: &str) -> String {
        client.write_all(saying.as_bytes()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).unwrap();
        heard
    }

    #[test]
    fn who_comes_is_led_to_whoever_serves_then_and_stays_there() {
        let front = Front::open().unwrap();
        assert_eq!(hear(call(&front), ""), "");
        front.lead_to(service("old"));
        let early = call(&front);
        let mut name = [0; 3];
        (&early).read_exact(&mut name).unwrap();
        front.lead_to(service("new"));
        assert_eq!(hear(call(&front), " is heard"), "new is heard");
        assert_eq!((&name, hear(early, " too").as_str()), (b"old", " too"));
    }
}
