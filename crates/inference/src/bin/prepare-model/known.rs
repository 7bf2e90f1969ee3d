//! The known answer: what a correct backend computes for a fixed set of texts.

use anyhow::{Result, anyhow};
use futures::executor::block_on;
use inference::KnownAnswer;
use inference::backend::tract::TractBackend;
use inference::check::embed_tokens;
use inference::tokens::TextTokenizer;

/// Short texts, shortest first, none beyond 32 tokens, so that a slow backend can be checked too. They look like what
/// people ask, so that one hidden in a batch does not stand out.
const TEXTS: [&str; 16] = [
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
];

/// The least cosine that a backend must reach. f32 backends are within 1e-6; int8 ones are within 1e-2 and would be
/// models, and manifests, of their own.
const COSINE_MIN: f32 = 0.999;

pub(crate) fn compute(
    onnx: Vec<u8>,
    tokenizer: &[u8],
    dimension: usize,
    max_tokens: usize,
) -> Result<KnownAnswer> {
    let tokenizer = TextTokenizer::from_json(tokenizer, max_tokens)?;
    let mut backend = TractBackend::prepare(bytes::Bytes::from(onnx), dimension)?;
    let mut embed = |text: &str| {
        let tokens = tokenizer.encode(text)?;
        block_on(embed_tokens(&mut backend, &tokens, dimension)).map_err(|error| anyhow!(error))
    };
    let embeddings = TEXTS.iter().map(|text| embed(text)).collect::<Result<Vec<_>>>()?;
    Ok(KnownAnswer { texts: TEXTS.map(str::to_owned).to_vec(), embeddings, cosine_min: COSINE_MIN })
}
