//! What a path names. A path that cannot name anything names nothing: 404, as for what does not exist.

use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use events::ids::Sku;
use platform::problem::{NOT_FOUND, Problem};
use uuid::Uuid;

/// The SKU in the path.
#[derive(Debug)]
pub(super) struct SkuInPath(pub(super) Sku);

/// The UUID in the path.
#[derive(Debug)]
pub(super) struct IdInPath(pub(super) Uuid);

impl<S: Send + Sync> FromRequestParts<S> for SkuInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, state).await?;
        text.parse().map(Self).map_err(|_| Problem::new(&NOT_FOUND))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for IdInPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(id) = Path::<Uuid>::from_request_parts(parts, state).await?;
        Ok(Self(id))
    }
}
