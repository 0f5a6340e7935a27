//! The story of a running receiver, from configuration to exit.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing_subscriber::Layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::api::{self, Receiver};
use crate::command::Command;
use crate::config::Config;
use crate::connections;
use crate::metrics::Metrics;
use crate::page::Pager;
use crate::spool::Spool;
use crate::worker::Worker;

pub(crate) fn run(config: Config) -> anyhow::Result<()> {
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true);
    let lines = lines.with_current_span(false).with_span_list(false).with_writer(io::stderr);
    tracing_subscriber::registry().with(lines.with_filter(config.log.clone())).try_init()?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let result = runtime.block_on(serve(config));
    // A page that is being posted does not hold up the end; it is in the spool.
    runtime.shutdown_background();
    result
}

async fn serve(config: Config) -> anyhow::Result<()> {
    // First of all: from here on SIGTERM is an orderly end.
    let mut signals = Signals::install()?;
    let spool = Arc::new(Spool::open(&config.spool, config.queue, config.keep)?);
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("{} cannot be listened on", config.listen))?;
    let listen = listener.local_addr()?;
    let (metrics, accepted, new_page) =
        (Arc::new(Metrics::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (stop, stopping) = watch::channel(false);
    let cut = Arc::new(AtomicBool::new(false));

    let mut worker = tokio::spawn(
        Worker {
            spool: Arc::clone(&spool),
            command: Command {
                xtask: config.xtask,
                limit: config.run_limit,
                stop: Arc::clone(&cut),
            },
            metrics: Arc::clone(&metrics),
            tries: config.tries,
            retry_after: config.retry_after,
            accepted: Arc::clone(&accepted),
            paged: Arc::clone(&new_page),
            stopping: stopping.clone(),
        }
        .work(),
    );
    let mut pager = tokio::spawn(
        Pager {
            spool: Arc::clone(&spool),
            metrics: Arc::clone(&metrics),
            url: config.page_url,
            retry_after: config.retry_after,
            paged: new_page,
            stopping: stopping.clone(),
        }
        .work(),
    );
    let waiting = spool.waiting().len();
    let receiver = Receiver {
        spool,
        access: config.access,
        metrics,
        accepted,
        tasks: vec![worker.abort_handle(), pager.abort_handle()],
        stopping: stopping.clone(),
    };
    let endpoint = Arc::new(api::router(Arc::new(receiver)));
    let mut stopped = stopping;
    let stopped = async move { drop(stopped.wait_for(|stopping| *stopping).await) };
    let mut serving = tokio::spawn(connections::serve(listener, endpoint, stopped));
    tracing::info!(%listen, waiting, "ready");

    let signal = tokio::select! {
        signal = signals.next() => signal,
        ended = &mut worker => return failed("worker", ended?),
        ended = &mut pager => return failed("pager", ended?),
        ended = &mut serving => return failed("server", ended?.map_err(anyhow::Error::from)),
    };
    tracing::info!(signal, grace_ms = config.grace.as_millis(), "ending");
    stop.send_replace(true);
    tokio::select! {
        ended = timeout(config.grace, &mut worker) => if let Ok(ended) = ended {
            ended??;
        } else {
            tracing::warn!("what still runs is cut short");
            finish(&cut, worker).await?;
        },
        signal = signals.next() => {
            tracing::warn!(signal, "what still runs is cut short");
            finish(&cut, worker).await?;
        }
    }
    serving.await??;
    tracing::info!("ended");
    Ok(())
}

async fn finish(cut: &AtomicBool, worker: JoinHandle<anyhow::Result<()>>) -> anyhow::Result<()> {
    cut.store(true, Ordering::Release);
    worker.await?
}

/// Without one of them the others are of no use; whoever starts us starts all anew.
fn failed(part: &str, ended: anyhow::Result<()>) -> anyhow::Result<()> {
    ended.with_context(|| format!("the {part} ended"))?;
    anyhow::bail!("the {part} ended by itself")
}

/// SIGTERM and SIGINT. From the moment of installation neither kills the process any more.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        let (terminate, interrupt) = (SignalKind::terminate(), SignalKind::interrupt());
        Ok(Self { terminate: signal(terminate)?, interrupt: signal(interrupt)? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}
