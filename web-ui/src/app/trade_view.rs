//! A trade on the Ask page: its lines while it runs, its answer, and every number behind it.

use leptos::prelude::*;
use node_proto::view::{Outcome, Verification};

use super::ask::Answer;
use super::library::Hit;
use super::parts::{FactorBar, FactorTable, Peer};
use super::state::use_app;
use crate::text::ask as words;
use crate::trade::{Line, Mark};
use crate::{format, text};

/// Passages that are shown at once.
const SHOWN: usize = 5;

/// One line per step.
#[component]
pub(crate) fn Steps() -> impl IntoView {
    let app = use_app();
    let lines = Memo::new(move |_| {
        app.run.with(|run| {
            run.as_ref()
                .map(|run| run.trade.lines().to_vec())
                .unwrap_or_default()
        })
    });
    let count = Memo::new(move |_| lines.with(Vec::len));
    let line = move |index: usize| Memo::new(move |_| lines.with(|lines| lines.get(index).cloned()));
    view! {
        <ol class="step-list">
            <For each=move || 0..count.get() key=|index| *index let:index>
                <StepLine line=line(index)/>
            </For>
        </ol>
    }
}

#[component]
fn StepLine(line: Memo<Option<Line>>) -> impl IntoView {
    let class = move || match line.get().map(|line| line.mark) {
        Some(Mark::Running) => "step running",
        Some(Mark::Failed) => "step failed",
        Some(Mark::Done) | None => "step done",
    };
    view! {
        <li class=class data-testid="step" data-step=move || line.get().map(|line| line.stage.slug())>
            <span class="step-mark" aria-hidden="true"></span>
            <span>{move || line.get().map(|line| line.text)}</span>
        </li>
    }
}

/// The closest passages, who found them, and what it cost.
#[component]
pub(crate) fn AnswerView(answer: Answer) -> impl IntoView {
    let app = use_app();
    let Answer {
        hits,
        recalled,
        outcome,
    } = answer;
    let is_kept = matches!(outcome.verification, Verification::Kept { .. });
    let by = if is_kept { words::kept_by } else { words::by };
    let by = by(
        &app.name(outcome.provider),
        &format::duration(u64::from(outcome.took_ms)),
        &format::credits(outcome.price),
    );
    let check = text::verification(&outcome.verification);
    let (first, rest) = hits.split_at(hits.len().min(SHOWN));
    let items = |hits: &[Hit]| {
        hits.iter()
            .cloned()
            .map(|hit| view! { <ResultItem hit/> })
            .collect::<Vec<_>>()
    };
    let rest_items = items(rest);
    view! {
        <section class="answer" data-testid="answer" data-state="done" aria-labelledby="answer-heading">
            <h2 id="answer-heading">{words::ANSWER}</h2>
            <ol class="results">{items(first)}</ol>
            {(!rest.is_empty()).then(|| view! {
                <details class="more">
                    <summary>{words::more(rest.len())}</summary>
                    <ol class="results" start=(SHOWN + 1).to_string()>{rest_items}</ol>
                </details>
            })}
            <p class="answer-by">
                <span class=format!("badge {}", badge(&outcome.verification))>{check}</span>
                {by}
            </p>
            {(recalled > 0).then(|| view! { <p class="hint">{words::recalled(recalled)}</p> })}
            <TradeDetails outcome/>
        </section>
    }
}

#[component]
fn ResultItem(hit: Hit) -> impl IntoView {
    let score = hit.score;
    let source = words::source(&hit.title, hit.number, &hit.context);
    view! {
        <li data-testid="result" data-score=format!("{score:.4}")>
            <p class="result-text">{hit.text}</p>
            <p class="result-facts" title=words::SCORE_HINT>
                <meter min="0" max="1" value=format!("{:.3}", score.clamp(0.0, 1.0)) aria-hidden="true"></meter>
                <span class="num">{format::similarity(score)}</span>
                <span>{source}</span>
            </p>
        </li>
    }
}

/// The check's name in test ids and classes.
const fn verdict(verification: &Verification) -> &'static str {
    match verification {
        Verification::Unchecked => "unchecked",
        Verification::SpotChecked { .. } => "spot-checked",
        Verification::TwoAgree { .. } => "two-agree",
        Verification::Kept { .. } => "kept",
        Verification::Proved { .. } => "spot-checked",
        Verification::Wrong { .. } => "failed",
    }
}

/// The check's colour: one signer's word is no check.
const fn badge(verification: &Verification) -> &'static str {
    match verification {
        Verification::Kept { signers: 0 | 1, .. } => "unchecked",
        other => verdict(other),
    }
}

#[component]
fn TradeDetails(outcome: Outcome) -> impl IntoView {
    let Outcome {
        provider,
        model,
        backend,
        price,
        factors,
        verification,
        receipt,
        took_ms,
        ..
    } = outcome;
    let signed = if receipt.fully_signed {
        words::FULLY_SIGNED
    } else {
        words::HALF_SIGNED
    };
    let app = use_app();
    let model_name = model.map(|id| {
        let known = app.status.with_untracked(|status| {
            let models = status
                .as_ref()
                .map(|status| status.models.as_slice())
                .unwrap_or_default();
            models
                .iter()
                .find(|model| model.id == id)
                .map(|model| model.name.clone())
        });
        let hash = format::short_hash(&id);
        (
            known.map_or_else(|| hash.clone(), |name| format!("{name} ({hash})")),
            id.to_string(),
        )
    });
    view! {
        <details class="trade" data-testid="trade">
            <summary>{words::SHOW_TRADE}</summary>
            <dl class="facts">
                <div><dt>{words::FACT_PRICE}</dt>
                    <dd data-testid="trade-price" data-millicredits=price.0>{format::credits(price)}</dd></div>
                <div><dt>{words::FACT_PROVIDER}</dt>
                    <dd data-testid="trade-provider" data-peer=provider.to_string()><Peer id=provider/></dd></div>
                <div><dt>{words::FACT_TIME}</dt>
                    <dd data-testid="trade-time" data-ms=took_ms>{words::total_time(&format::duration(u64::from(took_ms)))}</dd></div>
                <div><dt>{words::FACT_CHECK}</dt>
                    <dd data-testid="trade-verification" data-verdict=verdict(&verification)>
                        {text::verification(&verification)}<small>{text::verification_detail(&verification, receipt.at)}</small>
                    </dd></div>
                {backend.map(|backend| view! {
                    <div><dt>{words::FACT_BACKEND}</dt>
                        <dd data-testid="trade-backend" data-backend=backend.clone()>
                            {text::node::backend(&backend)}<small>{words::BACKEND_HINT}</small>
                        </dd></div>
                })}
                {model_name.map(|(name, id)| view! {
                    <div><dt>{words::FACT_MODEL}</dt><dd title=id>{name}</dd></div>
                })}
                <div><dt>{words::FACT_RECEIPT}</dt>
                    <dd data-testid="trade-receipt" data-receipt=receipt.id.to_string() title=receipt.id.to_string()>
                        <code>{format::short_hash(&receipt.id)}</code><small>{signed}</small>
                    </dd></div>
            </dl>
            <FactorBar factors/>
            <FactorTable factors price/>
        </details>
    }
}
