//! The Node page: what this device is, what it lends, what it measured, what it did.

use leptos::prelude::*;
use node_proto::capability::{Measurements, Reading};
use node_proto::service::Service;
use node_wasm::status::IdentityStatus;

use super::backup::Backup;
use super::lend::Lend;
use super::models::Models;
use super::parts::PageFrame;
use super::state::use_app;
use crate::route::Page;
use crate::text::node as words;
use crate::{format, text};

#[component]
pub(crate) fn NodePage() -> impl IntoView {
    view! {
        <PageFrame page=Page::Node>
            <div class="columns">
                <div><Lend/><Served/></div>
                <div><TierCard/><Models/><MeasurementTable/><Identity/><Backup/></div>
            </div>
        </PageFrame>
    }
}

#[component]
fn Served() -> impl IntoView {
    let app = use_app();
    let lending = app.part(|snapshot| snapshot.lending.clone());
    let balance = app.part(|snapshot| snapshot.balance.clone());
    let fact = move |read: fn(&node_proto::view::LendingView) -> String| {
        move || lending.with(|lending| lending.as_ref().map_or_else(|| "–".to_owned(), read))
    };
    let credit = move |read: fn(&node_proto::view::Balance) -> String| {
        move || balance.with(|balance| balance.as_ref().map_or_else(|| "–".to_owned(), read))
    };
    view! {
        <section class="card" aria-labelledby="credit-heading">
            <h2 id="credit-heading">{words::CREDIT}</h2>
            <dl class="facts">
                <div><dt>{words::SOLD}</dt>
                    <dd data-testid="sold" data-count=move || lending.with(|l| l.as_ref().map(|l| l.sold))>
                        {fact(|l| words::sold(l.sold))}
                    </dd></div>
                <div><dt>{words::EARNED}</dt><dd>{fact(|l| format::credits(l.earned))}</dd></div>
                <div><dt>{words::BUSY}</dt><dd>{fact(|l| format::duration(l.busy_ms))}</dd></div>
                <div><dt>{words::SETTLED}</dt><dd>{credit(|b| format::credits(b.settled))}</dd></div>
                <div><dt>{words::PENDING}</dt><dd>{credit(|b| format::credits(b.pending))}</dd></div>
                <div><dt>{words::ALLOWANCE}</dt>
                    <dd data-testid="newcomer-allowance"
                        data-millicredits=move || balance.with(|b| b.as_ref().map(|b| b.newcomer_allowance.0))>
                        {credit(|b| format::credits(b.newcomer_allowance))}
                        <small>{words::ALLOWANCE_HINT}</small>
                    </dd></div>
            </dl>
        </section>
    }
}

#[component]
fn TierCard() -> impl IntoView {
    let app = use_app();
    let tier = app.part(|snapshot| snapshot.tier);
    let capability = app.part(|snapshot| snapshot.capability.clone());
    let usage = app.shell_part(|status| status.storage.usage_bytes);
    let services = move |read: fn(&node_proto::capability::Capability) -> &[Service]| {
        move || {
            let names = capability.with(|c| {
                c.as_ref()
                    .map(|c| read(c).iter().map(|s| text::service(*s)).collect::<Vec<_>>())
            });
            names
                .filter(|names| !names.is_empty())
                .map_or_else(|| words::NOTHING.to_owned(), |names| names.join(", "))
        }
    };
    view! {
        <section class="card" aria-labelledby="tier-heading">
            <h2 id="tier-heading">{words::TIER}</h2>
            <p data-testid="tier" data-tier=move || tier.get().flatten().map(text::tier_slug)>
                <strong class="tier">{move || tier.get().flatten().map_or(words::TIER_UNKNOWN, text::tier)}</strong>
                " "{move || tier.get().flatten().map(words::tier_role)}
            </p>
            {move || {
                let (used, budget) = (usage.get().flatten()?, words::tier_storage(tier.get().flatten()?));
                let said = words::budget(&format::bytes(used), &format::bytes(budget));
                Some(view! {
                    <p class="budget">
                        <meter min="0" max=budget.to_string() value=used.min(budget).to_string() aria-label=said.clone()></meter>
                        <span class="num">{said.clone()}</span>
                    </p>
                })
            }}
            <dl class="facts">
                <div><dt>{words::CAN_PROVIDE}</dt><dd>{services(|c| &c.can_provide)}</dd></div>
                <div><dt>{words::NEEDS}</dt><dd>{services(|c| &c.need_provider)}</dd></div>
                <div><dt>{words::ROLES}</dt><dd>{services(|c| &c.optimal_roles)}</dd></div>
            </dl>
        </section>
    }
}

