//! Two versions of a read model, compared row by row: first by a digest for each table that does not
//! depend on the order of rows, then, where digests differ, by walking both tables in the order of
//! their keys.

use futures::{StreamExt, stream::BoxStream};
use sqlx::{AssertSqlSafe, PgConnection};

use crate::{Definition, Error, Table};

/// A row that is not the same in both versions. Rows are shown as Postgres writes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The table.
    pub table: &'static str,
    /// The key of the row.
    pub key: String,
    /// The row in the live version, if it is there.
    pub live: Option<String>,
    /// The row in the version that was built from scratch, if it is there.
    pub rebuilt: Option<String>,
}

/// The most differences that are listed.
pub const DIFFERENCES_MAX: usize = 100;

/// One side of a comparison.
pub(crate) struct Side<'a> {
    pub(crate) schema: String,
    pub(crate) db: &'a mut PgConnection,
}

/// How many rows were compared, and which are not the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Compared {
    pub(crate) rows: u64,
    pub(crate) differences: Vec<Difference>,
}

/// Compares all tables of two versions, in the columns that both have.
pub(crate) async fn compare(
    definition: &'static Definition,
    live: &mut Side<'_>,
    rebuilt: &mut Side<'_>,
) -> Result<Compared, Error> {
    let mut compared = Compared { rows: 0, differences: Vec::new() };
    for table in definition.tables {
        let columns = shared_columns(table, live, rebuilt).await?;
        let (rows, live_digest) = digest(table, &columns, live).await?;
        let rebuilt_digest = digest(table, &columns, rebuilt).await?;
        compared.rows += rows;
        if (rows, live_digest) != rebuilt_digest {
            list_differences(table, &columns, live, rebuilt, &mut compared.differences).await?;
        }
    }
    Ok(compared)
}

/// The columns that a table has on both sides, as they are written in SQL, in the order of their names.
async fn shared_columns(table: &Table, live: &mut Side<'_>, rebuilt: &mut Side<'_>) -> Result<String, Error> {
    let columns: Option<String> = sqlx::query_scalar(
        "select string_agg(quote_ident(l.column_name), ', ' order by l.column_name)
         from information_schema.columns l
         join information_schema.columns r
             on r.table_schema = $2 and r.table_name = l.table_name and r.column_name = l.column_name
         where l.table_schema = $1 and l.table_name = $3",
    )
    .bind(&live.schema)
    .bind(&rebuilt.schema)
    .bind(table.name)
    .fetch_one(&mut *rebuilt.db)
    .await?;
    Ok(columns.unwrap_or_else(|| "null".to_owned()))
}

/// How many rows a table has, and the sum of their hashes.
async fn digest(table: &Table, columns: &str, side: &mut Side<'_>) -> Result<(u64, String), Error> {
    let sql = format!(
        "select count(*), coalesce(sum(hashtextextended(row({columns})::text, 0)::numeric), 0)::text
         from {}.{}",
        side.schema, table.name
    );
    let (rows, digest): (i64, String) = sqlx::query_as(AssertSqlSafe(sql)).fetch_one(&mut *side.db).await?;
    Ok((u64::try_from(rows).unwrap_or(0), digest))
}

type Rows<'a> = BoxStream<'a, Result<(String, String), sqlx::Error>>;

/// The rows of a table as key and content, in the order of the keys, without holding them all.
fn rows<'a>(table: &Table, columns: &str, side: &'a mut Side<'_>) -> Rows<'a> {
    let sql = format!(
        "select row({})::text collate \"C\", row({columns})::text from {}.{} order by 1",
        table.key, side.schema, table.name
    );
    sqlx::query_as(AssertSqlSafe(sql)).fetch(&mut *side.db)
}

async fn list_differences(
    table: &Table,
    columns: &str,
    live: &mut Side<'_>,
    rebuilt: &mut Side<'_>,
    differences: &mut Vec<Difference>,
) -> Result<(), Error> {
    let mut live_rows = rows(table, columns, live);
    let mut rebuilt_rows = rows(table, columns, rebuilt);
    let mut left = live_rows.next().await.transpose()?;
    let mut right = rebuilt_rows.next().await.transpose()?;
    while differences.len() < DIFFERENCES_MAX {
        // Which side is behind: the smaller key is missing on the other side.
        let order = match (&left, &right) {
            (None, None) => return Ok(()),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
            (Some((left, _)), Some((right, _))) => left.as_bytes().cmp(right.as_bytes()),
        };
        let from_live = if order.is_le() { left.take() } else { None };
        let from_rebuilt = if order.is_ge() { right.take() } else { None };
        if from_live != from_rebuilt {
            let key = from_live.as_ref().or(from_rebuilt.as_ref()).map(|(key, _)| key.clone());
            differences.push(Difference {
                table: table.name,
                key: key.unwrap_or_default(),
                live: from_live.map(|(_, row)| row),
                rebuilt: from_rebuilt.map(|(_, row)| row),
            });
        }
        if order.is_le() {
            left = live_rows.next().await.transpose()?;
        }
        if order.is_ge() {
            right = rebuilt_rows.next().await.transpose()?;
        }
    }
    Ok(())
}
