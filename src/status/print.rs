//! `counterfoil status`: asks a running server and lays the answer out for people.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, Result, bail};

use super::{Count, Process, Projection, Report, Sagas, Unattended};
use crate::table::{number, table};

/// Asks the server at `url`. When none answers, the error says how to start one.
pub async fn ask(url: &str) -> Result<Report> {
    let http = reqwest::Client::builder().timeout(Duration::from_secs(10)).build()?;
    let response = match http.get(format!("{}/status", url.trim_end_matches('/'))).send().await {
        Ok(response) => response,
        Err(error) if error.is_connect() => {
            bail!(
                "no server answers at {url}. Start one with `counterfoil serve`, or name another with --url"
            )
        }
        Err(error) => return Err(error).with_context(|| format!("asking {url}")),
    };
    let status = response.status();
    if status == reqwest::StatusCode::NOT_FOUND {
        bail!("{url} is not a server of Counterfoil; name another with --url");
    }
    if !status.is_success() {
        bail!(
            "the server at {url} answers {status}: it cannot reach its database just now; try again in a moment"
        );
    }
    response.json().await.with_context(|| format!("{url} is not a server of Counterfoil"))
}

/// A report as text for a terminal.
pub fn show(report: &Report) -> String {
    let mut sections = match &report.streams {
        Some(streams) => vec![format!("log: {} events", report.head), counts("streams", streams)],
        None => vec![format!("log: up to position {}", report.head)],
    };
    sections.push(processes(&report.processes));
    sections.push(projections(&report.projections));
    sections.push(sagas(&report.sagas));
    sections.push(if report.sagas.in_flight.is_empty() {
        "nothing is in flight".to_owned()
    } else {
        counts("in flight", &report.sagas.in_flight)
    });
    if let Some(relay) = &report.relay {
        let publisher = relay.holder.as_deref().unwrap_or("no process");
        sections.push(format!("relay to NATS: {publisher} publishes, {} events behind", relay.lag));
    }
    sections.extend(partitions(&report.projections));
    sections.extend(parked(&report.projections));
    sections.extend(standing_back(&report.projections, &report.sagas));
    sections.extend(report.unattended.iter().map(unattended));
    if !report.attention.is_empty() {
        sections.push(counts("needs a person (GET /attention)", &report.attention));
    } else if report.unattended.is_empty() {
        sections.push("nothing needs a person".to_owned());
    }
    sections.join("\n\n")
}

/// Who is there.
fn processes(processes: &[Process]) -> String {
    let mut table = table(["process", "roles", "listens on", "release"]);
    for process in processes {
        let roles = process.roles.join(", ");
        table.add_row([&process.name, &roles, &process.listen, &process.version]);
    }
    table.to_string()
}

/// What is left lying, and how to see to it.
fn unattended(unattended: &Unattended) -> String {
    let (name, lag) = (&unattended.name, unattended.lag);
    match name.as_str() {
        "sagas" => format!(
            "needs a person: no process drives the sagas, or not all of them, and there is work ({lag} events behind). Start one with `counterfoil serve --roles sagas`"
        ),
        _ => format!(
            "needs a person: no process keeps the read model {name} up to date ({lag} events behind). Start one of this release with `counterfoil serve --roles projections`"
        ),
    }
}

/// Who drives what, and how far behind.
fn sagas(sagas: &Sagas) -> String {
    let driven = match (sagas.holders.as_slice(), sagas.free_partitions) {
        ([], _) => "driven by no process".to_owned(),
        ([only], 0) => format!("driven by {}", only.holder),
        (several, free) => {
            let each = several.iter().map(|holder| format!("{} by {}", holder.partitions, holder.holder));
            let free = (free > 0).then(|| format!("{free} by no process"));
            format!("partitions driven: {}", each.chain(free).collect::<Vec<_>>().join(", "))
        }
    };
    format!("sagas: {driven}; {} events behind", sagas.lag)
}

fn counts(title: &str, counts: &[Count]) -> String {
    let mut table = table([title, "count"]);
    for count in counts {
        table.add_row([count.name.as_str().into(), number(count.count)]);
    }
    table.to_string()
}

