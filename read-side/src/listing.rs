//! Lists: which rows of a table, in which order, and which page of them. A page is one row more than it
//! shows, so that the answer knows whether there is another, and begins behind the key of a row, so that
//! it stays right while rows come in.

use axum::response::Response;
use platform::problem::Problem;
use sqlx::{Postgres, QueryBuilder};
use uuid::Uuid;

use crate::{
    answer::{self, Page},
    asked::{Asked, Unfit},
    cursor::{Cursor, Key, KeyOf},
    lookup::Lookup,
    models::{Found, REFLECTED, ReadModels, Snapshot, reflecting},
    refusal,
    resource::{Shown, Value},
};

/// The most rows on a page, and how many there are when nobody says.
const LIMIT_MAX: i64 = 200;
const LIMIT_DEFAULT: i64 = 50;

/// An order that a list can be in.
#[derive(Debug)]
pub(crate) struct Sort<R> {
    /// What it is called; a hyphen in front says that it goes down.
    pub(crate) name: &'static str,
    /// The columns of the key.
    pub(crate) columns: &'static [&'static str],
    /// The key of a row.
    pub(crate) key: KeyOf<R>,
}

/// The order of rows, as it is said where they are looked for and where they have been found.
pub(crate) struct OrderBy {
    pub(crate) inside: String,
    pub(crate) outside: String,
}

/// Whose rows a list has.
struct Owner {
    column: &'static str,
    id: Uuid,
    /// The order in which an index has them.
    together_by: &'static [&'static str],
}

/// A list that was asked for.
pub(crate) struct Listing<T: Shown> {
    query: QueryBuilder<Postgres>,
    owner: Option<Owner>,
    is_narrowed: bool,
    sort: &'static Sort<T::Row>,
    limit: i64,
    after: Option<Key>,
}

impl<T: Shown> Listing<T> {
    /// A list in the only order that it has; reads the parameters `limit` and `cursor`.
    pub(crate) fn new(sort: &'static Sort<T::Row>, asked: &mut Asked) -> Self {
        let limit = asked.parameter("limit", |text| {
            text.parse()
                .ok()
                .filter(|limit| (1..=LIMIT_MAX).contains(limit))
                .ok_or_else(|| Unfit::new(format_args!("must be a number from 1 to {LIMIT_MAX}")))
        });
        let after = asked.parameter("cursor", |text| {
            let cursor = Cursor::decode(text).ok_or_else(|| Unfit::new("is not a cursor of this list"))?;
            if cursor.sort != sort.name || !sort.key.fits(&cursor.key) {
                return Err(Unfit::new("is a cursor of a list in another order"));
            }
            Ok(cursor.key)
        });
        let mut query = reflecting(T::PROJECTION, T::TABLE, T::COLUMNS);
        query.push("true");
        Self { query, owner: None, is_narrowed: false, sort, limit: limit.unwrap_or(LIMIT_DEFAULT), after }
    }

    /// A list in one of several orders, of which the first is the usual one; reads `sort`, too.
    pub(crate) fn in_one_of(sorts: &'static [Sort<T::Row>], asked: &mut Asked) -> Self {
        let sort = asked.parameter("sort", |text| {
            sorts.iter().find(|sort| sort.name == text).ok_or_else(|| {
                let names: Vec<_> = sorts.iter().map(|sort| sort.name).collect();
                Unfit::new(format_args!("must be one of {}", names.join(", ")))
            })
        });
        Self::new(sort.unwrap_or(&sorts[0]), asked)
    }

