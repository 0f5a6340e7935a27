//! Serving connections: how many at a time, how long a head may take and an answer wait to be read, and how they end.
//!
//! hyper is used directly because the framework's own server has no limit on the time for a request's
//! head, so one half-open socket holds up a shutdown, and spins when file descriptors run out. A head that
//! hyper cannot read it answers itself: the only answers that do not come out of the
//! [`Envelope`](crate::envelope::Envelope).

mod dialogue;
mod messages;
pub mod tls;
mod writes;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Body as _;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use poem::http::uri::Scheme;
use poem::web::{LocalAddr, RemoteAddr};
use poem::{Addr, Endpoint, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use self::dialogue::HeadLimit;
use self::tls::Tls;
use self::writes::WriteLimit;
use crate::telemetry::metrics::GivenUp;

/// A kept connection that is not used again is closed: later than the usual load balancer (60 s) stops
/// using it, so that none sends into a closing one.
const IDLE_LIMIT: Duration = Duration::from_secs(75);

/// After the stop, a connection on which nothing is being answered is given this long to ask.
const LAST_REQUEST: Duration = Duration::from_millis(500);

/// For the handshake of TLS, from the connection on.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Of a head, which is in memory whole. More is refused with 431.
const LARGEST_HEAD: usize = 64 << 10;

/// Out of file descriptors or memory, only time helps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Debug, Clone)]
pub struct Limits {
    /// At a time.
    pub connections: usize,
    /// How long an answer may wait for its caller to read any of it.
    pub write: Duration,
    /// Counts where these, or those on heads and handshakes, ended a connection.
    pub given_up: GivenUp,
}

/// Accepts until `stop` is over, then takes what the kernel has accepted already, and returns when the
/// last connection has ended.
pub async fn serve<E>(
    listener: TcpListener,
    tls: Option<Tls>,
    endpoint: Arc<E>,
    limits: Limits,
    stop: impl Future<Output = ()>,
) -> io::Result<()>
where
    E: Endpoint<Output = Response> + 'static,
{
    let slots = Arc::new(Semaphore::new(limits.connections));
    let (stopped, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    let serve = |socket, slot| {
        let (tls, endpoint) = (tls.clone(), Arc::clone(&endpoint));
        connection(socket, tls, endpoint, limits.clone(), stopping.clone(), slot)
    };
    loop {
        let next = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot.expect("the semaphore is never closed"), listener.accept().await)
        };
        tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => {}
            (slot, accepted) = next => match accepted {
                Ok((socket, _)) => {
                    connections.spawn(serve(socket, slot));
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    // Their callers have seen the connection succeed: closing the socket now would reset them.
    let listener = listener.into_std()?;
    while let Ok((socket, _)) = listener.accept() {
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else { break };
        socket.set_nonblocking(true)?;
        let socket = TcpStream::from_std(socket)?;
        connections.spawn(serve(socket, slot));
    }
    drop(listener);
    stopped.send_replace(true);
    while connections.join_next().await.is_some() {}
    Ok(())
}

async fn connection<E>(
    socket: TcpStream,
    tls: Option<Tls>,
    endpoint: Arc<E>,
    Limits { write, given_up, .. }: Limits,
    stopping: watch::Receiver<bool>,
    _slot: OwnedSemaphorePermit,
) where
    E: Endpoint<Output = Response> + 'static,
{
    let address = |address: io::Result<_>| {
        address.map_or_else(|_gone| Addr::custom("tcp", "gone"), Addr::SocketAddr)
    };
    let ends = (address(socket.local_addr()), address(socket.peer_addr()));
    // Answers are small and written whole; waiting for more would only delay them.
    drop(socket.set_nodelay(true));
    let socket = WriteLimit::new(socket, write, given_up.answer);
    let Some(tls) = tls else {
        let socket = HeadLimit::new(socket, given_up.head);
        return converse(socket, Scheme::HTTP, ends, endpoint, stopping).await;
    };
    let mut stopped = stopping.clone();
    let accepted = tokio::select! {
        accepted = timeout(HANDSHAKE_LIMIT, tls.accept(socket)) => accepted,
        () = until_last_request(&mut stopped) => return,
    };
    match accepted {
        Ok(Ok(socket)) => {
            let socket = HeadLimit::new(socket, given_up.head);
            converse(socket, Scheme::HTTPS, ends, endpoint, stopping).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
        Err(_elapsed) => given_up.handshake.inc(),
    }
}

/// Until the stop, and for the time that it leaves.
async fn until_last_request(stopping: &mut watch::Receiver<bool>) {
    drop(stopping.wait_for(|stopping| *stopping).await);
    sleep(LAST_REQUEST).await;
}

async fn converse<E>(
    socket: HeadLimit<impl AsyncRead + AsyncWrite + Unpin>,
    scheme: Scheme,
    (local, remote): (Addr, Addr),
    endpoint: Arc<E>,
    mut stopping: watch::Receiver<bool>,
) where
    E: Endpoint<Output = Response> + 'static,
{
    let dialogue = socket.dialogue();
    let answering = Arc::clone(&dialogue);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let answering = answering.begin(request.body().size_hint().exact());
        let endpoint = Arc::clone(&endpoint);
        let request: Request =
            (request, LocalAddr(local.clone()), RemoteAddr(remote.clone()), scheme.clone()).into();
        async move {
            let response = endpoint.get_response(request).await;
            drop(answering);
            Ok::<_, Infallible>(hyper::Response::from(response))
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(IDLE_LIMIT)
        .max_header_size(LARGEST_HEAD)
        .serve_connection(TokioIo::new(socket), service);
    let mut serving = std::pin::pin!(serving);
    let stop = async {
        drop(stopping.wait_for(|stopping| *stopping).await);
        // hyper closes a connection on which nothing was read yet; its first request may be on the way.
        drop(timeout(LAST_REQUEST, dialogue.until_begun()).await);
    };
    let ended = tokio::select! {
        ended = &mut serving => ended,
        () = stop => {
            serving.as_mut().graceful_shutdown();
            // hyper would wait for the rest of a half-sent head, which may never come.
            tokio::select! {
                ended = &mut serving => ended,
                () = dialogue.until_silent_for(LAST_REQUEST) => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use poem::endpoint::make;
    use poem::{Body, IntoResponse};
    use prometheus::IntCounter;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
    use tokio::time::Instant;

    use super::dialogue::HEAD_LIMIT;
    use super::*;

    /// A connection on which each answer is as long as the body that was sent.
    fn talk() -> (DuplexStream, watch::Sender<bool>) {
        let (caller, socket) = duplex(1 << 16);
        let (stop, stopping) = watch::channel(false);
        let socket = HeadLimit::new(socket, IntCounter::new("given_up", "given up").unwrap());
        let ends = (Addr::custom("test", ""), Addr::custom("test", ""));
        let endpoint = make(|mut request: Request| async move {
            let body = request.take_body().into_bytes().await?;
            Ok::<_, poem::Error>(Body::from_vec(vec![b'.'; body.len()]).into_response())
        });
        tokio::spawn(converse(socket, Scheme::HTTP, ends, Arc::new(endpoint), stopping));
        (caller, stop)
    }

    const TALK: &str = "POST /1 HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n\r\n\r\n123456\
        \r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\n\
        GET /3 HTTP/1.1\nHost: x\n\n\
        POST /4 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n\
        POST /5 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\n1";

    #[tokio::test(start_paused = true)]
    async fn requests_that_come_together_or_in_pieces_are_each_answered() {
        for piece in [TALK.len(), 1, 7, 50] {
            let (mut caller, _stop) = talk();
            for bytes in TALK.as_bytes().chunks(piece) {
                caller.write_all(bytes).await.unwrap();
                tokio::task::yield_now().await;
            }
            let mut answers = String::new();
            caller.read_to_string(&mut answers).await.unwrap();
            let lengths = answers.split("content-length: ").skip(1);
            let lengths: Vec<_> = lengths.map(|rest| rest.split("\r\n").next().unwrap()).collect();
            assert_eq!(lengths, ["10", "0", "0", "3", "1"], "{piece}: {answers}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_head_that_is_begun_together_with_a_request_has_no_more_time_than_any() {
        for head in ["GET /2 HTTP", "GET /3 HTTP"] {
            let end = TALK.find(head).unwrap() + head.len();
            let (mut caller, _stop) = talk();
            caller.write_all(&TALK.as_bytes()[..end]).await.unwrap();
            let begun = Instant::now();
            caller.read_to_end(&mut Vec::new()).await.unwrap();
            assert_eq!(begun.elapsed().as_secs(), HEAD_LIMIT.as_secs(), "{head}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_may_be_kept_for_longer_than_that() {
        let (mut caller, _stop) = talk();
        let get = "GET /2 HTTP/1.1\r\nHost: x\r\n\r\n";
        for _ in 0..2 {
            caller.write_all(get.as_bytes()).await.unwrap();
            let mut answer = vec![0; 12];
            caller.read_exact(&mut answer).await.unwrap();
            assert!(answer.starts_with(b"HTTP/1.1 200"));
            sleep(IDLE_LIMIT / 2).await;
            let mut rest = [0; 1024];
            assert!(caller.read(&mut rest).await.unwrap() > 0);
        }
    }
}
