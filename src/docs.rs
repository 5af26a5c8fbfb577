//! The API's description: OpenAPI 3.1 at `/openapi.json`, generated from the handlers themselves, and a
//! page to browse it at `/docs` that needs nothing from elsewhere. **Every process describes the whole API**,
//! whichever roles it runs: clients see one API, and a gateway asks whom it likes.

use axum::{Router, response::Redirect, routing::get};
use utoipa::openapi::{Info, License, OpenApi, OpenApiBuilder};
use utoipa_swagger_ui::SwaggerUi;

/// One document of what all roles serve.
fn openapi() -> OpenApi {
    let mut info = Info::new("Counterfoil", env!("CARGO_PKG_VERSION"));
    info.description = Some(env!("CARGO_PKG_DESCRIPTION").to_owned());
    info.license = Some(License::new(env!("CARGO_PKG_LICENSE")));
    let mut document = OpenApiBuilder::new().info(info).build();
    for role in [write_side::api::openapi(), sagas::webhook::openapi(), read_side::openapi()] {
        document.merge(role);
    }
    document
}

/// Serves the description and the page.
pub(crate) fn router() -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/docs") }))
        .merge(SwaggerUi::new("/docs").url("/openapi.json", openapi()))
}
