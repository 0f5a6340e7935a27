//! `serve`: the story of a running service, from configuration to exit.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use contract::image::Image;
use model::classifier::{Classifier, set_threads};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout_at};

use crate::api::routes::Route;
use crate::config::{Config, cores};
use crate::connections::Limits;
use crate::connections::tls::Tls;
use crate::lifecycle::Signals;
use crate::service::Service;
use crate::telemetry::logs::{Log, milliseconds};
use crate::{api, connections};

/// Each costs memory, and few keep many cores busy with computations.
const MOST_WORKERS: usize = 8;

/// A kubelet and a few that scrape.
const ADMIN_CONNECTIONS: usize = 64;

pub fn run(config: &Config) -> anyhow::Result<()> {
    let log = Log::install(config.log.clone())?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(cores().min(MOST_WORKERS))
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
    let classifier = Arc::new(classifier);
    let classifiers = (0..config.workers).map(|_| {
        let classifier = Arc::clone(&classifier);
        move |images: &[Image]| classifier.classify(images)
    });
    let service = Arc::new(Service::start(config, manifest, classifiers, log.dropped())?);
    service.warm_up().await?;
    let ports = Ports::bind(config).await?;
    let [on, off] = config.switches.told();
    tracing::info!(on, off, "access");
    config.switches.access.warn();
    if let Some(options) = &config.spans {
        tracing::info!(collector = options.collector.url(), "traces are on");
    } else {
        tracing::info!("traces are off: OTEL_EXPORTER_OTLP_ENDPOINT names no collector");
    }
    if !service.feedback.is_open() {
        tracing::info!("feedback is off: FEEDBACK_KEY_FILE names no key");
    }
    tracing::info!(
        listen = %ports.public.local_addr()?,
        model_version = service.identity.model_version(),
        data = service.identity.manifest.data.name,
        app_version = config.app_version,
        revision = config.revision,
        workers = config.workers,
        threads = config.threads,
        ms = milliseconds(started.elapsed()),
        "ready"
    );
    until_ended(ports, service, Drain::of(config), &mut signals).await
}

/// Where a service listens.
#[derive(Debug)]
pub struct Ports {
    pub public: TcpListener,
    pub tls: Option<Tls>,
    /// Where what is for those who run it has a port of its own.
    pub admin: Option<TcpListener>,
}

impl Ports {
    pub async fn bind(config: &Config) -> anyhow::Result<Self> {
        let bind = async |address| {
            let bound = TcpListener::bind(address).await;
            bound.with_context(|| format!("{address} cannot be listened on"))
        };
        let public = bind(config.listen).await?;
        let admin = match config.switches.admin_listen {
            Some(address) => Some(bind(address).await?),
            None => None,
        };
        Ok(Self { public, tls: config.switches.tls.clone(), admin })
    }
}

/// How long a service waits for its callers, and for its end.
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    pub pause: Duration,
    pub limit: Duration,
    pub max_connections: usize,
    pub write_timeout: Duration,
}

impl Drain {
    fn of(config: &Config) -> Self {
        let Config { drain_pause: pause, drain_limit: limit, .. } = *config;
        let Config { max_connections, write_timeout, .. } = *config;
        Self { pause, limit, max_connections, write_timeout }
    }
}

/// Serves until a signal, then: unready at once, accepting for the pause, finishing what was accepted
/// within the limit. A second signal cuts short whatever is going on.
pub async fn until_ended(
    ports: Ports,
    service: Arc<Service>,
    drain: Drain,
    signals: &mut Signals,
) -> anyhow::Result<()> {
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let Ports { public, tls, admin } = ports;
    let _followers = service.follow(tls.as_ref());
    let limits = Limits {
        connections: drain.max_connections,
        write: drain.write_timeout,
        given_up: service.metrics.given_up(),
    };
    // Ends with this function: until then it tells whoever asks how the service ends.
    let mut administration = JoinSet::new();
    let is_public: fn(Route) -> bool = match admin {
        None => |_| true,
        Some(listener) => {
            let endpoint = Arc::new(api::admin_router(Arc::clone(&service)));
            let limits = Limits { connections: ADMIN_CONNECTIONS, ..limits.clone() };
            let never = std::future::pending();
            let serving = connections::serve(listener, None, endpoint, limits, never);
            administration.spawn(serving);
            |route: Route| !route.is_administrative()
        }
    };
    let endpoint = Arc::new(api::router_of(Arc::clone(&service), is_public));
    let stopped = async { drop(stopped.await) };
    let serving = connections::serve(public, tls, endpoint, limits, stopped);
    let mut serving = tokio::spawn(serving);

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
    let until = Instant::now() + drain.limit;
    tokio::select! {
        ended = timeout_at(until, &mut serving) => match ended {
            Ok(ended) => ended??,
            Err(_elapsed) => tracing::warn!("some requests outlived the drain limit"),
        },
        signal = signals.next() => tracing::warn!(signal, "requests were cut short"),
    }
    serving.abort();
    if let Some(records) = &service.records {
        records.flush();
    }
    if let Some(spans) = &service.spans {
        tokio::select! {
            () = spans.flush(until) => {}
            signal = signals.next() => tracing::warn!(signal, "spans were cut short"),
        }
    }
    tracing::info!("ended");
    Ok(())
}
