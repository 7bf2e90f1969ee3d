//! How much each member of a private group may owe this device, as its owner sets it.

use leptos::prelude::*;
use node_proto::ids::{Millicredits, NodeId};
use node_proto::io::{Command, Line};
use node_proto::view::CreditView;

use super::parts::Peer;
use super::state::use_app;
use crate::format;
use crate::text::credit as words;

/// What a new limit begins with, in millicredits.
const FIRST_LIMIT: Millicredits = Millicredits(10_000);

/// The section; nothing in the open group, where other rules hold.
#[component]
pub(crate) fn CreditLines() -> impl IntoView {
    let app = use_app();
    let group = app.part(|snapshot| snapshot.group.clone());
    let peers = app.peers();
    let members = Memo::new(move |_| {
        peers.with(|peers| {
            let concerned = peers.iter().filter(|peer| {
                let credit = peer.credit.as_ref();
                peer.member || credit.is_some_and(|c| c.owed.0 != 0 || c.line != Line::Default)
            });
            concerned.map(|peer| peer.id).collect::<Vec<_>>()
        })
    });
    let credit_of = move |id: NodeId| {
        Memo::new(move |_| {
            peers.with(|peers| {
                peers
                    .iter()
                    .find(|peer| peer.id == id)
                    .and_then(|peer| peer.credit)
            })
        })
    };
    let everyone = Memo::new(move |_| {
        group.with(|group| {
            let limit = group.as_ref().filter(|group| !group.open)?.line;
            let line = limit.map_or(Line::Unlimited, |most| Line::Limit { most });
            Some(CreditView {
                owed: Millicredits::ZERO,
                line,
                limit,
            })
        })
    });
    view! {
        <Show when=move || everyone.with(Option::is_some)>
            <section class="card" data-testid="credit-lines">
                <h2 id="credit-lines-heading">{words::TITLE}</h2>
                <p class="hint">{words::HINT}</p>
                <div class="table-frame" role="region" aria-labelledby="credit-lines-heading" tabindex="0">
                    <table class="blocks">
                        <thead><tr>
                            <th scope="col">{words::WHO}</th>
                            <th scope="col">{words::OWES}</th>
                            <th scope="col">{words::MAY_OWE}</th>
                        </tr></thead>
                        <tbody>
                            <For each=move || members.get() key=|id| *id let:id>
                                <LineRow member=Some(id) credit=credit_of(id)/>
                            </For>
                            <LineRow member=None credit=everyone/>
                        </tbody>
                    </table>
                </div>
            </section>
        </Show>
    }
}

#[component]
fn LineRow(member: Option<NodeId>, credit: Memo<Option<CreditView>>) -> impl IntoView {
    let app = use_app();
    let name = member.map_or_else(|| words::EVERYONE.to_owned(), format::short_id);
    let set = move |line| app.command(Command::CreditLine { member, line });
    let line = move || credit.get().map_or(Line::Default, |credit| credit.line);
    let chosen = move || match line() {
        Line::Default => "default",
        Line::Unlimited => "unlimited",
        Line::Limit { .. } => "limit",
    };
    let choose = move |value: String| {
        set(match value.as_str() {
            "unlimited" => Line::Unlimited,
            "limit" => Line::Limit { most: FIRST_LIMIT },
            _ => Line::Default,
        })
    };
    let most = move || match line() {
        Line::Limit { most } => Some(most),
        Line::Default | Line::Unlimited => None,
    };
    let options: Vec<_> = words::CHOICES
        .into_iter()
        // Everyone is everyone's default.
        .skip(usize::from(member.is_none()))
        .map(|(value, name)| view! { <option value=value selected=move || chosen() == value>{name}</option> })
        .collect();
    let holds = move || {
        let credit = credit.get().filter(|credit| credit.line == Line::Default)?;
        Some(words::holds(credit.limit.map(format::credits).as_deref()))
    };
    let owed = move || match credit.get().map(|credit| credit.owed) {
        _ if member.is_none() => String::new(),
        Some(owed) if owed.0 < 0 => words::owed_to(&format::credits(Millicredits(-owed.0))),
        owed => format::credits(owed.unwrap_or(Millicredits::ZERO)),
    };
    view! {
        <tr data-testid="credit-line" data-peer=member.map(|id| id.to_string()) data-line=chosen
            data-owed=move || credit.get().map(|credit| credit.owed.0)>
            <th scope="row">{member.map_or_else(|| words::EVERYONE.into_any(), |id| view! { <Peer id/> }.into_any())}</th>
            <td data-label=words::OWES>{owed}</td>
            <td data-label=words::MAY_OWE>
                <select data-testid="credit-choice" aria-label=words::label(&name)
                    on:change:target=move |event| choose(event.target().value())>{options}</select>
                <small>{holds}</small>
                <span class="row" hidden=move || most().is_none()>
                    <input type="text" inputmode="decimal" class="amount" data-testid="credit-amount" maxlength="16"
                        aria-label=words::amount_label(&name)
                        prop:value=move || most().map(format::amount_only).unwrap_or_default()
                        on:change:target=move |event| {
                            let input = event.target();
                            match format::parse_credits(&input.value()) {
                                Some(most) => set(Line::Limit { most }),
                                // Back to what holds.
                                None => input.set_value(&most().map(format::amount_only).unwrap_or_default()),
                            }
                        }/>
                    <span class="hint">{words::CREDITS}</span>
                </span>
            </td>
        </tr>
    }
}
