//! The body of a command: JSON of a known form. What HTTP and JSON have against it comes first (media
//! type, size, syntax with its place), then everything that its schema and its sense have, at once.

use axum::{
    Json,
    extract::{FromRequest, Request},
};
use jsonschema::{ValidationError, Validator};
use platform::problem::{Fault, INTERNAL, INVALID_REQUEST, Problem};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};
use utoipa::ToSchema;

/// A body that some route takes.
pub(super) trait RequestBody: DeserializeOwned + Serialize + ToSchema + Send {
    /// Its schema, ready to judge.
    fn compiled() -> &'static Compiled;

    /// What is wrong with a body that a schema cannot say. It may be asked about bodies that the schema
    /// has something against, and then speaks of the parts that it understands.
    fn faults_of_sense(_body: &Value) -> Vec<Fault> {
        Vec::new()
    }
}

/// A schema that is compiled, or why it cannot be.
pub(super) type Compiled = Result<Validator, ValidationError<'static>>;

/// Implements [`RequestBody::compiled`] with a schema that is compiled once.
macro_rules! compiled_schema {
    () => {
        fn compiled() -> &'static $crate::api::body::Compiled {
            static COMPILED: std::sync::OnceLock<$crate::api::body::Compiled> = std::sync::OnceLock::new();
            COMPILED.get_or_init(|| $crate::api::schema::validator_of::<Self>())
        }
    };
}
pub(super) use compiled_schema;

/// A body without fault.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: RequestBody> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Draft(body) = Draft::from_request(request, state).await?;
        let faults = faults::<T>(&body)?;
        if !faults.is_empty() {
            return Err(Problem::new(&INVALID_REQUEST).faults(faults));
        }
        typed(body).map(Self)
    }
}

/// A body that is JSON, of whatever form.
pub(super) struct Draft(pub(super) Value);

impl<S: Send + Sync> FromRequest<S> for Draft {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let Json(mut body) = Json::<Value>::from_request(request, state).await?;
        write_whole_numbers_as_integers(&mut body);
        Ok(Self(body))
    }
}

/// Everything that is wrong with `body` as a `T`, in the order of places.
pub(super) fn faults<T: RequestBody>(body: &Value) -> Result<Vec<Fault>, Problem> {
    let validator = T::compiled().as_ref().map_err(|error| {
        tracing::error!(%error, "the schema of a request body cannot be compiled");
        Problem::new(&INTERNAL)
    })?;
    let mut faults = super::schema::faults(validator, body);
    faults.extend(T::faults_of_sense(body));
    faults.sort();
    Ok(faults)
}

/// A body that was found without fault.
pub(super) fn typed<T: RequestBody>(body: Value) -> Result<T, Problem> {
    serde_json::from_value(body).map_err(|error| {
        tracing::error!(%error, "a body that its schema allows cannot be read");
        Problem::new(&INVALID_REQUEST)
    })
}

/// SHA-256 of what a request asks for, in hex: which operation, on what, with which body. Formatting
/// and the order of fields make no difference.
pub(super) fn digest<T: Serialize>(operation: &str, id: &str, body: &T) -> Result<String, Problem> {
    let canonical = serde_json::to_vec(&(operation, id, body)).map_err(|error| {
        tracing::error!(%error, "a request has no JSON form");
        Problem::new(&INTERNAL)
    })?;
    Ok(hex::encode(Sha256::digest(canonical)))
}

/// JSON Schema holds 2.0 and 2e0 for the integer 2, as do most clients; serde does not. Beyond 2^53 a
/// float is no longer exact, and stays what it is.
fn write_whole_numbers_as_integers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            const EXACT_MAX: f64 = 9_007_199_254_740_992.0;
            if let Some(float) = number.as_f64().filter(|_| number.is_f64())
                && float.fract() == 0.0
                && float.abs() <= EXACT_MAX
            {
                #[allow(clippy::cast_possible_truncation, reason = "whole, and below 2^53")]
                let whole = float as i64;
                *number = whole.into();
            }
        }
        Value::Array(items) => items.iter_mut().for_each(write_whole_numbers_as_integers),
        Value::Object(members) => members.values_mut().for_each(write_whole_numbers_as_integers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}
