/**
 * What is taken out of Firecracker 1.14.1 before it is built: docs/purge.md says what that is, what stays, and what each
 * part costs. The anchors were read in development versions of the time, 1.15.0-dev for the most part, and not compared with the
 * archive of the release: `anvil purge --check` says which hold in a source that is at hand.
 */
import type { Change, Purge, PurgeCheck } from "../../src/recipe/purge.ts";

/** The anchor is removed. */
const cut = (file: string, why: string, ...anchors: string[]): Change[] =>
  anchors.map((anchor) => ({ file, anchor, becomes: "", why }));
const replace = (file: string, why: string, anchor: string, becomes: string): Change => ({
  file,
  anchor,
  becomes,
  why,
});
/** From one anchor up to another. */
const cutUpTo = (file: string, why: string, from: string, to: string, becomes = ""): Change => ({
  file,
  from,
  to,
  becomes,
  why,
});

const notBuilt = "programs that no running guest needs";

/** The workspace is what the monitor is made of; what is built before it (seccompiler) stays. */
const workspace: Change[] = [
  ...[
    "clippy-tracing",
    "cpu-template-helper",
    "jailer",
    "log-instrument",
    "log-instrument-macros",
    "rebase-snap",
    "snapshot-editor",
  ].map((name): Change => ({ removes: `src/${name}`, why: notBuilt })),
  cutUpTo("Cargo.toml", notBuilt, 'members = ["src/*"]', 'resolver = "2"', 'members = ["src/*"]\n'),
  // its HTTP parser comes from a repository: here it is a source of the channel, unpacked beside this one
  replace(
    "Cargo.toml",
    "nothing is fetched while it is built",
    "[workspace.lints.rust]\n",
    '[patch."https://github.com/firecracker-microvm/micro-http"]\nmicro_http = { path = "../micro-http" }\n\n' +
      "[workspace.lints.rust]\n",
  ),
  ...["src/firecracker", "src/utils", "src/vmm"].flatMap((crate) =>
    cut(`${crate}/Cargo.toml`, notBuilt, 'log-instrument = { path = "../log-instrument", optional = true }\n'),
  ),
  ...cut("src/firecracker/Cargo.toml", notBuilt, 'tracing = ["log-instrument", "utils/tracing", "vmm/tracing"]\n'),
  ...["src/utils", "src/vmm"].flatMap((crate) =>
    cut(`${crate}/Cargo.toml`, notBuilt, 'tracing = ["log-instrument"]\n'),
  ),
  // cargo wants the crates of tests to be there although it does not build them
  cutUpTo("src/firecracker/Cargo.toml", "crates of tests", "[dev-dependencies]\n", "[lints]\n"),
  cutUpTo("src/vmm/Cargo.toml", "crates of tests", "[dev-dependencies]\n", '[[bench]]\nname = "cpu_templates"\n'),
];

const noLogger = "nothing is logged";

const main = "src/firecracker/src/main.rs";
const adapter = "src/firecracker/src/api_server_adapter.rs";
const requests = "src/firecracker/src/api_server/parsed_request.rs";
const rpc = "src/vmm/src/rpc_interface.rs";
const resources = "src/vmm/src/resources.rs";
const metrics = "src/vmm/src/logger/metrics.rs";

/** The macros of `log` become nothing in a release build; what remains of the module is what others ask of it. */
const logger: Change[] = [
  replace(
    "src/vmm/Cargo.toml",
    noLogger,
    'features = ["std", "serde"] }',
    'features = ["std", "serde", "release_max_level_off"] }',
  ),
  {
    file: "src/vmm/src/logger/logging.rs",
    anchor: "pub static LOGGER: Logger",
    text: `\
//! The name of this microVM. There is no logger.
use std::sync::OnceLock;

/// Default instance id.
pub const DEFAULT_INSTANCE_ID: &str = "anonymous-instance";
/// Instance id.
pub static INSTANCE_ID: OnceLock<String> = OnceLock::new();
`,
    why: noLogger,
  },
  cutUpTo(
    "src/vmm/src/logger/mod.rs",
    noLogger,
    "pub use logging::{",
    "pub use metrics::{",
    "pub use logging::{DEFAULT_INSTANCE_ID, INSTANCE_ID};\n",
  ),
  ...cut(main, noLogger, "    LOGGER.init().map_err(MainError::SetLogger)?;\n"),
  ...cut(
    main,
    noLogger,
    "    /// Failed to set the logger: {0}\n    SetLogger(vmm::logger::LoggerInitError),\n",
    "            MainError::InvalidLogLevel(_) => FcExitCode::BadConfiguration,\n",
    "use std::str::FromStr;\n",
  ),
  cutUpTo(main, noLogger, "    /// Invalid value for logger level", "    /// Seccomp error: {0}\n"),
  cutUpTo(main, noLogger, "    let log_path = arguments", "    register_signal_handlers()"),
  replace(
    main,
    noLogger,
    "LOGGER, LoggerConfig, METRICS, ProcessTimeReporter, StoreMetric, debug",
    "ProcessTimeReporter, debug",
  ),
  // a text of each request, with its body, was made for the log
  cutUpTo(requests, noLogger, "        let description = describe(", "        // Split request uri by"),
  cutUpTo(requests, noLogger, "/// Helper function for metric-logging", "/// Generates a `GenericError`"),
  replace(requests, noLogger, "use vmm::logger::{Level, error, info, log_enabled};", "use vmm::logger::{error, info};"),
];

