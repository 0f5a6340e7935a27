//! What a bare server of this framework does with a body: sends it back. `cargo xtask bench serve` takes
//! it for the part of a request's time that is not ours to save.

use poem::listener::TcpListener;
use poem::{Endpoint, Route, Server, handler, post};

#[handler]
fn echo(body: Vec<u8>) -> Vec<u8> {
    body
}

fn routes() -> impl Endpoint {
    Route::new().at("/v1/predict", post(echo)).at("/readyz", echo)
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8000".to_owned());
    Server::new(TcpListener::bind(address)).run(routes()).await
}
