//! Small pieces that several pages share. Every drawing says in words what it shows.

use leptos::prelude::*;
use node_proto::ids::{Millicredits, NodeId};
use node_proto::price::Factors;
use node_proto::service::Scope;
use node_proto::view::Metric;

use super::state::use_app;
use crate::market::contributions;
use crate::{format, mark, text};

/// A peer: its mark and the end of its id; the whole id on hover and to assistive technology.
#[component]
pub(crate) fn Peer(id: NodeId) -> impl IntoView {
    let app = use_app();
    let picture = mark::mark(id);
    let me = app.part(move |snapshot| snapshot.me == id);
    let name = move || {
        if me.get() == Some(true) {
            text::YOU.to_owned()
        } else {
            format::short_id(id)
        }
    };
    view! {
        <span class="peer" title=id.to_string()>
            <svg class=format!("mark hue-{}", picture.hue) viewBox="-1 -1 7 7" aria-hidden="true">
                <path d=mark::path(&picture)/>
            </svg>
            <span class="peer-id">{name}</span>
        </span>
    }
}

/// An interval between 0 and 1, drawn as a range with its mean, and written beside it.
#[component]
pub(crate) fn Range(low: f32, mean: f32, high: f32, #[prop(optional)] known: Option<bool>) -> impl IntoView {
    if known == Some(false) {
        return view! { <span class="range unknown">{text::UNKNOWN}</span> }.into_any();
    }
    let percent = |share: f32| format!("{:.1}", f64::from(share.clamp(0.0, 1.0)) * 100.0);
    let width = percent((high - low).max(0.01));
    view! {
        <span class="range">
            <svg class="range-bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
                <rect class="range-track" x="0" y="4" width="100" height="2"/>
                <rect class="range-span" x=percent(low) y="2" width=width height="6"/>
                <rect class="range-mean" x=percent(mean - 0.01) y="0" width="2" height="10"/>
            </svg>
            <span class="range-text num">{format::percent_range(low, high)}</span>
        </span>
    }
    .into_any()
}

/// A metric's range; unknown while nothing was observed.
#[component]
pub(crate) fn MetricRange(metric: Metric) -> impl IntoView {
    let known = metric.observations > 0.0;
    view! { <Range low=metric.lower mean=metric.mean high=metric.upper known=known/> }
}

/// The parts of a price, in one bar: what adds stands side by side, what takes away is cut off from the right.
#[component]
pub(crate) fn FactorBar(factors: Factors) -> impl IntoView {
    let parts = contributions(&factors);
    let added: f64 = parts
        .iter()
        .filter(|part| **part > 0)
        .map(|part| *part as f64)
        .sum();
    let width = |part: i64| 100.0 * part.unsigned_abs() as f64 / added.max(1.0);
    let (mut start, mut end) = (0.0, 100.0);
    let segments: Vec<_> = parts
        .iter()
        .enumerate()
        .filter(|(_, part)| **part != 0)
        .map(|(index, part)| {
            let wide = width(*part).min(100.0);
            let x = if *part > 0 { start } else { end - wide };
            if *part > 0 {
                start += wide
            } else {
                end -= wide
            }
            let class = if *part > 0 {
                format!("factor-{index}")
            } else {
                "factor-cut".to_owned()
            };
            view! { <rect class=class x=format!("{x:.2}") y="0" width=format!("{wide:.2}") height="10"/> }
        })
        .collect();
    view! {
        <svg class="factor-bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true">
            <rect class="factor-track" x="0" y="0" width="100" height="10"/>
            {segments}
        </svg>
    }
}

/// The four factors as written in a product, in their order.
pub(crate) fn written(factors: &Factors) -> [String; 4] {
    [
        format::amount_only(Millicredits(factors.base_cost)),
        format::multiplier(factors.quality_multiplier),
        format::multiplier(factors.market_demand),
        format::multiplier(factors.reputation_factor),
    ]
}

/// The four factors as a table: what each is and what it adds.
#[component]
pub(crate) fn FactorTable(factors: Factors, price: Millicredits) -> impl IntoView {
    let rows = text::factors::ALL
        .iter()
        .zip(written(&factors))
        .zip(contributions(&factors))
        .enumerate();
    let rows: Vec<_> = rows
        .map(|(index, (((name, key, meaning), value), adds))| {
            let adds = if index == 0 { value.clone() } else { format::signed(Millicredits(adds)) };
            view! {
                <tr data-testid="trade-factor" data-factor=*key>
                    <th scope="row"><span class=format!("key factor-key-{index}")></span>{*name}<small>{*meaning}</small></th>
                    <td class="num">{value}</td>
                    <td class="num">{adds}</td>
                </tr>
            }
        })
        .collect();
    view! {
        <table class="factor-table">
            <caption>{text::factors::CAPTION}</caption>
            <thead><tr>
                <th scope="col">{text::factors::FACTOR}</th>
                <th scope="col" class="num">{text::factors::VALUE}</th>
                <th scope="col" class="num">{text::factors::ADDS}</th>
            </tr></thead>
            <tbody>{rows}</tbody>
            <tfoot><tr>
                <th scope="row">{text::factors::PRICE}</th>
                <td></td>
                <td class="num">{format::amount_only(price)}</td>
            </tr></tfoot>
        </table>
    }
}

/// A page's frame: its question as the heading.
#[component]
pub(crate) fn PageFrame(page: crate::route::Page, children: Children) -> impl IntoView {
    let id = format!("page-{}", page.slug());
    let heading = format!("heading-{}", page.slug());
    let labelled_by = heading.clone();
    view! {
        <section class=id.clone() data-testid=id aria-labelledby=labelled_by>
            <h1 id=heading tabindex="-1">{text::heading(page)}</h1>
            {children()}
        </section>
    }
}

/// Before anything leaves the device the page says who can read it, and lets the person choose.
#[component]
pub(crate) fn Privacy(id: &'static str, members: fn(&str) -> String, anyone: &'static str) -> impl IntoView {
    let app = use_app();
    let scope = move || app.prefs.with(|prefs| prefs.scope);
    let sentence = move || match scope() {
        Scope::Anyone => anyone.to_owned(),
        Scope::Device | Scope::Own | Scope::Group => members(app.group_name()),
    };
    let choose = move |value: String| {
        let scope = if value == "anyone" {
            Scope::Anyone
        } else {
            Scope::Group
        };
        app.choose(|prefs| prefs.scope = scope);
    };
    view! {
        <div class="privacy">
            <p id=id class="hint">{sentence}</p>
            <label>
                <span>{text::SCOPE}</span>
                <select data-testid=format!("{id}-scope") on:change:target=move |event| choose(event.target().value())>
                    <option value="group" selected=move || scope() != Scope::Anyone>{move || app.group_name()}</option>
                    <option value="anyone" selected=move || scope() == Scope::Anyone>{text::SCOPE_ANYONE}</option>
                </select>
            </label>
        </div>
    }
}
