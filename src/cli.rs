//! The command line: what can be asked for, and in which words.

use std::{path::PathBuf, str::FromStr};

use clap::{Args, Parser, Subcommand};

use counterfoil::{bench, config::Flags};
use event_store::{NotAPosition, Position};

/// An event-sourced commerce backend: checkout that stays correct under contention, read models that can
/// be rebuilt, history that can be audited.
#[derive(Debug, Parser)]
#[command(version, about, after_help = FIRST_STEPS)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const FIRST_STEPS: &str = "\
First steps:
  counterfoil demo                 open a shop, sell, and check the books
  counterfoil serve                the same over HTTP, on http://127.0.0.1:8080 (API at /docs)
  counterfoil verify               check every invariant over the whole history";

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the roles of Counterfoil until told to stop
    Serve {
        #[command(flatten)]
        flags: Flags,
    },
    /// Open a shop, run checkouts of every kind, check every invariant and say what came of it
    Demo {
        #[command(flatten)]
        flags: Flags,
        /// How many checkouts
        #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=100_000))]
        checkouts: u64,
        /// The seed that plans the customers; the same seed plans the same ones
        #[arg(long, default_value_t = 1)]
        seed: u64,
        /// Print the summary as JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask a running server for its streams, read models and checkouts in flight
    Status {
        /// The server
        #[arg(long, default_value = "http://127.0.0.1:8080", env = "COUNTERFOIL_URL")]
        url: String,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Ask a running server whether every role of it can work; exits with 1 when one cannot
    ///
    /// For health checks of containers and the like, which need no other program then.
    Healthy {
        /// The server
        #[arg(long, default_value = "http://127.0.0.1:8080", env = "COUNTERFOIL_URL")]
        url: String,
        /// Print what was checked as JSON
        #[arg(long)]
        json: bool,
    },
    /// Look after the read models
    Projections {
        #[command(subcommand)]
        command: ProjectionsCommand,
    },
    /// Look after what is handed on to NATS
    Relay {
        #[command(subcommand)]
        command: RelayCommand,
    },
    /// Show every event that comes on NATS, with gaps and doubles, as a system outside would get it
    ///
    /// `counterfoil serve --roles …,relay` publishes every event of the log to the JetStream stream COUNTERFOIL, on
    /// the subject `counterfoil.<category>.<event>`, in the order of the log. This reads them as mail, warehouse or
    /// search would: it needs nothing of Counterfoil but the address of NATS, leaves nothing behind there, and goes
    /// on where it was when its connection breaks. What comes of each stream is held against its revisions: what is
    /// missing, came twice or comes behind later events is said. It ends with a summary, at Ctrl-C or after --count.
    #[command(after_help = TAPS)]
    Tap {
        /// What to listen to; `*` stands for one word, `>` for all that follow
        #[arg(default_value = relay::ANYTHING)]
        subject: String,
        /// The NATS server, as in `nats://user:password@host:4222`; without it, the setting `nats_url`
        #[arg(long, value_name = "URL")]
        nats_url: Option<String>,
        /// Where to begin: `new` with what comes from now on, `start` with the oldest that NATS has, or a position
        /// of the log
        #[arg(long, default_value = "new", value_name = "POSITION|new|start")]
        from: relay::tap::From,
        /// Stop after so many events
        #[arg(long)]
        count: Option<u64>,
        /// Print one JSON object a line; the last one holds the summary
        #[arg(long)]
        json: bool,
        /// The configuration file (TOML) [default: counterfoil.toml in this directory, if there is one]
        #[arg(long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Take history in through the same command handlers and saga as a live checkout
    Import {
        #[command(subcommand)]
        source: ImportSource,
    },
    /// Check every invariant over the whole history; exits with 1 when one is broken
    Verify {
        #[command(flatten)]
        flags: Flags,
        /// What clients were told, one JSON object a line: {"stream": …, "position": …}
        #[arg(long, value_name = "FILE")]
        acknowledged: Option<PathBuf>,
        /// Print the report as JSON
        #[arg(long)]
        json: bool,
    },
    /// Run the sandbox payment provider as a process of its own, on the database of the server
    #[command(after_help = SANDBOX_TOKENS)]
    Sandbox {
        #[command(flatten)]
        flags: Flags,
        /// Where its webhooks go
        #[arg(long, default_value = "http://127.0.0.1:8080/webhooks/payments/sandbox")]
        webhook_url: String,
    },
    /// Measure how fast this is on this machine, beside what the machine can do at best
    ///
    /// Each figure comes with its latency, with what this machine's Postgres does at best in the same run, and with
    /// the ratio of the two, which is what carries over to other machines. Everything is durable while it is measured.
    /// It runs on a Postgres of its own below the data directory, or in a database of its own on the server of
    /// --database-url, and leaves nothing behind. Build with --release for it, and leave the machine alone meanwhile.
    #[command(after_help = BENCHES)]
    Bench {
        #[command(flatten)]
        asked: Asked,
        #[command(flatten)]
        flags: Flags,
        /// Print each report as JSON, one a line
        #[arg(long)]
        json: bool,
    },
    /// Show every setting that is in force and where it came from
    CheckConfig {
        #[command(flatten)]
        flags: Flags,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
}

/// What to do with the read models. All of it works beside a running server.
#[derive(Debug, Subcommand)]
pub(crate) enum ProjectionsCommand {
    /// Every read model with its version
    List {
        #[command(flatten)]
        flags: Flags,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Checkpoints, lag, who keeps them up to date and which streams are parked
    Status {
        #[command(flatten)]
        flags: Flags,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
    /// Build a read model anew beside the live one, compare both row by row, and switch; readers notice
    /// nothing. A rebuild that was interrupted goes on where it was
    Rebuild {
        /// The read model, or `all`: they are rebuilt at the same time then, in one reading of the log. Until the
        /// switch, the new version of each takes as much space in the database as the one that is read
        name: String,
        /// How many workers share the streams of each read model out among themselves, each with a connection of
        /// its own to the database [default: 2, and 1 with `all`]
        #[arg(long, value_parser = clap::value_parser!(u8).range(1..=16))]
        workers: Option<u8>,
        /// How many partitions the new version has, from 1 to 16; as many as the one that is read when absent.
        /// The partitions of a read model share its streams out and are kept up to date side by side, by one
        /// process or several. One is enough until the log grows faster than one projector can follow. A read
        /// model that is read in the order of the log (attention, feed) has one
        #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=16))]
        partitions: Option<u8>,
        /// Switch although rows differ, after somebody has looked at the differences
        #[arg(long)]
        accept_differences: bool,
        #[command(flatten)]
        flags: Flags,
        /// Print each read model's outcome as JSON, one a line
        #[arg(long)]
        json: bool,
    },
    /// Go back to the version of a read model that the last rebuild replaced
    ///
    /// A rebuild keeps the version that it replaces until the next one. When the new version turns out to be
    /// wrong, this brings the old one up to date with the log and lets readers see it again; they notice nothing
    /// of the switch. The version that is replaced is kept in turn, so that doing it twice changes nothing.
    /// `counterfoil projections list` says whether there is a version to go back to.
    RollBack {
        /// The read model
        name: String,
        #[command(flatten)]
        flags: Flags,
        /// Print what is read now as JSON
        #[arg(long)]
        json: bool,
    },
    /// Apply what parked streams keep back, once the cause is gone
    ///
    /// An event that cannot be applied to a read model parks its stream there: the event and all that follow in
    /// that stream are kept back, and the other streams go on. `counterfoil projections status` lists parked
    /// streams with the reason. When that is gone (a release that can read the event is installed, or what stood
    /// in the way in the database is removed), this applies what was kept back, and the stream goes on. An event
    /// that still cannot be applied parks its stream again, from there on, and the command fails.
    #[command(after_help = RETRIES)]
    Retry {
        /// The read model, or `all`
        name: String,
        /// The stream, such as order-0190c2f4-…; all that are parked when absent
        stream: Option<String>,
        #[command(flatten)]
        flags: Flags,
        /// Print what became of each stream as JSON
        #[arg(long)]
        json: bool,
    },
}

/// What to do with the relay. All of it works beside a running server.
#[derive(Debug, Subcommand)]
pub(crate) enum RelayCommand {
    /// Publish events again, after NATS has lost them
    ///
    /// NATS keeps what it was given on its own account; what it loses, a deleted stream say, the log still has. This
    /// sets the relay's checkpoint back, and the relay publishes from there on. Consumers that got some of it before
    /// get it again, and tell by position or event id. Events that JetStream took within its duplicate window (two
    /// hours, unless somebody else made the stream) are not put in twice, not even after a purge: delete the stream
    /// instead, and the relay makes it anew.
    Rewind {
        /// The position behind which everything is published again, or `start` for everything
        #[arg(long, value_name = "POSITION|start")]
        to: RewindTo,
        #[command(flatten)]
        flags: Flags,
        /// Print it as JSON
        #[arg(long)]
        json: bool,
    },
}

/// What is to be measured, and how.
#[derive(Debug, Args)]
pub(crate) struct Asked {
    /// What to measure, one after the other
    #[arg(value_enum, required = true)]
    pub(crate) names: Vec<bench::Name>,
    /// How long each single measurement takes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub(crate) seconds: u64,
    /// How many events the log of `growth` gets; ten million take 20 GiB of disk
    #[arg(long, default_value_t = 10_000_000, value_parser = clap::value_parser!(u64).range(1_000..=100_000_000))]
    pub(crate) events: u64,
    /// Draw what `growth` measured into this file, as SVG
    #[arg(long, value_name = "FILE")]
    pub(crate) plot: Option<PathBuf>,
}

/// Where to set the checkpoint back to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RewindTo(Position);

impl RewindTo {
    /// The position.
    pub(crate) fn position(self) -> Position {
        self.0
    }
}

impl FromStr for RewindTo {
    type Err = NotAPosition;

    fn from_str(text: &str) -> Result<Self, NotAPosition> {
        if text == "start" { Ok(Self(Position::START)) } else { text.parse().map(Self) }
    }
}

const TAPS: &str = "\
Examples:
  counterfoil tap --nats-url nats://localhost:4222          everything, from now on
  counterfoil tap 'counterfoil.order.>' --from start        all orders that NATS has
  counterfoil tap 'counterfoil.*.PaymentCaptured' --json    one kind of event, for a program
  counterfoil tap --from start --count 1000 --json | jq 'select(.gap or .double)'";

const RETRIES: &str = "\
Examples:
  counterfoil projections status          which streams are parked, and why
  counterfoil projections retry orders    apply what the read model `orders` keeps back
  counterfoil projections retry all       the same for every read model";

const BENCHES: &str = "\
Examples:
  counterfoil bench append                         how many events a second, from 1 to 256 writers
  counterfoil bench checkout flash-sale --json     whole checkouts over HTTP, for a program to read
  counterfoil bench growth --plot growth.svg       what ten million events make slower, and what not
  make bench                                       everything but growth, built to be fast
  make growth                                      growth, built to be fast";

/// Where history comes from.
#[derive(Debug, Subcommand)]
pub(crate) enum ImportSource {
    /// A file in the format of the UCI "Online Retail" set, gzipped or not
    Retail {
        /// The file
        file: PathBuf,
        /// Only the first so many invoices
        #[arg(long)]
        limit: Option<usize>,
        #[command(flatten)]
        flags: Flags,
        /// Print the account as JSON
        #[arg(long)]
        json: bool,
    },
}

const SANDBOX_TOKENS: &str = "\
It listens where --sandbox-listen says and signs its webhooks with COUNTERFOIL_WEBHOOK_SECRET, which the
server that is started with --provider-url has to know, too.

Test tokens, to be given as payment_method:
  tok_approve                 approves
  tok_decline                 declines
  tok_timeout_then_approve    the first answer is lost; asked again, approves
  tok_timeout_then_decline    the first answer is lost; asked again, declines
  tok_error_then_approve      answers 500 first, then approves
  tok_slow                    takes its time
  tok_webhook_only            says pending, and approves by webhook
  tok_webhook_twice           sends every webhook twice
  tok_webhook_first           sends the webhook before it answers
  tok_capture_fails           authorizes, but will not capture
  tok_undo_down               void and refund are out of order for a while
  tok_amount_differs          authorizes another amount than was asked for";