/// The five readings in the catalogue's order, each with how it is written.
fn readings(measurements: &Measurements) -> [(Option<Reading>, String); 5] {
    let written = |reading: Option<Reading>, write: fn(f64) -> String| {
        (
            reading,
            reading.map_or_else(|| text::UNKNOWN.to_owned(), |reading| write(reading.value)),
        )
    };
    [
        written(measurements.processing_tokens_per_s, words::tokens_per_second),
        written(measurements.memory_bytes, |bytes| format::bytes(bytes as u64)),
        written(measurements.battery_level, |level| format::percent(level as f32)),
        written(measurements.network_rtt_ms, |ms| format::duration(ms as u64)),
        written(measurements.storage_bytes, |bytes| format::bytes(bytes as u64)),
    ]
}

#[component]
fn MeasurementTable() -> impl IntoView {
    let app = use_app();
    let measurements = app.part(|snapshot| snapshot.capability.measurements.clone());
    let rows = move || {
        let mut rows = Vec::new();
        for ((name, key, hint), (reading, value)) in words::FIVE
            .into_iter()
            .zip(readings(&measurements.get().unwrap_or_default()))
        {
            let age = move || {
                let Reading { at, measured, .. } = reading?;
                let how = if measured {
                    words::HOW_MEASURED
                } else {
                    words::HOW_HINT
                };
                Some(format!("{how}, {}", format::age(app.now.get().ms_since(at))))
            };
            rows.push(view! {
                <tr data-testid="measurement" data-measurement=key title=hint>
                    <th scope="row">{name}</th>
                    <td class="num" class:hint=reading.is_none()>{value}</td>
                    <td class="hint">{age}</td>
                </tr>
            });
        }
        rows
    };
    view! {
        <section class="card" aria-labelledby="measurements-heading">
            <h2 id="measurements-heading">{words::MEASUREMENTS}</h2>
            <table class="plain">
                <thead class="sr"><tr>
                    <th scope="col">{words::MEASURED}</th><th scope="col">{words::VALUE}</th><th scope="col">{words::AGE}</th>
                </tr></thead>
                <tbody>{rows}</tbody>
            </table>
        </section>
    }
}

#[component]
fn Identity() -> impl IntoView {
    let app = use_app();
    let me = app.part(|snapshot| snapshot.me);
    let status = app.shell_part(|status| {
        (
            status.identity.clone(),
            status.storage.clone(),
            status.versions.clone(),
        )
    });
    view! {
        <section class="card" aria-labelledby="identity-heading">
            <h2 id="identity-heading">{words::PEER_ID}</h2>
            <p><code class="peer-id-full" data-testid="node-peer-id">{move || me.get().map(|id| id.to_string())}</code></p>
            <p class="hint">{words::PEER_ID_HINT}</p>
            {move || status.get().map(|(identity, storage, versions)| {
                let kept = matches!(identity, IdentityStatus::Kept { .. });
                let stored = storage.usage_bytes.zip(storage.quota_bytes);
                view! {
                    {kept.then(|| view! { <p class="hint">{words::KEPT}</p> })}
                    {stored.map(|(used, quota)| view! {
                        <p class="hint">
                            {words::STORED}": "{words::stored(&format::bytes(used), &format::bytes(quota))}". "
                            {(storage.persisted == Some(false)).then_some(words::NOT_PERSISTED)}
                        </p>
                    })}
                    {storage.ledger_error.map(|reason| view! { <p class="bad-text">{words::ledger_error(&reason)}</p> })}
                    <p class="hint">{words::versions(&versions.node, &versions.protocol)}</p>
                }
            })}
        </section>
    }
}
