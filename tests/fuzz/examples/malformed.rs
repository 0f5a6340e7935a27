//! Sends malformed requests to a service, as many as are asked for, the same each time, and tells what came back.
//! Fails where anything did that blames the service: a status from 500 on, but for 503 when it sheds load.
#![allow(clippy::print_stdout, reason = "the figures are what this is run for")]

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::Duration;

use fuzz::requests::{Model, Request, Sent, of_every_route};

/// At a time.
const CONNECTIONS: u64 = 8;

/// Longer than the service takes to give up on a request.
const PATIENCE: Duration = Duration::from_secs(20);

/// How many answers had each status; none, where a connection ended without one.
type Counts = BTreeMap<Option<u16>, u64>;

fn main() -> io::Result<ExitCode> {
    let mut args = std::env::args().skip(1);
    let wrong = || io::Error::other("expected ADDRESS REQUESTS");
    let address: SocketAddr = args.next().and_then(|arg| arg.parse().ok()).ok_or_else(wrong)?;
    let count: u64 = args.next().and_then(|arg| arg.parse().ok()).ok_or_else(wrong)?;
    let requests = of_every_route(&model(address)?);
    let share = |index| count / CONNECTIONS + u64::from(index < count % CONNECTIONS);
    let told = std::thread::scope(|scope| {
        let caller = |seed| {
            let requests = &requests;
            scope.spawn(move || ask(address, requests, seed, share(seed)))
        };
        let callers: Vec<_> = (0..CONNECTIONS).map(caller).collect();
        callers
            .into_iter()
            .map(|caller| caller.join().expect("it does not panic"))
            .collect::<io::Result<Vec<_>>>()
    })?;
    let mut counts = Counts::new();
    for (status, more) in told.into_iter().flatten() {
        *counts.entry(status).or_default() += more;
    }
    for (status, count) in &counts {
        let status = status.map_or("none".to_owned(), |status| status.to_string());
        println!("{status:>6}  {count:>9}");
    }
    let blamed = |status: &Option<u16>| status.is_some_and(|status| status >= 500 && status != 503);
    Ok(if counts.keys().any(blamed) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn ask(address: SocketAddr, requests: &[Request], seed: u64, count: u64) -> io::Result<Counts> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut counts = Counts::new();
    let mut connection = None;
    for _ in 0..count {
        let sent = Request::any(requests, &mut random);
        let mut kept = match connection.take().filter(|_| sent.is_whole) {
            Some(kept) => kept,
            None => connect(address)?,
        };
        let answer = exchange(&mut kept, &sent)?;
        if answer.is_some_and(|answer| answer.status >= 500) {
            println!("{answer:?} to {:.300}", sent.bytes.escape_ascii().to_string());
        }
        *counts.entry(answer.map(|answer| answer.status)).or_default() += 1;
        connection = answer.filter(|answer| answer.is_kept && sent.is_whole).map(|_| kept);
    }
    Ok(counts)
}

#[derive(Debug, Clone, Copy)]
struct Answer {
    status: u16,
    is_kept: bool,
}

/// Whoever sent less than was announced says so by ending its half. A connection may then end without an answer.
fn exchange(connection: &mut BufReader<TcpStream>, sent: &Sent) -> io::Result<Option<Answer>> {
    let socket = connection.get_mut();
    // What it refuses the service may not read to its end.
    drop(socket.write_all(&sent.bytes));
    if !sent.is_whole {
        drop(socket.shutdown(Shutdown::Write));
    }
    match read(connection) {
        Ok((answer, _)) => Ok(Some(answer)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(io::Error::other(format!(
            "no answer within {PATIENCE:?} to {}",
            sent.bytes.escape_ascii()
        ))),
        Err(_ended) => Ok(None),
    }
}

fn read(connection: &mut BufReader<TcpStream>) -> io::Result<(Answer, Vec<u8>)> {
    let mut line = String::new();
    connection.read_line(&mut line)?;
    let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.ok_or(io::ErrorKind::UnexpectedEof)?;
    let (mut length, mut is_kept) = (None, true);
    loop {
        line.clear();
        connection.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        match name {
            "content-length" => length = value.parse().ok(),
            "connection" => is_kept &= value != "close",
            _ => {}
        }
    }
    let mut body = vec![0; length.unwrap_or(0)];
    // An answer to HEAD has the length and nothing else; its connection is not used again.
    if is_kept {
        drop(connection.read_exact(&mut body));
    }
    Ok((Answer { status, is_kept: is_kept && length.is_some() }, body))
}

fn connect(address: SocketAddr) -> io::Result<BufReader<TcpStream>> {
    let socket = TcpStream::connect(address)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(socket))
}

fn model(address: SocketAddr) -> io::Result<Model> {
    let mut connection = connect(address)?;
    connection.get_mut().write_all(b"GET /v1/model HTTP/1.1\r\nhost: localhost\r\n\r\n")?;
    let model: serde_json::Value = serde_json::from_slice(&read(&mut connection)?.1)?;
    let length =
        |name| model["input"][name].as_u64().and_then(|length| usize::try_from(length).ok());
    let text = |name| model[name].as_str().unwrap_or_default().to_owned();
    let lengths = ["height", "width", "channels"].map(|name| length(name).unwrap_or(0));
    Ok(Model { name: text("name"), version: text("version"), values: lengths.iter().product() })
}