/// One line for each stream that a projection keeps back.
pub fn parked(projections: &[Projection]) -> impl Iterator<Item = String> {
    projections.iter().flat_map(|projection| {
        projection.parked.iter().map(move |parked| {
            let (stream, held, reason) = (&parked.stream, parked.held, &parked.reason);
            format!("{}: stream {stream} is kept back with {held} events: {reason}", projection.name)
        })
    })
}

/// One line for each process that has met what only a newer release can read.
fn standing_back(projections: &[Projection], sagas: &Sagas) -> impl Iterator<Item = String> {
    let of_sagas = sagas
        .standing_back
        .iter()
        .map(|holder| format!("sagas: {holder} stands back, because it met an event of a newer release"));
    let of_read_models = projections.iter().flat_map(|projection| {
        projection.standing_back.iter().map(move |process| {
            let (name, holder) = (&projection.name, &process.holder);
            let (event, position) = (&process.event, process.position);
            format!(
                "{name}: {holder} stands back at position {position}, because {event} is of a newer release"
            )
        })
    });
    of_read_models.chain(of_sagas)
}

/// The read models as a table; also what `counterfoil projections status` prints.
pub fn projections(projections: &[Projection]) -> String {
    let mut table = table(["projection", "version", "checkpoint", "lag", "parked", "kept up to date by"]);
    for projection in projections {
        let version =
            projection.version.map_or_else(|| "(none yet)".to_owned(), |version| version.to_string());
        let building = projection.building.as_ref();
        let building = building
            .map(|next| format!(", building {} (at {})", next.version, next.checkpoint))
            .unwrap_or_default();
        let previous = projection.previous.map(|previous| format!(", kept {previous}")).unwrap_or_default();
        table.add_row([
            projection.name.as_str().into(),
            format!("{version}{building}{previous}").into(),
            number(projection.checkpoint),
            number(projection.lag),
            number(projection.parked.len()),
            kept_by(projection).into(),
        ]);
    }
    table.to_string()
}

/// Who keeps a read model up to date, and how much of it where it is split.
fn kept_by(projection: &Projection) -> String {
    let nobody = "no process".to_owned();
    if projection.partitions.is_empty() {
        return projection.holder.clone().unwrap_or(nobody);
    }
    let mut shares = BTreeMap::<_, usize>::new();
    for partition in &projection.partitions {
        *shares.entry(partition.holder.as_deref()).or_default() += 1;
    }
    let each = shares.into_iter().map(|(holder, count)| format!("{count} by {}", holder.unwrap_or(&nobody)));
    format!("partitions: {}", each.collect::<Vec<_>>().join(", "))
}

