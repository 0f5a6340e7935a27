//! [`Config`]: everything about a running service that is decided outside of it. Read once, from flags
//! and environment, checked as a whole before anything is opened.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use contract::causes;
use model::classifier::MAX_THREADS;
use protocol::receipt::Keys;
use tracing_subscriber::filter::Targets;

use crate::engine;
use crate::telemetry::records;

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
    /// Threads of one computation
    #[arg(long, env, default_value = "1", value_name = "COUNT")]
    threads: String,
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
    /// File with the keys of receipts, one per line, the newest first; without it feedback is off
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
}

#[derive(Debug, Clone)]
pub struct Config {
    pub model_dir: PathBuf,
    pub listen: SocketAddr,
    pub engine: engine::Options,
    pub threads: usize,
    pub request_timeout: Duration,
    pub drain_pause: Duration,
    pub drain_limit: Duration,
    pub body_limit: usize,
    pub max_connections: usize,
    pub drift_window: usize,
    pub records: Option<records::Options>,
    pub feedback_keys: Option<Keys>,
    pub log: Targets,
    pub app_version: String,
    pub revision: String,
}

/// Every mistake, one per line.
#[derive(Debug)]
pub struct Mistakes(Vec<String>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used")?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))?;
        f.write_str("\n\nhint: `mnist-api serve --help` lists every flag with its variable")
    }
}

impl TryFrom<Options> for Config {
    type Error = Mistakes;

    fn try_from(options: Options) -> Result<Self, Mistakes> {
        let mut found = Mistakes(Vec::new());
        let config = read(&options, &mut found);
        match config {
            Some(config) if found.0.is_empty() => Ok(config),
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
    let threads = found.check("threads", &options.threads, threads);
    let request_timeout = found.check("request-timeout", &options.request_timeout, duration);
    let drain_pause = found.check("drain-pause", &options.drain_pause, duration);
    let drain_limit = found.check("drain-limit", &options.drain_limit, duration);
    let body_limit = found.check("body-limit", &options.body_limit, size);
    let max_connections = found.check("max-connections", &options.max_connections, count);
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
    if let (Some(depth), Some(max_batch)) = (depth, max_batch)
        && depth < max_batch
    {
        found.0.push(format!(
            "--queue-depth: {depth} images cannot hold a batch of --max-batch {max_batch}"
        ));
    }
    if request_timeout.is_some_and(|timeout| timeout.is_zero()) {
        found.0.push("--request-timeout: no request is answered in no time".to_owned());
    }
    Some(Config {
        model_dir: model_dir?,
        listen: listen?,
        engine: engine::Options { depth: depth?, max_batch: max_batch? },
        threads: threads?,
        request_timeout: request_timeout?,
        drain_pause: drain_pause?,
        drain_limit: drain_limit?,
        body_limit: body_limit?,
        max_connections: max_connections?,
        drift_window: drift_window?,
        records,
        feedback_keys: feedback_keys?,
        log: log?,
        app_version: app_version?,
        revision: revision?,
    })
}

impl Mistakes {
    fn check<T>(
        &mut self,
        flag: &str,
        text: &str,
        parse: fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        match parse(text) {
            Ok(value) => Some(value),
            Err(mistake) => {
                let variable = match flag {
                    "revision" => "APP_REVISION".to_owned(),
                    flag => flag.to_uppercase().replace('-', "_"),
                };
                self.0.push(format!("--{flag} ({variable}): {mistake}"));
                None
            }
        }
    }
}

fn artifact_folder(text: &str) -> Result<PathBuf, String> {
    match text {
        "" => Err("missing; `cargo xtask train` prints the folder of an artifact".to_owned()),
        path if PathBuf::from(path).is_dir() => Ok(path.into()),
        path => Err(format!("`{path}` is not a folder")),
    }
}

fn keys(file: &str) -> Result<Keys, String> {
    let text = fs_err::read_to_string(file)
        .map_err(|error| causes::sentence(anyhow::Error::from(error).chain()))?;
    Keys::parse(&text).map_err(|error| format!("`{file}`: {error}"))
}

pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_error| format!("`{text}` is not like 127.0.0.1:8000 or [::]:8000"))
}

fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=1_000_000) => Ok(count),
        _ => Err(format!("`{text}` is not a whole number from 1 to 1000000")),
    }
}

