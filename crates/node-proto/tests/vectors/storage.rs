//! Storage: what is asked of whoever is to keep a blob, and what it answers.

use node_proto::verification::storage::{BLOCK_BYTES, Question, answer};
use node_proto::wire::{Demand, Request, Response, Signed};
use node_proto::{AgreementId, Hash, ModelId, WorkInput, WorkOutput};
use serde_json::{Value, json};

use crate::frames::TAG;
use crate::meaning::{self, bytes, kind};
use crate::objects;

pub(crate) fn room_wanted() -> Demand {
    Demand {
        service: 2,
        model: Some(ModelId([6; 32])),
        items: 1,
        tokens: 24 * 30,
        head: None,
        bytes: Some(30_000),
        ..objects::demand()
    }
}

/// A blob to keep for a day, with one question.
pub(crate) fn keep() -> WorkInput {
    WorkInput::Keep {
        blob: Hash([6; 32]),
        bytes: 30_000,
        hours: 24,
        questions: vec![Question {
            block: 1,
            nonce: [9; 32],
        }],
        answers: Vec::new(),
    }
}

/// The bytes of the block that the question is about: what is left of the blob behind the first.
pub(crate) fn blob_block() -> Vec<u8> {
    vec![3; 30_000 - BLOCK_BYTES]
}

pub(crate) fn held() -> WorkOutput {
    let blob = vec![3; 30_000];
    let WorkInput::Keep { questions, .. } = keep() else {
        unreachable!()
    };
    WorkOutput::Held {
        answers: questions
            .iter()
            .filter_map(|question| answer(question, &blob))
            .collect(),
    }
}

pub(crate) fn demand() -> (Request, Value) {
    (
        Request::RequestProposal {
            tag: TAG,
            demand: room_wanted(),
        },
        kind(
            3,
            "RequestProposal",
            json!([
                ["tag", bytes(&TAG.0)],
                ["demand", meaning::demand(&room_wanted())]
            ]),
        ),
    )
}

pub(crate) fn execute() -> (Request, Value) {
    (
        Request::Execute {
            agreement: AgreementId([2; 32]),
            input: keep(),
        },
        kind(
            6,
            "Execute",
            json!([
                ["agreement", bytes(&[2; 32])],
                [
                    "input",
                    kind(
                        3,
                        "Keep",
                        json!([
                            ["blob", bytes(&[6; 32])],
                            ["bytes", 30_000],
                            ["hours", 24],
                            ["questions", [[["block", 1], ["nonce", bytes(&[9; 32])]]]],
                        ])
                    )
                ]
            ]),
        ),
    )
}

pub(crate) fn result(head: &Signed) -> (Response, Value) {
    (
        Response::Result {
            head: head.clone(),
            output: held(),
            partial: None,
        },
        kind(
            6,
            "Result",
            json!([
                ["head", meaning::signed(head)],
                ["output", kind(3, "Held", json!([["answers", held_answers()]]))],
            ]),
        ),
    )
}

fn held_answers() -> Value {
    let WorkOutput::Held { answers } = held() else {
        unreachable!()
    };
    meaning::hashes(&answers)
}