/// One line for each partition of what is split.
pub fn partitions(projections: &[Projection]) -> impl Iterator<Item = String> {
    projections.iter().flat_map(|projection| {
        let of = projection.partitions.len();
        (1..).zip(&projection.partitions).map(move |(number, partition)| {
            let (name, lag) = (&projection.name, partition.lag);
            let holder = partition.holder.as_deref().unwrap_or("no process");
            format!("{name}: partition {number} of {of} is kept up to date by {holder}, {lag} events behind")
        })
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use chrono::DateTime;
    use event_store::Position;

    use super::*;
    use crate::status::{Holder, Parked, Partition, Relay, Sagas, StandingBack, Unattended};

    fn at(column: i64) -> Position {
        Position::from_column(column).unwrap()
    }

    fn holder(name: &str, partitions: i64) -> Holder {
        Holder { holder: name.to_owned(), partitions }
    }

    fn report() -> Report {
        let count = |name: &str, count| Count { name: name.to_owned(), count };
        Report {
            head: at(4711),
            streams: Some(vec![count("order", 12)]),
            processes: vec![Process {
                name: "pid 3".to_owned(),
                roles: vec!["write".to_owned(), "read".to_owned()],
                listen: "127.0.0.1:8080".to_owned(),
                version: "0.1.0".to_owned(),
                since: DateTime::UNIX_EPOCH,
            }],
            projections: vec![Projection {
                name: "orders".to_owned(),
                version: Some(2),
                checkpoint: at(4700),
                lag: 11,
                holder: None,
                partitions: Vec::new(),
                standing_back: vec![StandingBack {
                    holder: "pid 9".to_owned(),
                    position: 4701,
                    event: "OrderPlaced version 9".to_owned(),
                }],
                building: None,
                previous: Some(1),
                parked: vec![Parked {
                    stream: "order-7".to_owned(),
                    position: 4000,
                    reason: "bad JSON".to_owned(),
                    held: 3,
                }],
            }],
            sagas: Sagas {
                checkpoint: at(4711),
                lag: 0,
                holders: vec![holder("pid 1", 16)],
                free_partitions: 0,
                standing_back: vec!["pid 8".to_owned()],
                in_flight: Vec::new(),
            },
            relay: Some(Relay { checkpoint: at(4_000), lag: 711, holder: Some("pid 2".to_owned()) }),
            unattended: vec![Unattended { name: "orders".to_owned(), lag: 11 }],
            attention: vec![count("payment_stuck", 1)],
        }
    }

    #[test]
    fn a_person_sees_lag_parked_streams_and_what_needs_them() {
        let text = show(&report());
        for expected in [
            "4711 events",
            "11",
            "no process",
            "order-7",
            "bad JSON",
            "payment_stuck",
            "nothing is in flight",
            "pid 2 publishes, 711 events behind",
            "write, read",
            "pid 9 stands back at position 4701, because OrderPlaced version 9 is of a newer release",
            "pid 8 stands back",
            "no process keeps the read model orders up to date (11 events behind)",
        ] {
            assert!(text.contains(expected), "{expected} is not in:\n{text}");
        }
    }

    #[test]
    fn that_nothing_needs_a_person_is_said_only_when_nothing_lies_about() {
        let calm = Report { attention: Vec::new(), unattended: Vec::new(), ..report() };
        assert!(show(&calm).contains("nothing needs a person"));
        let sagas = Unattended { name: "sagas".to_owned(), lag: 3 };
        let text = show(&Report { unattended: vec![sagas], ..calm });
        assert!(text.contains("no process drives the sagas") && !text.contains("nothing needs"), "{text}");
    }

    #[test]
    fn a_person_sees_who_keeps_which_partition_and_how_far_it_is_behind() {
        let partition = |holder: Option<&str>, lag| Partition {
            checkpoint: at(4711),
            lag,
            holder: holder.map(str::to_owned),
        };
        let mut report = report();
        let parts = [partition(Some("pid 1"), 0), partition(Some("pid 2"), 7), partition(Some("pid 1"), 0)];
        report.projections[0].partitions = parts.to_vec();
        let text = show(&report);
        assert!(text.contains("partitions: 2 by pid 1, 1 by pid 2"), "{text}");
        assert!(
            text.contains("orders: partition 2 of 3 is kept up to date by pid 2, 7 events behind"),
            "{text}"
        );
        report.projections[0].partitions[2].holder = None;
        assert!(show(&report).contains("partitions: 1 by no process, 1 by pid 1, 1 by pid 2"));
    }

    #[test]
    fn a_person_sees_who_drives_which_share_of_the_sagas() {
        let driven = |holders: Vec<Holder>, free_partitions| {
            super::sagas(&Sagas { holders, free_partitions, ..report().sagas })
        };
        let shared = driven(vec![holder("pid 1", 6), holder("pid 2", 5)], 5);
        assert_eq!(
            shared,
            "sagas: partitions driven: 6 by pid 1, 5 by pid 2, 5 by no process; 0 events behind"
        );
        assert_eq!(driven(vec![holder("pid 1", 16)], 0), "sagas: driven by pid 1; 0 events behind");
        assert_eq!(driven(vec![], 16), "sagas: driven by no process; 0 events behind");
    }

    #[tokio::test]
    async fn without_a_server_it_says_how_to_start_one() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = ask(&format!("http://{free}")).await.unwrap_err().to_string();
        assert!(error.contains("counterfoil serve"), "{error}");
    }
}
