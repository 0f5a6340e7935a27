//! `serve`: the story of a running service, from configuration to exit.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use contract::image::Image;
use model::classifier::{Classifier, set_threads};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep, timeout};

use crate::config::Config;
use crate::lifecycle::Signals;
use crate::service::Service;
use crate::telemetry::logs::{Log, milliseconds};
use crate::{api, connections};

/// One engine cannot keep more of them busy, and each costs memory.
const MOST_WORKERS: usize = 4;

pub fn run(config: &Config) -> anyhow::Result<()> {
    let log = Log::install(config.log.clone())?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores.min(MOST_WORKERS))
        .enable_all()
        .build()?;
    let result = runtime.block_on(serve(config, &log));
    // Whatever outlived the drain limit does not hold up the end.
    runtime.shutdown_background();
    result
}

async fn serve(config: &Config, log: &Log) -> anyhow::Result<()> {
    // Before anything slow: from here on SIGTERM is an orderly end.
    let mut signals = Signals::install()?;
    let started = Instant::now();
    let (folder, threads) = (config.model_dir.clone(), config.threads);
    let loading = tokio::task::spawn_blocking(move || {
        set_threads(threads);
        Classifier::open(&folder)
    });
    let classifier = tokio::select! {
        loaded = loading => loaded??,
        signal = signals.next() => {
            tracing::info!(signal, "ended while loading the model");
            return Ok(());
        }
    };
    let manifest = classifier.manifest().clone();
    let classify = move |images: &[Image]| classifier.classify(images);
    let service = Arc::new(Service::start(config, manifest, classify, log.dropped())?);
    service.warm_up().await?;
    let listener = TcpListener::bind(config.listen)
        .await
        .with_context(|| format!("{} cannot be listened on", config.listen))?;
    if !service.feedback.is_open() {
        tracing::info!("feedback is off: FEEDBACK_KEY_FILE names no key");
    }
    tracing::info!(
        listen = %listener.local_addr()?,
        model_version = service.identity.model_version(),
        data = service.identity.manifest.data.name,
        app_version = config.app_version,
        revision = config.revision,
        ms = milliseconds(started.elapsed()),
        "ready"
    );
    until_ended(listener, service, Drain::of(config), &mut signals).await
}

/// How a service ends.
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    pub pause: Duration,
    pub limit: Duration,
    pub max_connections: usize,
}

impl Drain {
    fn of(config: &Config) -> Self {
        let Config { drain_pause: pause, drain_limit: limit, max_connections, .. } = *config;
        Self { pause, limit, max_connections }
    }
}

/// Serves until a signal, then: unready at once, accepting for the pause, finishing what was accepted
/// within the limit. A second signal cuts short whatever is going on.
pub async fn until_ended(
    listener: TcpListener,
    service: Arc<Service>,
    drain: Drain,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let endpoint = Arc::new(api::router(Arc::clone(&service)));
    let stopped = async { drop(stopped.await) };
    let mut serving =
        tokio::spawn(connections::serve(listener, endpoint, drain.max_connections, stopped));

    let signal = tokio::select! {
        signal = signals.next() => signal,
        ended = &mut serving => return Ok(ended??),
    };
    service.readiness.set_draining();
    tracing::info!(signal, pause_ms = drain.pause.as_millis(), "draining");
    tokio::select! {
        () = sleep(drain.pause) => {}
        signal = signals.next() => tracing::warn!(signal, "the pause was cut short"),
    }
    drop(stop);
    tokio::select! {
        ended = timeout(drain.limit, &mut serving) => match ended {
            Ok(ended) => ended??,
            Err(_elapsed) => tracing::warn!("some requests outlived the drain limit"),
        },
        signal = signals.next() => tracing::warn!(signal, "requests were cut short"),
    }
    serving.abort();
    tracing::info!("ended");
    Ok(())
}