const noFlag = "--log-path --level --module --show-level --show-log-origin --metrics-path --boot-timer are refused";
const noRoute = "PUT /logger, PUT /metrics and the action FlushMetrics are refused";
const noSection = "the sections logger and metrics of a configuration file are refused";

const interfaces: Change[] = [
  cutUpTo(
    main,
    noFlag,
    '            .arg(\n                Argument::new("log-path")',
    '            .arg(\n                Argument::new("version")',
  ),
  replace(main, noFlag, 'arguments.flag_present("boot-timer")', "false"),

  { removes: "src/firecracker/src/api_server/request/logger.rs", why: noRoute },
  { removes: "src/firecracker/src/api_server/request/metrics.rs", why: noRoute },
  ...cut("src/firecracker/src/api_server/request/mod.rs", noRoute, "pub mod logger;\n", "pub mod metrics;\n"),
  ...cut(
    requests,
    noRoute,
    "use super::request::logger::parse_put_logger;\n",
    "use super::request::metrics::parse_put_metrics;\n",
    '            (Method::Put, "logger", Some(body)) => parse_put_logger(body),\n',
    '            (Method::Put, "metrics", Some(body)) => parse_put_metrics(body),\n',
  ),
  ...cut(
    "src/firecracker/src/api_server/request/actions.rs",
    noRoute,
    "    FlushMetrics,\n",
    "        ActionType::FlushMetrics => Ok(ParsedRequest::new_sync(VmmAction::FlushMetrics)),\n",
  ),
  replace(rpc, noRoute, "use crate::logger::{LoggerConfig, info", "use crate::logger::{info"),
  ...cut(
    rpc,
    noRoute,
    "use crate::vmm_config::metrics::{MetricsConfig, MetricsConfigError};\n",
    "    /// Logger error: {0}\n    Logger(#[from] crate::logger::LoggerUpdateError),\n",
    "    /// Metrics error: {0}\n    Metrics(#[from] MetricsConfigError),\n",
    "            | FlushMetrics\n",
    "            FlushMetrics => self.flush_metrics(),\n",
    "            | ConfigureLogger(_)\n            | ConfigureMetrics(_)\n",
  ),
  cutUpTo(rpc, noRoute, "    /// Configure the logger using", "    /// Configure the serial device."),
  cutUpTo(rpc, noRoute, "    /// Flush the metrics.", "    /// Add a new block device or update"),
  cutUpTo(rpc, noRoute, "            ConfigureLogger(logger_cfg)", "            ConfigureSerial(serial_cfg)"),
  cutUpTo(rpc, noRoute, "    /// Write the metrics on user demand", "    /// Injects CTRL+ALT+DEL"),

  replace(
    resources,
    "a section that is not known is refused, instead of being passed over",
    '#[serde(rename_all = "kebab-case")]\npub struct VmmConfig {',
    '#[serde(rename_all = "kebab-case", deny_unknown_fields)]\npub struct VmmConfig {',
  ),
  ...cut(
    resources,
    noSection,
    "use crate::vmm_config::metrics::{MetricsConfig, MetricsConfigError, init_metrics};\n",
    "    /// Logger error: {0}\n    Logger(#[from] crate::logger::LoggerUpdateError),\n",
    "    /// Metrics error: {0}\n    Metrics(#[from] MetricsConfigError),\n",
    "    logger: Option<crate::logger::LoggerConfig>,\n",
    "    metrics: Option<MetricsConfig>,\n",
    "            logger: None,\n",
    "            metrics: None,\n",
  ),
  cutUpTo(resources, noSection, "        if let Some(logger_config)", "        let mut resources: Self = Self {"),
  ...cut("src/vmm/src/vmm_config/mod.rs", noSection, "/// Wrapper for configuring the metrics.\npub mod metrics;\n"),
  { removes: "src/vmm/src/vmm_config/metrics.rs", why: noSection },
];

const noCounter = "counters are types without a size, whose functions do nothing";
const noWriter = "metrics are not written, so their names are not in the program";

