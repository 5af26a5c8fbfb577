//! What can go wrong while a read model is kept, told apart by what is done about it.

use event_store::{ColumnError, Position, StoreError};

use crate::{ApplyError, Difference};

/// Why a projection could not go on. A runner tries again after every one of them.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The log cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The database refused, or could not be reached.
    #[error("the read models' database failed: {0}")]
    Database(#[from] sqlx::Error),
    /// A batch could not be written, through no fault of its events.
    #[error("{projection} could not apply events up to position {position}: {source}")]
    Apply {
        /// The projection.
        projection: &'static str,
        /// The last event of the batch.
        position: Position,
        /// What was in the way.
        source: ApplyError,
    },
    /// Somebody else writes this version.
    #[error("version {version} of {projection} is written by {holder}")]
    LeaseHeld {
        /// The projection.
        projection: &'static str,
        /// The version.
        version: i32,
        /// Who has the lease.
        holder: String,
    },
    /// The live version has fewer partitions than the one that was to be kept.
    #[error("version {version} of {projection} has no partition {partition}")]
    NoSuchPartition {
        /// The projection.
        projection: &'static str,
        /// The version.
        version: i32,
        /// The partition.
        partition: i16,
    },
    /// The read model cannot be split into partitions.
    #[error("{projection} cannot be split into partitions: {because}")]
    KeptWhole {
        /// The projection.
        projection: &'static str,
        /// Why not.
        because: &'static str,
    },
    /// A partition of the live version does not get to where both versions could be compared.
    #[error(
        "version {version} of {projection} is at {current}, and the one that is built at {wanted} already: both can be compared once a process keeps the former up to date"
    )]
    LiveIsBehind {
        /// The projection.
        projection: &'static str,
        /// The live version.
        version: i32,
        /// Where its slowest partition is.
        current: Position,
        /// Where it should be.
        wanted: Position,
    },
    /// The lease was taken over, or the version is no longer to be written: nothing was written.
    #[error("the lease {token} on version {version} of {projection} is over")]
    Fenced {
        /// The projection.
        projection: &'static str,
        /// The version.
        version: i32,
        /// The token that was refused.
        token: i64,
    },
    /// Another version was promoted meanwhile; nothing was written.
    #[error("version {version} of {projection} is no longer the one that is read")]
    NoLongerLive {
        /// The projection.
        projection: &'static str,
        /// The version.
        version: i32,
    },
    /// The checkpoint is not where its only writer left it.
    #[error("the checkpoint of version {version} of {projection} is not at {expected}, where it was left")]
    CheckpointMoved {
        /// The projection.
        projection: &'static str,
        /// The version.
        version: i32,
        /// Where it was left.
        expected: Position,
    },
    /// The live version was built by a newer release than this one, which must not touch it.
    #[error("the live version of {projection} has definition {built_by}, this release only knows {wanted}")]
    OtherDefinition {
        /// The projection.
        projection: &'static str,
        /// The definition of the live version.
        built_by: i32,
        /// The definition of this release.
        wanted: i32,
    },
    /// An event was written by a newer release than this one. It is kept back from nobody: a process of that
    /// release goes on from here.
    #[error("{projection} cannot go on at position {position}: {event} was written by a newer release")]
    OfNewerRelease {
        /// The projection.
        projection: &'static str,
        /// Where the event is.
        position: Position,
        /// Its name and version.
        event: String,
    },
    /// The version that was built is not the same as the live one, and nobody has accepted that.
    #[error("version {version} of {projection} differs from the live one at position {position} in {} rows or more", differences.len())]
    Differs {
        /// The projection.
        projection: &'static str,
        /// The version that was built. It is kept, to be looked at or promoted.
        version: i32,
        /// Where both were compared.
        position: Position,
        /// What is not the same.
        differences: Vec<Difference>,
    },
    /// There is no version to go back to, or this release cannot keep it up to date.
    #[error("there is no earlier version of {projection} that this release can go back to")]
    NothingToGoBackTo {
        /// The projection.
        projection: &'static str,
    },
    /// The process is being shut down, or a worker of it failed; what was done is kept.
    #[error("interrupted; what was done is kept, and the next run goes on from there")]
    Interrupted,
    /// A position that the database cannot count to.
    #[error(transparent)]
    Position(#[from] ColumnError),
    /// The schema of the registry could not be brought up to date.
    #[error("the registry of projections could not be migrated: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
}