fn threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(count @ 1..=MAX_THREADS) => Ok(count),
        _ => Err(format!("`{text}` is not a whole number from 1 to {MAX_THREADS}")),
    }
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not a time such as 500ms, 5s or 2m");
    let (number, unit) = split(text);
    let number: u32 = number.parse().map_err(|_error| wrong())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number.into())),
        "s" => Ok(Duration::from_secs(number.into())),
        "m" => Ok(Duration::from_secs(u64::from(number) * 60)),
        "" if number == 0 => Ok(Duration::ZERO),
        _ => Err(wrong()),
    }
}

fn size(text: &str) -> Result<usize, String> {
    let wrong = || format!("`{text}` is not a size such as 65536, 512KiB or 4MiB, up to 256MiB");
    let (number, unit) = split(text);
    let number: usize = number.parse().map_err(|_error| wrong())?;
    let unit = match unit {
        "" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        _ => return Err(wrong()),
    };
    match number.checked_mul(unit) {
        Some(bytes) if (1..=256 << 20).contains(&bytes) => Ok(bytes),
        _ => Err(wrong()),
    }
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err(format!("`{text}` is not a share from 0 to 1, such as 0.01")),
    }
}

fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_numeric()).unwrap_or(text.len()))
}

fn levels(text: &str) -> Result<Targets, String> {
    text.parse().map_err(|_error| format!("`{text}` is not like `info` or `info,access=warn`"))
}

/// It travels in a header of every answer.
fn header_text(text: &str) -> Result<String, String> {
    if !text.is_empty() && text.len() <= 128 && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{}` is not 1 to 128 visible ASCII characters", text.escape_debug()))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        options: Options,
    }

    fn config(args: &[&str]) -> Result<Config, Mistakes> {
        let args = ["serve"].iter().chain(args);
        Config::try_from(Program::try_parse_from(args).unwrap().options)
    }

    #[test]
    fn only_the_folder_of_the_model_must_be_given() {
        let config = config(&["--model-dir", "."]).unwrap();
        assert_eq!(config.listen, "127.0.0.1:8000".parse().unwrap());
        assert_eq!(config.drain_pause, Duration::from_secs(5));
        assert_eq!(config.body_limit, 4 << 20);
    }

    #[test]
    fn all_mistakes_are_told_together_with_their_variables() {
        let told = config(&[
            "--listen",
            "localhost",
            "--queue-depth",
            "0",
            "--threads",
            "100000",
            "--drain-pause",
            "5 s",
            "--body-limit",
            "1TiB",
            "--app-version",
            "a b",
            "--log",
            "info,=loud",
        ])
        .unwrap_err()
        .to_string();
        for part in [
            "--model-dir (MODEL_DIR): missing",
            "--listen (LISTEN): `localhost`",
            "--queue-depth (QUEUE_DEPTH): `0`",
            "--threads (THREADS): `100000`",
            "--drain-pause (DRAIN_PAUSE): `5 s`",
            "--body-limit (BODY_LIMIT): `1TiB`",
            "--app-version (APP_VERSION): `a b`",
            "--log (LOG): `info,=loud`",
            "hint: ",
        ] {
            assert!(told.contains(part), "`{part}` missing in:\n{told}");
        }
    }

    #[test]
    fn values_that_contradict_each_other_are_a_mistake() {
        let check = |args: &[&str], part: &str| {
            let told = config(&[&["--model-dir", "."], args].concat()).unwrap_err().to_string();
            assert!(told.contains(part), "{told}");
        };
        check(&["--queue-depth", "8", "--max-batch", "9"], "cannot hold a batch");
        check(&["--request-timeout", "0s"], "no time");
    }

    #[test]
    fn a_key_that_is_missing_or_weak_is_a_mistake_and_never_told() {
        let told = |file: &str| {
            let args = ["--model-dir", ".", "--feedback-key-file", file];
            config(&args).unwrap_err().to_string()
        };
        let missing = told("no/such/file");
        assert!(missing.contains("(FEEDBACK_KEY_FILE): ") && missing.contains("no/such/file"));
        let weak = told("Cargo.toml");
        assert!(weak.contains("a key per line") && !weak.contains("[package]"), "{weak}");
        assert!(config(&["--model-dir", "."]).unwrap().feedback_keys.is_none());
    }

    #[test]
    fn times_and_sizes_read_as_people_write_them() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        assert_eq!(size("512KiB"), Ok(512 << 10));
        for wrong in ["", "s", "5", "-1s", "5h", "٥s", "99999999999s"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "0", "MiB", "257MiB", "4MB", "18446744073709551615KiB"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
    }
}