const counters: Change[] = [
  cutUpTo(
    metrics,
    noCounter,
    "#[derive(Debug, Default)]\npub struct SharedIncMetric(",
    "/// Reporter object which computes",
    `\
/// A counter that counts nothing.
#[derive(Debug, Default)]
pub struct SharedIncMetric;
impl SharedIncMetric {
    /// Const default construction.
    pub const fn new() -> Self {
        Self
    }
}

/// A value that is not kept.
#[derive(Debug, Default)]
pub struct SharedStoreMetric;
impl SharedStoreMetric {
    /// Const default construction.
    pub const fn new() -> Self {
        Self
    }
}

impl IncMetric for SharedIncMetric {
    fn add(&self, _value: u64) {}
    fn count(&self) -> u64 {
        0
    }
    fn fetch_diff(&self) -> u64 {
        0
    }
}

impl StoreMetric for SharedStoreMetric {
    fn fetch(&self) -> u64 {
        0
    }
    fn store(&self, _value: u64) {}
}

impl Serialize for SharedIncMetric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

impl Serialize for SharedStoreMetric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_unit()
    }
}

`,
  ),
  ...cut(metrics, noCounter, "use std::sync::atomic::{AtomicU64, Ordering};\n"),
  // two readings of the clock for each exit of the guest
  replace(
    metrics,
    noCounter,
    "            start_time: get_time_us(ClockType::Monotonic),\n",
    "            start_time: 0,\n",
  ),
  cutUpTo(
    metrics,
    noCounter,
    "        let delta_us = get_time_us(ClockType::Monotonic) - self.start_time;",
    "/// Used to record Aggregate",
    "    }\n}\n\n",
  ),
  cutUpTo(
    metrics,
    noWriter,
    "        if let Some(lock) = self.metrics_buf.get() {",
    "impl<T: Serialize + Debug, M: Write + Send + Debug> Deref",
    "        Ok(false)\n    }\n}\n\n",
  ),
  cutUpTo(
    main,
    noWriter,
    "        METRICS.vmm.panic_count.store(1);",
    "    let http_max_payload_size_str",
    "    }));\n\n",
  ),
  cutUpTo(
    main,
    noWriter,
    "    if let Some(metrics_path) = arguments",
    "    let mut seccomp_filters: BpfThreadMap = SeccompConfig",
  ),
  ...cut(
    main,
    noWriter,
    "mod metrics;\n",
    "use vmm::vmm_config::metrics::{MetricsConfig, MetricsConfigError, init_metrics};\n",
  ),
  // the timer that writes them every minute
  { removes: "src/firecracker/src/metrics.rs", why: noWriter },
  cutUpTo(main, noWriter, "    // Create the firecracker metrics object", "    // Build the microVm. "),
  cutUpTo(main, noWriter, "    // Start the metrics.", "    // Run the EventManager that drives"),
  cutUpTo(
    adapter,
    noWriter,
    "    // Create the firecracker metrics object",
    "    // Configure, build and start the microVM.",
  ),
  cutUpTo(adapter, noWriter, "        firecracker_metrics\n", "        ApiServerAdapter::run_microvm("),
];

const checks: PurgeCheck[] = [
  { below: "src/firecracker/src", lacks: "parse_put_logger|parse_put_metrics|PeriodicMetrics", why: noRoute },
  { below: "src/firecracker/src", lacks: "FlushMetrics|ConfigureLogger|ConfigureMetrics", why: noRoute },
  { below: main, lacks: "log-path|show-level|show-log-origin|metrics-path|boot-timer", why: noFlag },
  { below: "src/vmm/src", lacks: "FlushMetrics|ConfigureLogger|ConfigureMetrics|LoggerConfig", why: noRoute },
  { below: "src/vmm/src", lacks: "MetricsConfig|init_metrics", why: noSection },
  { below: metrics, lacks: "AtomicU64|to_writer", why: noCounter },
  { below: "src/firecracker/Cargo.toml", lacks: "log-instrument", why: notBuilt },
  { below: "src/utils/Cargo.toml", lacks: "log-instrument", why: notBuilt },
  { below: "src/vmm/Cargo.toml", lacks: "log-instrument", why: notBuilt },
];

export const firecrackerPurge: Purge = {
  of: "Firecracker 1.14.1",
  changes: [...workspace, ...logger, ...interfaces, ...counters],
  checks,
};

/** Names of metrics, one of each group: they come only from the code that writes them. */
export const METRIC_NAMES = /utc_timestamp_ms|process_startup_time_us|missed_metrics_count|exit_io_in_agg|panic_count/;
/** Beginnings of what was logged. */
export const LOG_TEXTS = /The API server received a|Running Firecracker v|API server started|Failed to write metrics/;
