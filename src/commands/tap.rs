//! `counterfoil tap`: shows what a system outside of Counterfoil would get from NATS.

use std::{
    collections::VecDeque,
    io::{self, Write},
};

use anyhow::{Context, Result, anyhow};
use counterfoil::config::{Error, Settings};
use relay::{
    Address,
    tap::{Finding, From, Received, Seen, Summary, Tap},
};
use serde_json::{Value, json};

/// How much of a payload a person is shown.
const PAYLOAD_CHARS_MAX: usize = 120;

/// Prints what comes on `subject`, until so many events have come or somebody says stop.
pub(crate) async fn tap(
    settings: &Settings,
    subject: &str,
    from: From,
    json: bool,
    count: Option<u64>,
) -> Result<()> {
    let missing = Error::Missing { name: "nats_url", because: "that is where a tap gets events from" };
    let url = settings.nats_url.as_deref().ok_or(missing)?;
    let address: Address = url.parse().map_err(|error| anyhow!(settings.at_fault("nats_url", &error)))?;
    let opened = Tap::open(&address, subject, from).await;
    let mut tap = opened.map_err(|error| anyhow!(settings.at_fault("nats_url", &error)))?;
    let mut stop = std::pin::pin!(tokio::signal::ctrl_c());
    while count.is_none_or(|count| tap.summary().events < count) {
        let seen = tokio::select! {
            seen = tap.next() => seen,
            stopped = &mut stop => {
                stopped.context("cannot listen for signals")?;
                break;
            }
        };
        let lines = if json { VecDeque::from([as_json(&seen).to_string()]) } else { as_text(&seen) };
        if !print(lines)? {
            return Ok(());
        }
    }
    let summary = tap.summary();
    let line = if json { summary_as_json(&summary).to_string() } else { summary_as_text(&summary) };
    print([line]).map(|_| ())
}

/// Says whether anybody still reads.
fn print(lines: impl IntoIterator<Item = String>) -> Result<bool> {
    let mut out = io::stdout().lock();
    for line in lines {
        match writeln!(out, "{line}").and_then(|()| out.flush()) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(false),
            Err(error) => return Err(error).context("cannot print"),
        }
    }
    Ok(true)
}

fn as_json(seen: &Seen) -> Value {
    let (received, finding) = match seen {
        Seen::Event { received, finding } => (received, finding),
        Seen::Strange { subject } => return json!({ "strange": true, "subject": subject }),
    };
    let payload = received.payload.as_ref().map(|bytes| {
        serde_json::from_slice(bytes).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(bytes)))
    });
    let mut line = json!({
        "position": received.position,
        "subject": received.subject,
        "stream": received.stream,
        "revision": received.revision,
        "event": received.event,
        "schema_version": received.schema_version,
        "event_id": received.event_id,
        "occurred_at": received.occurred_at,
        "correlation_id": received.correlation_id,
        "causation_id": received.causation_id,
        "payload": payload,
    });
    match finding {
        None => {}
        Some(Finding::Gap { first, last }) => line["gap"] = json!({ "first": first, "last": last }),
        Some(Finding::Double) => line["double"] = Value::from(true),
        Some(Finding::Late) => line["late"] = Value::from(true),
    }
    line
}

fn as_text(seen: &Seen) -> VecDeque<String> {
    let (received, finding) = match seen {
        Seen::Event { received, finding } => (received, finding),
        Seen::Strange { subject } => {
            return VecDeque::from([format!("       ! on {subject} came a message that no relay published")]);
        }
    };
    let Received { position, subject, stream, revision, occurred_at, payload, .. } = received;
    let payload = payload.as_ref().map_or_else(|| "(withheld)".to_owned(), |bytes| shortened(bytes));
    let when = occurred_at.format("%F %T%.3f");
    let mut lines =
        VecDeque::from([format!("{position:>8} {subject}  {stream}@{revision}  {when}  {payload}")]);
    match finding {
        None => {}
        Some(Finding::Gap { first, last }) if first == last => {
            lines.push_front(format!("       ! gap: {stream}@{first} is missing"));
        }
        Some(Finding::Gap { first, last }) => {
            lines.push_front(format!("       ! gap: {stream}@{first} to @{last} are missing"));
        }
        Some(Finding::Double) => lines.push_back(format!("       ! double: {stream}@{revision} came before")),
        Some(Finding::Late) => {
            lines.push_back(format!(
                "       ! late: {stream}@{revision} comes behind later events of its stream"
            ));
        }
    }
    lines
}

fn shortened(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    match text.char_indices().nth(PAYLOAD_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into_owned(),
    }
}

fn summary_as_json(summary: &Summary) -> Value {
    let Summary { events, streams, missing, doubles, late, strange, position } = summary;
    json!({ "summary": {
        "events": events, "streams": streams, "missing": missing, "doubles": doubles, "late": late,
        "strange": strange, "position": position,
    }})
}

fn summary_as_text(summary: &Summary) -> String {
    let Summary { events, streams, missing, doubles, late, strange, position } = summary;
    let missing = missing.map_or_else(
        || "missing: not known, the subject leaves events out".to_owned(),
        |missing| format!("missing: {missing}"),
    );
    let place = position.map(|position| format!(", up to position {position}")).unwrap_or_default();
    let strange = if *strange == 0 { String::new() } else { format!(", of strangers: {strange}") };
    format!(
        "events: {events} of {streams} streams{place}; {missing}, doubles: {doubles}, late: {late}{strange}"
    )
}
