//! What may stand between a training and its server: TCP that is passed on, late, cut, or answered for it.

use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

#[derive(Debug, Clone, Copy)]
#[repr(u8)]
pub(crate) enum Mode {
    Pass,
    /// Every request half a second late.
    Slow,
    /// Answers 500 by itself.
    Fail,
    /// Takes requests and never answers.
    Hang,
}

#[derive(Clone)]
pub(crate) struct Proxy {
    port: u16,
    mode: Arc<AtomicU8>,
    /// What it did with anything but passing.
    spoiled: Arc<AtomicUsize>,
    /// So many requests are passed on before all fail.
    good: Arc<AtomicUsize>,
    /// All that came from clients.
    asked: Arc<Mutex<String>>,
}

const FAILURE: &[u8] =
    b"HTTP/1.1 500 Internal Server Error\r\ncontent-length: 4\r\nconnection: close\r\n\r\noops";

impl Proxy {
    pub(crate) fn before(server: u16, mode: Mode) -> Self {
        Self::new(server, mode, usize::MAX)
    }

    pub(crate) fn failing_after(server: u16, good: usize) -> Self {
        Self::new(server, Mode::Pass, good)
    }

    fn new(server: u16, mode: Mode, good: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mode = Arc::new(AtomicU8::new(mode as u8));
        let (spoiled, asked) = (Arc::default(), Arc::default());
        let proxy = Self { port, mode, spoiled, good: Arc::new(good.into()), asked };
        let serving = proxy.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let serving = serving.clone();
                std::thread::spawn(move || serving.serve(client, server));
            }
        });
        proxy
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn set(&self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::Relaxed);
    }

    pub(crate) fn spoiled(&self) -> usize {
        self.spoiled.load(Ordering::Relaxed)
    }

    /// How often this stood in requests.
    pub(crate) fn asked(&self, words: &str) -> usize {
        self.asked.lock().unwrap().matches(words).count()
    }

    fn is(&self, mode: Mode) -> bool {
        let is = self.mode.load(Ordering::Relaxed) == mode as u8;
        if is {
            self.spoiled.fetch_add(1, Ordering::Relaxed);
        }
        is
    }

    fn serve(&self, mut client: TcpStream, server: u16) {
        let Ok(mut upstream) = TcpStream::connect(("127.0.0.1", server)) else { return };
        let (mut back, mut answers) = (client.try_clone().unwrap(), upstream.try_clone().unwrap());
        std::thread::spawn(move || {
            drop(std::io::copy(&mut answers, &mut back));
            drop(back.shutdown(Shutdown::Both));
        });
        let mut bytes = vec![0; 1 << 16];
        while let Ok(read @ 1..) = client.read(&mut bytes) {
            self.asked.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..read]));
            let is_good =
                self.good.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
            if is_good.is_err() || self.is(Mode::Fail) {
                drop(client.write_all(FAILURE));
                break;
            }
            if self.is(Mode::Hang) {
                continue;
            }
            if self.is(Mode::Slow) {
                std::thread::sleep(Duration::from_millis(500));
            }
            if upstream.write_all(&bytes[..read]).is_err() {
                break;
            }
        }
        for stream in [client, upstream] {
            drop(stream.shutdown(Shutdown::Both));
        }
    }
}
