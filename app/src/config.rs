//! [`Config`]: everything about a running service that is decided outside of it. Read once, from flags
//! and environment, checked as a whole before any port is opened.
//!
//! [`values`] says what texts mean, [`switches`] what is off unless it is set, [`traces`] where spans go.

mod mistakes;
pub mod switches;
pub mod traces;
mod values;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use protocol::receipt::Keys;
use tracing_subscriber::filter::Targets;

pub use self::mistakes::Mistakes;
use self::switches::Switches;
pub use self::values::cores;
use self::values::{
    MOST_WORKERS, artifact_folder, count, header_text, keys, levels, share, size, threads,
};
pub(crate) use self::values::{address, duration};
use crate::engine;
use crate::reload::Reloaded;
use crate::telemetry::{records, spans};

/// Flags and environment as text; [`Config`] is what they mean, or all that is wrong with them.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Folder of the artifact to serve
    #[arg(long, env, value_name = "DIR")]
    model_dir: Option<String>,
    /// Address and port to listen on
    #[arg(long, env, default_value = "127.0.0.1:8000", value_name = "ADDRESS")]
    listen: String,
    /// Images that may wait for the model; more are refused with 429
    #[arg(long, env, default_value = "256", value_name = "IMAGES")]
    queue_depth: String,
    /// Images computed together, and in one batch request
    #[arg(long, env, default_value = "64", value_name = "IMAGES")]
    max_batch: String,
    /// How long a request may wait for others to be computed with; 0 takes what is there
    #[arg(long, env, default_value = "0", value_name = "TIME")]
    batch_delay: String,
    /// Computations at a time [default: as many as cores that the process may use, up to 8]
    #[arg(long, env, value_name = "COUNT")]
    workers: Option<String>,
    /// Threads of one computation
    #[arg(long, env, default_value = "1", value_name = "COUNT")]
    threads: String,
    /// Failed computations in a row after which requests are refused with 503 for a while
    #[arg(long, env, default_value = "5", value_name = "COUNT")]
    breaker_failures: String,
    /// A request that is not answered by then is refused with 504
    #[arg(long, env, default_value = "5s", value_name = "TIME")]
    request_timeout: String,
    /// How long to go on accepting after SIGTERM, until load balancers have noticed
    #[arg(long, env, default_value = "5s", value_name = "TIME")]
    drain_pause: String,
    /// How long accepted requests may then take
    #[arg(long, env, default_value = "10s", value_name = "TIME")]
    drain_limit: String,
    /// Largest body that is read
    #[arg(long, env, default_value = "4MiB", value_name = "SIZE")]
    body_limit: String,
    /// Connections served at a time; more wait to be accepted
    #[arg(long, env, default_value = "1024", value_name = "COUNT")]
    max_connections: String,
    /// An answer of which its caller reads nothing for so long is given up, with its connection
    #[arg(long, env, default_value = "30s", value_name = "TIME")]
    write_timeout: String,
    /// Newest images that are compared with the model's baseline
    #[arg(long, env, default_value = "2000", value_name = "IMAGES")]
    drift_window: String,
    /// Where each prediction leaves a line of JSON, and four files before it [default: nowhere]
    #[arg(long, env, value_name = "FILE")]
    records: Option<String>,
    /// Size at which that file is put aside for the next
    #[arg(long, env, default_value = "64MiB", value_name = "SIZE")]
    records_size: String,
    /// Share of the pictures whose pixels are in it, 0 to 1
    #[arg(long, env, default_value = "0", value_name = "SHARE")]
    records_pixels: String,
    /// File with the keys of receipts, one per line, the newest first; read again when it changes. Without
    /// it feedback is off
    #[arg(long, env, value_name = "FILE")]
    feedback_key_file: Option<String>,
    /// What to log: error, warn, info, debug or trace, also by part: `info,access=warn`
    #[arg(long, env, default_value = "info", value_name = "LEVELS")]
    log: String,
    /// Version of this build, named in every answer
    #[arg(long, env, default_value = env!("CARGO_PKG_VERSION"), value_name = "VERSION")]
    app_version: String,
    /// Git revision this build was made from
    #[arg(long, env = "APP_REVISION", default_value = "unknown", value_name = "COMMIT")]
    revision: String,
    #[command(flatten)]
    switches: switches::Options,
    #[command(flatten)]
    traces: traces::Options,
}

