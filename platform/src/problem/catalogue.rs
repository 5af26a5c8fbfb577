//! `GET /problems` and `GET /problems/{name}`: what each type of problem means, at the very URL that a
//! problem carries.

use axum::{Json, Router, extract::Path, routing::get};
use serde::Serialize;

use super::{NOT_FOUND, Problem, ProblemType, TYPES};

#[derive(Serialize)]
struct Entry {
    r#type: String,
    title: &'static str,
    status: u16,
    meaning: String,
}

impl From<&ProblemType> for Entry {
    fn from(kind: &ProblemType) -> Self {
        let meaning = kind.meaning.lines().map(str::trim).collect::<Vec<_>>().join(" ");
        Self {
            r#type: kind.url(),
            title: kind.title,
            status: kind.status,
            meaning: meaning.trim().to_owned(),
        }
    }
}

/// All types of the given lists and of this crate, each name once, by name.
pub fn problem_types_of(lists: &[&[&'static ProblemType]]) -> Vec<&'static ProblemType> {
    let mut kinds: Vec<_> = lists.iter().copied().flatten().chain(TYPES).copied().collect();
    kinds.sort_by_key(|kind| kind.name);
    kinds.dedup();
    kinds
}

/// Serves the meaning of every problem type in the given lists, and of this crate's own.
pub fn catalogue(lists: &[&[&'static ProblemType]]) -> Router {
    let kinds = problem_types_of(lists);
    let all = kinds.clone();
    Router::new()
        .route("/problems", get(async move || Json(all.into_iter().map(Entry::from).collect::<Vec<_>>())))
        .route(
            "/problems/{name}",
            get(async move |Path(name): Path<String>| match kinds.iter().find(|kind| kind.name == name) {
                Some(kind) => Ok(Json(Entry::from(*kind))),
                None => Err(Problem::new(&NOT_FOUND)),
            }),
        )
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used)]
    use axum::{
        body::{Body, to_bytes},
        http::{Request, StatusCode},
    };
    use serde_json::Value;
    use tower::ServiceExt;

    use super::*;

    crate::problem_types! {
        /// Of this test.
        const OF_A_SHOP;

        /// The shelf holds less.
        /// Wait for more.
        SHORTAGE = 409 "shortage" "There is too little";
    }

    async fn get(path: &str) -> (StatusCode, Value) {
        let request = Request::builder().uri(path).body(Body::empty()).unwrap();
        let response = catalogue(&[OF_A_SHOP]).oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 100_000).await.unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn a_type_is_explained_at_its_own_url() {
        let (_, shortage) = get(&SHORTAGE.url()).await;
        assert_eq!(shortage["meaning"], "The shelf holds less. Wait for more.");
        assert_eq!(shortage["status"], 409);
        assert_eq!(get("/problems/unheard-of").await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn the_list_holds_the_types_of_all_parts() {
        let (_, list) = get("/problems").await;
        let names: Vec<_> =
            list.as_array().unwrap().iter().map(|kind| kind["type"].as_str().unwrap()).collect();
        assert!(names.contains(&"/problems/shortage") && names.contains(&"/problems/not-found"), "{names:?}");
    }
}