    /// Only the rows of one owner, if there is one; an index has them in the order of `together_by`.
    pub(crate) fn of(
        mut self,
        column: &'static str,
        id: Option<Uuid>,
        together_by: &'static [&'static str],
    ) -> Self {
        self.owner = id.map(|id| Owner { column, id, together_by });
        self
    }

    /// Where conditions are put.
    fn narrowed(&mut self) -> &mut QueryBuilder<Postgres> {
        self.is_narrowed = true;
        self.query.push(" and ")
    }

    /// Only the rows for which `condition` is true.
    pub(crate) fn only(mut self, condition: &'static str) -> Self {
        self.narrowed().push(condition);
        self
    }

    /// Only the rows that `comparison`, such as `placed_at <`, finds true of a value, if there is one.
    pub(crate) fn only_if(mut self, comparison: &'static str, value: Option<impl Value>) -> Self {
        if let Some(value) = value {
            self.narrowed().push(comparison).push(" ").push_bind(value);
        }
        self
    }

    /// The page that was asked for, as a snapshot shows it.
    pub(crate) async fn page(mut self, snapshot: &mut Snapshot) -> Result<Page<T>, Problem> {
        let query = self.query();
        let found = Found::by(query, &mut *snapshot.tx).await;
        found.and_then(|found| self.page_of(&found)).map_err(refusal::failed)
    }

    /// The first page of all that an owner has, if that is asked for, an index has it together, and it is not so long
    /// that others should not wait for it.
    fn lookup(&self) -> Option<Lookup> {
        let Owner { column, id, together_by } = self.owner.as_ref()?;
        let is_narrowed = self.is_narrowed || self.after.is_some();
        if is_narrowed || self.sort.columns != *together_by || self.limit > LIMIT_DEFAULT {
            return None;
        }
        let condition = format!("{column} = asked.id::uuid");
        Some(Lookup::page::<T>(&condition, &self.order(), self.limit + 1, id.to_string()))
    }

    /// The whole query.
    fn query(&mut self) -> QueryBuilder<Postgres> {
        if let Some(Owner { column, id, .. }) = self.owner.take() {
            self.narrowed().push(format_args!("{column} = ")).push_bind(id);
        }
        if let Some(after) = &self.after {
            let behind = if self.goes_down() { "<" } else { ">" };
            self.query.push(format_args!(" and ({}) {behind} (", self.sort.columns.join(", ")));
            after.bind(&mut self.query);
            self.query.push(")");
        }
        let OrderBy { inside, outside } = self.order();
        self.query.push(format_args!(" order by {inside} limit ")).push_bind(self.limit + 1);
        self.query.push(REFLECTED).push(format_args!(" order by {outside}"));
        std::mem::take(&mut self.query)
    }

    fn goes_down(&self) -> bool {
        self.sort.name.starts_with('-')
    }

    fn order(&self) -> OrderBy {
        let direction = if self.goes_down() { "desc" } else { "asc" };
        let of = |table| {
            let columns = self.sort.columns.iter().map(|column| format!("{table}{column} {direction}"));
            columns.collect::<Vec<_>>().join(", ")
        };
        OrderBy { inside: of(""), outside: of("found.") }
    }

    /// What is shown of the rows that were found.
    fn page_of(&self, found: &Found) -> Result<Page<T>, sqlx::Error> {
        let mut rows: Vec<T::Row> = found.rows()?;
        let limit = usize::try_from(self.limit).unwrap_or(usize::MAX);
        let goes_on = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows
            .last()
            .filter(|_| goes_on)
            .map(|last| Cursor { sort: self.sort.name.to_owned(), key: self.sort.key.of(last) }.encode());
        Ok(Page { items: rows.into_iter().map(T::from).collect(), next_cursor })
    }

    /// The answer, once all parameters have been looked at.
    pub(crate) async fn answer(mut self, models: &ReadModels, asked: Asked) -> Result<Response, Problem> {
        let conditions = asked.finish()?;
        let found = match self.lookup() {
            Some(lookup) => models.look_up::<T>(lookup, &conditions).await?,
            None => models.find(T::PROJECTION, &conditions, self.query()).await?,
        };
        let page = self.page_of(&found).map_err(refusal::failed)?;
        Ok(answer::rows(&conditions, found.position, &page))
    }
}
