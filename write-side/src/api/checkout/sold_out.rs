//! What of a checkout is sold out, by the newest events of its stock. It is looked up at the same time as the prices.

use std::collections::BTreeSet;

use domain::inventory::Stock;
use events::ids::Sku;
use futures::{StreamExt, stream};
use platform::problem::Fault;

use super::{Checkout, CheckoutLine, READS_AT_ONCE};
use crate::api::Api;

/// The lines of which nothing is left. A line that asks for more than is left is not among them, nor one of which
/// there never was anything, nor one whose stock cannot be read now: about these the coordinator decides, as about all
/// others.
pub(super) async fn lines(api: &Api, checkout: &Checkout) -> Vec<Fault> {
    let skus: BTreeSet<Sku> = checkout.lines.iter().filter_map(|line| line.sku.parse().ok()).collect();
    let reads: Vec<_> = skus.into_iter().map(|sku| gone(api.clone(), sku)).collect();
    let reads = stream::iter(reads).buffer_unordered(READS_AT_ONCE);
    let gone: BTreeSet<Sku> = reads.filter_map(async |gone| gone).collect().await;
    let is_gone = |line: &CheckoutLine| gone.iter().any(|sku| sku.as_str() == line.sku);
    let lines = checkout.lines.iter().enumerate().filter(|(_, line)| is_gone(line));
    let fault = |(index, _)| Fault {
        pointer: format!("/lines/{index}/sku"),
        detail: "nothing is left of it".to_owned(),
    };
    lines.map(fault).collect()
}

/// The SKU, if every unit of it is held or gone.
async fn gone(api: Api, sku: Sku) -> Option<Sku> {
    match api.commands.inventory.look(sku.as_str(), Stock::is_sold_out).await {
        Ok(is_sold_out) => is_sold_out.then_some(sku),
        Err(error) => {
            tracing::warn!(%sku, %error, "whether it is sold out cannot be told, and is left to the coordinator");
            None
        }
    }
}
