//! The Market page: every offer, sortable, with the reasons for its price.

use gloo::timers::future::TimeoutFuture;
use leptos::prelude::*;
use leptos::task::spawn_local;
use node_proto::ids::NodeId;
use node_proto::io::Command;

use super::compute::Compute;
use super::parts::{FactorBar, PageFrame, Peer, Range, written};
use super::platform;
use super::state::use_app;
use crate::market::{Column, Row, rows, sorted};
use crate::route::Page;
use crate::text::market as words;
use crate::{format, text};

/// Offers are looked for again this often while the page is open.
const REFRESH_MS: u32 = 5_000;

/// The columns in their order: which, its name, what it means, whether its cells are numbers.
const COLUMNS: [(Option<Column>, &str, &str, bool); 7] = [
    (Some(Column::Provider), words::PROVIDER, "", false),
    (Some(Column::Service), words::OFFER, "", false),
    (Some(Column::Price), words::PRICE, "", true),
    (None, words::FACTORS, "", false),
    (Some(Column::Speed), words::SPEED, words::SPEED_HINT, true),
    (Some(Column::RoundTrip), words::RTT, words::RTT_HINT, true),
    (
        Some(Column::Reputation),
        words::REPUTATION,
        words::REPUTATION_HINT,
        false,
    ),
];

#[component]
pub(crate) fn MarketPage() -> impl IntoView {
    let app = use_app();
    let open = StoredValue::new(true);
    on_cleanup(move || open.set_value(false));
    spawn_local(async move {
        while open.try_get_value() == Some(true) {
            if !platform::hidden() {
                app.command(Command::RefreshMarket);
            }
            TimeoutFuture::new(REFRESH_MS).await;
        }
    });
    let offers = app.part(|snapshot| snapshot.offers.clone());
    let some =
        Memo::new(move |_| offers.with(|offers| offers.as_ref().is_some_and(|offers| !offers.is_empty())));
    let credit = app.part(|snapshot| {
        (
            snapshot.balance.newcomer_allowance,
            snapshot.balance.unlimited_in_group,
        )
    });
    view! {
        <PageFrame page=Page::Market>
            <p class="hint">{words::INTRO}</p>
            <Show when=move || some.get() fallback=|| view! { <p class="empty" data-testid="market-empty">{words::EMPTY}</p> }>
                <OfferTable/>
            </Show>
            {move || credit.get().map(|(allowance, unlimited)| view! {
                <p class="hint">
                    {words::allowance(&format::credits(allowance))}
                    {unlimited.then(|| format!(" {}", words::UNLIMITED))}
                </p>
            })}
            <Compute/>
        </PageFrame>
    }
}

#[component]
fn OfferTable() -> impl IntoView {
    let app = use_app();
    let order = RwSignal::new((Column::default(), false));
    let peers = app.peers();
    let offers = app.part(|snapshot| snapshot.offers.clone());
    let shown = Memo::new(move |_| {
        let (column, descending) = order.get();
        let rows = peers.with(|peers| rows(&offers.get().unwrap_or_default(), peers));
        sorted(&rows, column, descending)
    });
    let head: Vec<_> = COLUMNS
        .into_iter()
        .map(|(column, name, hint, number)| {
            view! { <HeadCell column name hint number order/> }
        })
        .collect();
    // Rows are keyed by all that they show: one that changes is replaced, the others stay as they are.
    view! {
        <div class="table-frame" role="region" aria-label=words::OFFERS tabindex="0">
            <table class="offers blocks">
                <thead><tr>{head}</tr></thead>
                <tbody>
                    <For each=move || shown.get() key=row_key let:row><OfferRow row/></For>
                </tbody>
            </table>
        </div>
    }
}

fn row_key(row: &Row) -> (NodeId, String) {
    let Row { offer, peer } = row;
    let seen = peer.as_ref().map(|peer| {
        (
            peer.rtt_ms,
            peer.reputation.lower.to_bits(),
            peer.reputation.upper.to_bits(),
        )
    });
    (
        offer.provider,
        format!(
            "{:?}{:?}{:?}{:?}{seen:?}",
            offer.service, offer.model, offer.factors, offer.unit_ms
        ),
    )
}

#[component]
fn HeadCell(
    column: Option<Column>,
    name: &'static str,
    hint: &'static str,
    number: bool,
    order: RwSignal<(Column, bool)>,
) -> impl IntoView {
    let sorted = move || {
        let (by, descending) = order.get();
        (column == Some(by)).then_some(if descending { "descending" } else { "ascending" })
    };
    let turn = move |column: Column| {
        // Reputation is first asked for from its good end, everything else from its small one.
        order.update(|(by, descending)| {
            *descending = if *by == column {
                !*descending
            } else {
                column == Column::Reputation
            };
            *by = column;
        });
    };
    view! {
        <th scope="col" class:num=number aria-sort=sorted title=(!hint.is_empty()).then_some(hint)>
            {match column {
                Some(column) => view! {
                    <button type="button" class="sort" on:click=move |_| turn(column)>{name}</button>
                }.into_any(),
                None => name.into_any(),
            }}
        </th>
    }
}

#[component]
fn OfferRow(row: Row) -> impl IntoView {
    let Row { offer, peer } = row;
    let rtt = peer.as_ref().and_then(|peer| peer.rtt_ms);
    let reputation = peer
        .as_ref()
        .map(|peer| peer.reputation.clone())
        .filter(|reputation| reputation.receipts > 0);
    let (low, high) = peer
        .as_ref()
        .map_or((0.0, 1.0), |peer| (peer.reputation.lower, peer.reputation.upper));
    let factors: Vec<_> = written(&offer.factors)
        .into_iter()
        .zip(text::factors::ALL)
        .enumerate()
        .map(|(index, (value, (name, key, meaning)))| view! {
            <span class="offer-factor num" data-testid="offer-factor" data-factor=key title=format!("{name}: {meaning}")>
                <span class=format!("key factor-key-{index}") aria-hidden="true"></span>
                <span class="sr">{name}" "</span>{value}
            </span>
        })
        .collect();
    let or_unknown =
        |ms: Option<u32>| ms.map_or_else(|| text::UNKNOWN.to_owned(), |ms| format::duration(u64::from(ms)));
    view! {
        <tr data-testid="offer" data-peer=offer.provider.to_string() data-service=offer.service.name() data-millicredits=offer.unit_price.0
            class:mine=offer.mine>
            <th scope="row"><Peer id=offer.provider/></th>
            <td data-label=words::OFFER>{text::service(offer.service)}{offer.model_name.map(|name| view! { <small>{name}</small> })}</td>
            <td class="num strong" data-label=words::PRICE>{format::amount_only(offer.unit_price)}</td>
            <td class="why" data-label=words::FACTORS><FactorBar factors=offer.factors/><span class="offer-factors">{factors}</span></td>
            <td class="num" data-label=words::SPEED>{or_unknown(offer.unit_ms)}</td>
            <td class="num" data-label=words::RTT data-testid="offer-rtt" data-ms=rtt>
                {if offer.mine { "–".to_owned() } else { or_unknown(rtt) }}
            </td>
            <td data-label=words::REPUTATION data-testid="offer-reputation" data-low=format!("{low:.4}") data-high=format!("{high:.4}")>
                {match reputation {
                    _ if offer.mine => "–".into_any(),
                    Some(r) => view! { <Range low=r.lower mean=r.score high=r.upper/> }.into_any(),
                    None => view! { <span class="hint">{words::NO_RECORD}</span> }.into_any(),
                }}
            </td>
        </tr>
    }
}
