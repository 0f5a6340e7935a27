//! Serving connections: how many at a time, how long a head may take, and how they end.
//!
//! hyper is used directly because the framework's own server has no limit on the time for a request's
//! head, so one half-open socket holds up a shutdown, and spins when file descriptors run out. A head that
//! hyper cannot read it answers itself: the only answers that do not come out of the
//! [`Envelope`](crate::envelope::Envelope).

mod dialogue;
pub mod tls;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

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

use self::dialogue::{Dialogue, HeadLimit};
use self::tls::Tls;

/// A kept connection that is not used again is closed: later than the usual load balancer (60 s) stops
/// using it, so that none sends into a closing one.
const IDLE_LIMIT: Duration = Duration::from_secs(75);

/// After the stop, a connection on which nothing is being answered is given this long to ask.
const LAST_REQUEST: Duration = Duration::from_millis(500);

/// For the handshake of TLS, from the connection on.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// Out of file descriptors or memory, only time helps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts until `stop` is over, then takes what the kernel has accepted already, and returns when the
/// last connection has ended.
pub async fn serve<E>(
    listener: TcpListener,
    tls: Option<Tls>,
    endpoint: Arc<E>,
    max_connections: usize,
    stop: impl Future<Output = ()>,
) -> io::Result<()>
where
    E: Endpoint<Output = Response> + 'static,
{
    let slots = Arc::new(Semaphore::new(max_connections));
    let (stopped, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
    let serve = |socket, slot| {
        connection(socket, tls.clone(), Arc::clone(&endpoint), stopping.clone(), slot)
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
    let Some(tls) = tls else {
        return converse(socket, Scheme::HTTP, ends, endpoint, stopping).await;
    };
    let mut stopped = stopping.clone();
    let accepted = tokio::select! {
        accepted = timeout(HANDSHAKE_LIMIT, tls.accept(socket)) => accepted,
        () = until_last_request(&mut stopped) => return,
    };
    match accepted {
        Ok(Ok(socket)) => converse(socket, Scheme::HTTPS, ends, endpoint, stopping).await,
        Ok(Err(error)) => tracing::debug!(%error, "a handshake failed"),
        Err(_elapsed) => tracing::debug!("a handshake was not ended"),
    }
}

/// Until the stop, and for the time that it leaves.
async fn until_last_request(stopping: &mut watch::Receiver<bool>) {
    drop(stopping.wait_for(|stopping| *stopping).await);
    sleep(LAST_REQUEST).await;
}

async fn converse<E>(
    socket: impl AsyncRead + AsyncWrite + Unpin,
    scheme: Scheme,
    (local, remote): (Addr, Addr),
    endpoint: Arc<E>,
    mut stopping: watch::Receiver<bool>,
) where
    E: Endpoint<Output = Response> + 'static,
{
    let dialogue = Arc::new(Dialogue::default());
    let answering = Arc::clone(&dialogue);
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let answering = answering.begin();
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
        .serve_connection(TokioIo::new(HeadLimit::new(socket, Arc::clone(&dialogue))), service);
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
