//! Serving connections: how many at a time, for how long, and how they end. One request each: reports are
//! rare, and a connection that is kept would be closed under the next one. As in the service, hyper is used
//! directly, because the framework's own server limits neither heads nor numbers.

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
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// More wait to be accepted.
const MOST: usize = 64;
const HEAD_LIMIT: Duration = Duration::from_secs(10);
/// From its beginning to its end: head, body, the spool, and a reader that is slow.
const WHOLE_LIMIT: Duration = Duration::from_secs(40);
/// Out of file descriptors or memory, only time helps.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// After the stop.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Accepts until `stop` is over, and returns when what was accepted has been answered.
pub(crate) async fn serve<E>(
    listener: TcpListener,
    endpoint: Arc<E>,
    stop: impl Future<Output = ()>,
) -> io::Result<()>
where
    E: Endpoint<Output = Response> + 'static,
{
    let slots = Arc::new(Semaphore::new(MOST));
    let mut connections = JoinSet::new();
    let mut stop = std::pin::pin!(stop);
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
                    let endpoint = Arc::clone(&endpoint);
                    connections.spawn(async move {
                        drop(timeout(WHOLE_LIMIT, connection(socket, endpoint)).await);
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let answered = async { while connections.join_next().await.is_some() {} };
    // Whoever has not been answered by then sends it again.
    drop(timeout(LAST_ANSWERS, answered).await);
    Ok(())
}

async fn connection<E>(socket: TcpStream, endpoint: Arc<E>)
where
    E: Endpoint<Output = Response> + 'static,
{
    let address = |address: io::Result<_>| {
        address.map_or_else(|_gone| Addr::custom("tcp", "gone"), Addr::SocketAddr)
    };
    let (local, remote) = (address(socket.local_addr()), address(socket.peer_addr()));
    let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
        let endpoint = Arc::clone(&endpoint);
        let request: Request =
            (request, LocalAddr(local.clone()), RemoteAddr(remote.clone()), Scheme::HTTP).into();
        async move {
            let response = endpoint.get_response(request).await;
            Ok::<_, Infallible>(hyper::Response::from(response))
        }
    });
    let serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_LIMIT)
        .keep_alive(false)
        .serve_connection(TokioIo::new(socket), service);
    if let Err(error) = serving.await {
        tracing::debug!(%error, "a connection ended early");
    }
}
