//! Offering, pricing and withdrawing products.

use serde_json::json;

use super::{Shop, gbp, money};

#[tokio::test]
async fn a_product_is_listed_priced_and_withdrawn() {
    let shop = Shop::new();
    let product = json!({"sku": "RED MUG/1", "title": "A mug", "prices": [gbp(500)]});

    let listed = shop.post("/products", "list", &product).await;
    let repriced =
        shop.post("/products/RED%20MUG%2F1/prices", "reprice", &json!({"price": money(6, "JPY")})).await;
    let withdrawn =
        shop.post("/products/RED%20MUG%2F1/withdrawal", "withdraw", &json!({"reason": "broke"})).await;

    assert_eq!(listed.status, 201);
    assert_eq!(listed.header("location"), "/products/RED%20MUG%2F1");
    assert_eq!(listed.body, json!({"revision": 0, "position": 1}));
    assert_eq!((repriced.status.as_u16(), repriced.header("etag")), (200, "\"1\""));
    assert_eq!((withdrawn.status.as_u16(), withdrawn.header("counterfoil-position")), (200, "3"));
    let names: Vec<_> = shop.log().await.into_iter().map(|event| event.name).collect();
    assert_eq!(names, ["ProductListed", "ProductRepriced", "ProductWithdrawn"]);
}

#[tokio::test]
async fn each_refusal_of_the_catalog_has_its_type() {
    let shop = Shop::selling().await;
    let otherwise = json!({"sku": "MUG", "title": "Another mug", "prices": [gbp(500)]});
    let price = json!({"price": gbp(1)});

    let listed_otherwise = shop.post("/products", "1", &otherwise).await;
    let unknown = shop.post("/products/FORK/prices", "2", &price).await;
    let withdrawal = shop.post("/products/MUG/withdrawal", "3", &json!({"reason": "broke"})).await;
    let withdrawn = shop.post("/products/MUG/prices", "4", &price).await;

    assert_eq!((listed_otherwise.status.as_u16(), listed_otherwise.problem()), (409, "listed-otherwise"));
    assert_eq!(listed_otherwise.body["sku"], "MUG");
    assert_eq!((unknown.status.as_u16(), unknown.problem()), (404, "not-found"));
    assert_eq!(withdrawal.status, 200);
    assert_eq!((withdrawn.status.as_u16(), withdrawn.problem()), (409, "product-withdrawn"));
}

#[tokio::test]
async fn a_price_goes_up_to_what_can_be_counted_and_no_further() {
    let shop = Shop::new();
    let product = |sku: &str, amount: i64, thousandths: i64| {
        json!({"sku": sku, "title": "Dear", "prices": [
            {"amount": amount, "thousandths": thousandths, "currency": "GBP"}
        ]})
    };

    let dearest = shop.post("/products", "1", &product("A", 9_007_199_254_740_991, 999)).await;
    let dearer = shop.post("/products", "2", &product("B", 9_007_199_254_740_992, 0)).await;
    let absurd = shop.post("/products", "3", &product("C", i64::MAX, 1_000)).await;

    assert_eq!(dearest.status, 201);
    assert_eq!(dearer.pointers(), ["/prices/0/amount"]);
    assert_eq!(absurd.pointers(), ["/prices/0/amount", "/prices/0/thousandths"]);
}
