//! The command API over HTTP: a route for each thing that a client may want done. A request is checked
//! whole before anything is decided, a command is carried out once for each `Idempotency-Key`, and
//! **whatever is refused leaves nothing behind** and is answered as `application/problem+json`.

mod answer;
mod body;
mod catalog;
mod checkout;
mod headers;
mod inventory;
mod money;
mod order;
mod path;
mod payment;
mod problems;
mod schema;

use std::{fmt, sync::Arc};

use axum::{Router, extract::DefaultBodyLimit};
use platform::{clock::Clock, keys::KeyStore, problem::Problem};
use utoipa::{OpenApi as _, openapi::OpenApi};
use utoipa_axum::{router::OpenApiRouter, routes};

pub use problems::PROBLEM_TYPES;

use crate::Commands;

/// The longest body that is read.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;

/// What the routes work with. Cheap to clone.
#[derive(Clone)]
pub struct Api {
    commands: Commands,
    keys: Arc<dyn KeyStore>,
    clock: Clock,
}

impl Api {
    /// An API that sends its commands to `commands`, and seals personal data with keys from `keys`.
    pub fn new(commands: Commands, keys: Arc<dyn KeyStore>, clock: Clock) -> Self {
        Self { commands, keys, clock }
    }
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("commands", &self.commands).finish_non_exhaustive()
    }
}

/// The routes. What a route does not answer itself (an unknown path, another method) is left to
/// [`platform::problem::with_fallbacks`], which belongs around the whole of a server.
pub fn router(api: Api) -> Router {
    let (router, _) = routes().split_for_parts();
    router.layer(DefaultBodyLimit::max(BODY_BYTES_MAX)).with_state(api)
}

/// The same routes, described.
pub fn openapi() -> OpenApi {
    routes().into_openapi()
}

/// What all routes share in the description.
#[derive(utoipa::OpenApi)]
#[openapi(components(schemas(Problem)))]
struct Shared;

fn routes() -> OpenApiRouter<Api> {
    OpenApiRouter::with_openapi(Shared::openapi())
        .routes(routes!(catalog::list))
        .routes(routes!(catalog::reprice))
        .routes(routes!(catalog::withdraw))
        .routes(routes!(inventory::receive))
        .routes(routes!(inventory::adjust))
        .routes(routes!(checkout::check_out))
        .routes(routes!(order::cancel))
        .routes(routes!(order::dispatch))
        .routes(routes!(payment::capture))
        .routes(routes!(payment::refund))
}
