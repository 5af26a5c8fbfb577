//! The API's description: OpenAPI 3.1 at `/openapi.json`, generated from the handlers themselves, and a
//! page to browse it at `/docs` that needs nothing from elsewhere.

use axum::{Router, response::Redirect, routing::get};
use utoipa::openapi::{Info, License, OpenApi, OpenApiBuilder};
use utoipa_swagger_ui::SwaggerUi;

/// One document of what each role describes.
fn openapi(roles: Vec<OpenApi>) -> OpenApi {
    let mut info = Info::new("Counterfoil", env!("CARGO_PKG_VERSION"));
    info.description = Some(env!("CARGO_PKG_DESCRIPTION").to_owned());
    info.license = Some(License::new(env!("CARGO_PKG_LICENSE")));
    let mut document = OpenApiBuilder::new().info(info).build();
    for role in roles {
        document.merge(role);
    }
    document
}

/// Serves the description of these roles, and the page.
pub(crate) fn router(roles: Vec<OpenApi>) -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/docs") }))
        .merge(SwaggerUi::new("/docs").url("/openapi.json", openapi(roles)))
}