#[derive(Debug, Clone)]
pub struct Config {
    pub model_dir: PathBuf,
    pub listen: SocketAddr,
    pub engine: engine::Options,
    pub workers: usize,
    pub threads: usize,
    pub request_timeout: Duration,
    pub drain_pause: Duration,
    pub drain_limit: Duration,
    pub body_limit: usize,
    pub max_connections: usize,
    pub write_timeout: Duration,
    pub drift_window: usize,
    pub records: Option<records::Options>,
    pub feedback_keys: Option<Arc<Reloaded<Keys, 1>>>,
    pub log: Targets,
    pub app_version: String,
    pub revision: String,
    pub switches: Switches,
    pub spans: Option<spans::Options>,
}

impl TryFrom<Options> for Config {
    type Error = Mistakes;

    fn try_from(options: Options) -> Result<Self, Mistakes> {
        let mut found = Mistakes::default();
        match read(&options, &mut found) {
            Some(config) if found.is_empty() => Ok(config),
            _ => Err(found),
        }
    }
}

fn read(options: &Options, found: &mut Mistakes) -> Option<Config> {
    let folder = options.model_dir.as_deref().unwrap_or("");
    let model_dir = found.check("model-dir", folder, artifact_folder);
    let listen = found.check("listen", &options.listen, address);
    let depth = found.check("queue-depth", &options.queue_depth, count);
    let max_batch = found.check("max-batch", &options.max_batch, count);
    let delay = found.check("batch-delay", &options.batch_delay, duration);
    let threads = found.check("threads", &options.threads, threads);
    let workers = match &options.workers {
        Some(text) => found.check("workers", text, count),
        None => Some((cores().min(MOST_WORKERS) / threads.unwrap_or(1)).max(1)),
    };
    let failures = found.check("breaker-failures", &options.breaker_failures, count);
    let request_timeout = found.check("request-timeout", &options.request_timeout, duration);
    let drain_pause = found.check("drain-pause", &options.drain_pause, duration);
    let drain_limit = found.check("drain-limit", &options.drain_limit, duration);
    let body_limit = found.check("body-limit", &options.body_limit, size);
    let max_connections = found.check("max-connections", &options.max_connections, count);
    let write_timeout = found.check("write-timeout", &options.write_timeout, duration);
    let drift_window = found.check("drift-window", &options.drift_window, count);
    let records_size = found.check("records-size", &options.records_size, size);
    let records_pixels = found.check("records-pixels", &options.records_pixels, share);
    let records = options.records.as_ref().zip(records_size).zip(records_pixels);
    let records = records.map(|((file, size), pixels)| records::Options {
        file: file.into(),
        size: size as u64,
        pixels,
    });
    let feedback_keys = match &options.feedback_key_file {
        Some(file) => found.check("feedback-key-file", file, keys).map(Some),
        None => Some(None),
    };
    let log = found.check("log", &options.log, levels);
    let app_version = found.check("app-version", &options.app_version, header_text);
    let revision = found.check("revision", &options.revision, header_text);
    let switches = switches::read(&options.switches, found);
    let spans = traces::read(&options.traces, found);
    if let (Some(depth), Some(max_batch)) = (depth, max_batch)
        && depth < max_batch
    {
        found.add(format!(
            "--queue-depth: {depth} images cannot hold a batch of --max-batch {max_batch}"
        ));
    }
    if request_timeout.is_some_and(|timeout| timeout.is_zero()) {
        found.add("--request-timeout: no request is answered in no time".to_owned());
    }
    if write_timeout.is_some_and(|timeout| timeout.is_zero()) {
        found.add("--write-timeout: no answer is read in no time".to_owned());
    }
    if delay > Some(Duration::ZERO) && delay >= request_timeout {
        found.add("--batch-delay: no request has that much time".to_owned());
    }
    Some(Config {
        model_dir: model_dir?,
        listen: listen?,
        engine: engine::Options {
            depth: depth?,
            max_batch: max_batch?,
            delay: delay?,
            failures: u32::try_from(failures?).expect("counts end at a million"),
        },
        workers: workers?,
        threads: threads?,
        request_timeout: request_timeout?,
        drain_pause: drain_pause?,
        drain_limit: drain_limit?,
        body_limit: body_limit?,
        max_connections: max_connections?,
        write_timeout: write_timeout?,
        drift_window: drift_window?,
        records,
        feedback_keys: feedback_keys?,
        log: log?,
        app_version: app_version?,
        revision: revision?,
        switches,
        spans,
    })
}

#[cfg(test)]
mod tests;
