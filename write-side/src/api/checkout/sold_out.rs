//! What of a checkout is sold out, by the newest events of its stock. It is looked up beside the prices, in the same
//! round trip to the store.

use std::collections::BTreeSet;

use domain::inventory::Stock;
use events::ids::Sku;
use futures::{StreamExt, TryStreamExt, stream};
use platform::problem::{Fault, Problem};

use super::{Checkout, READS_AT_ONCE};
use crate::api::{Api, answer::unreadable};

/// The lines of which nothing is left. A line that asks for more than is left is not among them, nor one of which
/// there never was anything: about these the coordinator decides, as about all others.
pub(super) async fn lines(api: &Api, checkout: &Checkout) -> Result<Vec<Fault>, Problem> {
    let skus: BTreeSet<Sku> = checkout.lines.iter().filter_map(|line| line.sku.parse().ok()).collect();
    let reads: Vec<_> = skus.into_iter().map(|sku| gone(api.clone(), sku)).collect();
    let reads = stream::iter(reads).buffer_unordered(READS_AT_ONCE);
    let gone: BTreeSet<String> =
        reads.try_filter_map(async |sku| Ok(sku.map(Into::into))).try_collect().await?;
    let lines = checkout.lines.iter().enumerate().filter(|(_, line)| gone.contains(&line.sku));
    let fault = |(index, _)| Fault {
        pointer: format!("/lines/{index}/sku"),
        detail: "nothing is left of it".to_owned(),
    };
    Ok(lines.map(fault).collect())
}

/// The SKU, if every unit of it is held or gone.
async fn gone(api: Api, sku: Sku) -> Result<Option<Sku>, Problem> {
    let is_sold_out =
        api.commands.inventory.look(sku.as_str(), Stock::is_sold_out).await.map_err(unreadable)?;
    Ok(is_sold_out.then_some(sku))
}
