//! The Reputation page: four metrics per peer as ranges, and the receipts that they rest on.

use leptos::prelude::*;
use node_proto::ids::{NodeId, Timestamp};
use node_proto::order;
use node_proto::view::{PeerView, ReceiptView, Voucher};

use super::parts::{MetricRange, PageFrame, Peer, Range};
use super::state::use_app;
use crate::route::Page;
use crate::text::reputation as words;
use crate::{format, text};

/// Receipts that are shown behind one score.
const RECEIPTS_SHOWN: usize = 50;

#[component]
pub(crate) fn ReputationPage() -> impl IntoView {
    let app = use_app();
    let peers = app.peers();
    let traded = Memo::new(move |_| {
        let ids: Vec<(NodeId, f32)> = peers.with(|peers| {
            peers
                .iter()
                .filter(|peer| has_record(peer))
                .map(|peer| (peer.id, peer.reputation.lower))
                .collect()
        });
        let ids = order::sorted(&ids, |a, b| b.1.total_cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        ids.into_iter().map(|(id, _)| id).collect::<Vec<_>>()
    });
    view! {
        <PageFrame page=Page::Reputation>
            <p class="hint">{words::INTRO}</p>
            <Show when=move || traded.with(|ids| !ids.is_empty())
                fallback=|| view! { <p class="empty" data-testid="reputation-empty">{words::EMPTY}</p> }>
                <h2>{words::PEERS}</h2>
                <ul class="cards">
                    <For each=move || traded.get() key=|id| *id let:id><PeerCard id/></For>
                </ul>
            </Show>
            <h2 id="receipts-heading">{words::RECEIPTS}</h2>
            <Receipts/>
        </PageFrame>
    }
}

/// Something was observed; without that there is nothing to show but ignorance.
fn has_record(peer: &PeerView) -> bool {
    let r = &peer.reputation;
    r.receipts > 0
        || [r.reliability, r.availability, r.response_time, r.quality]
            .iter()
            .any(|m| m.observations > 0.0)
}

#[component]
fn PeerCard(id: NodeId) -> impl IntoView {
    let app = use_app();
    let peers = app.peers();
    let reputation = Memo::new(move |_| {
        peers.with(|peers| {
            peers
                .iter()
                .find(|peer| peer.id == id)
                .map(|peer| peer.reputation.clone())
        })
    });
    let number = move |read: fn(&node_proto::view::ReputationView) -> f32| {
        move || reputation.with(|r| r.as_ref().map(|r| format!("{:.4}", read(r))))
    };
    let why = move || words::why(reputation.with(|r| r.as_ref().map_or(0, |r| r.receipts as usize)));
    let open = RwSignal::new(false);
    view! {
        <li class="card" data-testid="reputation-peer" data-peer=id.to_string()
            data-score=number(|r| r.score) data-low=number(|r| r.lower) data-high=number(|r| r.upper)>
            <div class="row spread">
                <h3><Peer id/></h3>
                <span class="score">
                    <span class="hint">{words::SCORE}</span>
                    {move || reputation.get().map(|r| view! { <Range low=r.lower mean=r.score high=r.upper/> })}
                </span>
            </div>
            <dl class="metrics">{move || reputation.get().map(|r| {
                let metrics = [r.reliability, r.availability, r.response_time, r.quality];
                words::METRICS.iter().zip(metrics).map(|((name, key, meaning), metric)| view! {
                    <div title=format!("{meaning}. {}", words::observations(metric.observations))>
                        <dt>{*name}</dt>
                        <dd data-testid="metric" data-metric=*key data-mean=format!("{:.4}", metric.mean)
                            data-low=format!("{:.4}", metric.lower) data-high=format!("{:.4}", metric.upper)>
                            <MetricRange metric/>
                        </dd>
                    </div>
                }).collect::<Vec<_>>()
            })}</dl>
            <details>
                <summary data-testid="why" on:click=move |_| open.update(|open| *open = !*open)>{why}</summary>
                {move || open.get().then(|| view! { <Evidence id/> })}
            </details>
        </li>
    }
}

/// What a score rests on: own receipts, and whose payments speak for the peer.
#[component]
fn Evidence(id: NodeId) -> impl IntoView {
    let app = use_app();
    let evidence = Memo::new(move |_| {
        app.snapshot.track();
        let node = app.node()?;
        Some((node.reputation(&id), node.receipts_with(&id, RECEIPTS_SHOWN)))
    });
    move || {
        evidence.get().map(|(reputation, receipts)| {
            let observed = [
                reputation.reliability,
                reputation.availability,
                reputation.response_time,
                reputation.quality,
            ];
            let observed: f32 = observed.iter().map(|metric| metric.observations).sum();
            let known = |id: &NodeId| {
                app.snapshot.with_untracked(|snapshot| {
                    let mut peers = snapshot.iter().flat_map(|snapshot| &snapshot.peers);
                    peers.any(|peer| peer.id == *id && peer.reputation.receipts > 0)
                })
            };
            let me = app
                .snapshot
                .with_untracked(|snapshot| snapshot.as_ref().map(|snapshot| snapshot.me));
            let you = reputation
                .vouchers
                .iter()
                .filter(|voucher| Some(voucher.id) == me)
                .count();
            let traded = reputation
                .vouchers
                .iter()
                .filter(|voucher| known(&voucher.id))
                .count();
            let others = reputation.vouchers.len().saturating_sub(you + traded);
            let vouchers: Vec<_> = reputation
                .vouchers
                .iter()
                .map(|voucher| {
                    let Voucher { id, part } = *voucher;
                    view! {
                        <li data-testid="voucher" data-peer=id.to_string() data-part=format!("{part:.4}")>
                            <Peer id/><span class="num">{format::percent(part)}</span>
                        </li>
                    }
                })
                .collect();
            view! {
                <p class="hint">{words::rests_on(reputation.receipts as usize, observed)}</p>
                <ReceiptLines receipts/>
                <p class="hint" data-testid="vouchers">
                    {words::vouchers(you > 0, traded, others)}
                </p>
                <ul class="receipt-lines">{vouchers}</ul>
            }
        })
    }
}

/// The receipts behind one score, as lines.
#[component]
fn ReceiptLines(receipts: Vec<ReceiptView>) -> impl IntoView {
    if receipts.is_empty() {
        return view! { <p class="hint">{words::NO_RECEIPTS}</p> }.into_any();
    }
    let app = use_app();
    let lines: Vec<_> = receipts
        .into_iter()
        .map(|receipt| {
            view! {
                <li data-testid="why-receipt" data-receipt=receipt.id.to_string()>
                    <code title=receipt.id.to_string()>{format::short_hash(&receipt.id)}</code>
                    <span class="num">{format::signed(receipt.delta)}</span>
                    <span>{text::verification(&receipt.verification)}</span>
                    <span class="hint">{format::age(app.now.get_untracked().ms_since(receipt.at))}</span>
                </li>
            }
        })
        .collect();
    view! { <ul class="receipt-lines">{lines}</ul> }.into_any()
}

#[component]
fn Receipts() -> impl IntoView {
    let app = use_app();
    let receipts = app.part(|snapshot| snapshot.receipts.clone());
    let some = Memo::new(move |_| receipts.with(|receipts| receipts.as_ref().is_some_and(|r| !r.is_empty())));
    view! {
        <Show when=move || some.get() fallback=|| view! { <p class="empty">{words::RECEIPTS_EMPTY}</p> }>
            <div class="table-frame" role="region" aria-labelledby="receipts-heading" tabindex="0">
                <table class="receipts blocks">
                    <thead><tr>
                        <th scope="col">{words::WHEN}</th>
                        <th scope="col">{words::WITH}</th>
                        <th scope="col">{words::WHAT}</th>
                        <th scope="col" class="num">{words::AMOUNT}</th>
                        <th scope="col">{words::CHECKED}</th>
                        <th scope="col">{words::RECEIPT}</th>
                    </tr></thead>
                    <tbody>
                        <For each=move || receipts.get().unwrap_or_default() key=|r| (r.id, r.fully_signed) let:receipt>
                            <ReceiptRow receipt/>
                        </For>
                    </tbody>
                </table>
            </div>
        </Show>
    }
}

#[component]
fn ReceiptRow(receipt: ReceiptView) -> impl IntoView {
    let app = use_app();
    let at: Timestamp = receipt.at;
    let (status, word) = if receipt.fully_signed {
        ("complete", words::COMPLETE)
    } else {
        ("pending", words::PENDING)
    };
    view! {
        <tr data-testid="receipt" data-receipt=receipt.id.to_string() data-millicredits=receipt.delta.0
            data-peer=receipt.counterparty.to_string() data-status=status>
            <td data-label=words::WHEN>{move || format::age(app.now.get().ms_since(at))}</td>
            <td data-label=words::WITH><Peer id=receipt.counterparty/></td>
            <td data-label=words::WHAT>{text::service(receipt.service)}</td>
            <td class="num strong" data-label=words::AMOUNT>{format::signed(receipt.delta)}</td>
            <td data-label=words::CHECKED>{text::verification(&receipt.verification)}</td>
            <td data-label=words::RECEIPT><code title=receipt.id.to_string()>{format::short_hash(&receipt.id)}</code><small>{word}</small></td>
        </tr>
    }
}
