//! Asks a service over many connections at once, each again as soon as it is answered, and tells for every status
//! how many answers had it and how long they took: what wrk does not tell apart. `cargo xtask bench overload` runs it.
//!
//! `flood ADDRESS PATH FILE CONNECTIONS SECONDS`; one line of JSON on stdout, times in microseconds.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

/// Seconds by status; 0 is a connection that broke.
type Seen = BTreeMap<u16, Vec<u64>>;

const BROKEN: u16 = 0;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let [address, path, file, connections, seconds] =
        std::env::args().skip(1).collect::<Vec<_>>().try_into().map_err(|_other_number| {
            anyhow::anyhow!("flood ADDRESS PATH FILE CONNECTIONS SECONDS")
        })?;
    let body = fs_err::read(file)?;
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let request: Arc<[u8]> = [head.into_bytes(), body].concat().into();
    let end = Instant::now() + Duration::from_secs(seconds.parse()?);
    let mut asking = JoinSet::new();
    for _ in 0..connections.parse::<usize>()? {
        asking.spawn(ask(address.clone(), Arc::clone(&request), end));
    }
    let mut all = Seen::new();
    for seen in asking.join_all().await {
        for (status, times) in seen {
            all.entry(status).or_default().extend(times);
        }
    }
    let told: BTreeMap<u16, serde_json::Value> =
        all.iter_mut().map(|(s, t)| (*s, tell(t))).collect();
    #[expect(clippy::print_stdout, reason = "its data")]
    {
        println!("{}", serde_json::to_string(&told)?);
    }
    Ok(())
}

async fn ask(address: String, request: Arc<[u8]>, end: Instant) -> Seen {
    let mut seen = Seen::new();
    let mut connection = None;
    while Instant::now() < end {
        let begun = Instant::now();
        let status = match exchange(&mut connection, &address, &request).await {
            Ok(status) => status,
            Err(_broken) => {
                connection = None;
                BROKEN
            }
        };
        let took = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        seen.entry(status).or_default().push(took);
    }
    seen
}

async fn exchange(
    connection: &mut Option<BufReader<TcpStream>>,
    address: &str,
    request: &[u8],
) -> io::Result<u16> {
    if connection.is_none() {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        *connection = Some(BufReader::new(stream));
    }
    let Some(stream) = connection else { return Err(io::ErrorKind::NotConnected.into()) };
    stream.get_mut().write_all(request).await?;
    let (mut status, mut length, mut closes, mut line) = (None, 0, false, String::new());
    loop {
        line.clear();
        if stream.read_line(&mut line).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end().to_ascii_lowercase();
        if let Some(rest) = line.strip_prefix("http/1.1 ") {
            status = rest.get(..3).and_then(|status| status.parse().ok());
        } else if let Some(value) = line.strip_prefix("content-length: ") {
            length = value.parse().map_err(io::Error::other)?;
        } else if line == "connection: close" {
            closes = true;
        } else if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    if closes {
        *connection = None;
    }
    status.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn tell(times: &mut [u64]) -> serde_json::Value {
    times.sort_unstable();
    let at = |share: usize| times[(times.len() - 1) * share / 100];
    serde_json::json!({ "count": times.len(), "p50": at(50), "p99": at(99) })
}
