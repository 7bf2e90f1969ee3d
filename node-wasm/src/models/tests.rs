//! With real workers whose script is missing: what matters here is how they end.

use inference::manifest::{KnownAnswer, Task};
use inference::{BackendReport, ContentHash};
use node_proto::{Config, Ed25519Signer, Group, Node};
use wasm_bindgen_test::wasm_bindgen_test;

use super::*;
use crate::clock::Clock;
use crate::own::OwnModels;
use crate::start::first_status;
use crate::status::{IdentityStatus, TemporaryReason};

const FIRST: ModelId = ModelId([1; 32]);
const SECOND: ModelId = ModelId([2; 32]);

fn file(name: u8) -> FileRef {
    FileRef {
        blake3: ContentHash([name; 32]),
        bytes: 1,
    }
}

fn manifest(model: ModelId) -> ModelManifest {
    ModelManifest {
        name: "test".to_owned(),
        license: "MIT".to_owned(),
        task: Task::Embed,
        tier: ModelTier::Standard,
        precision: "f32".to_owned(),
        dimension: 1,
        max_tokens: 8,
        onnx: file(model.0[0]),
        tokenizer: file(9),
        known_answer: KnownAnswer {
            texts: vec!["a".to_owned()],
            embeddings: vec![vec![1.0]],
            cosine_min: 0.9,
        },
        source: String::new(),
    }
}

fn report(model: ModelId, chosen: Backend) -> LoadReport {
    LoadReport {
        model: engine_id(model),
        backends: Vec::new(),
        chosen,
        tokens_per_second: 100.0,
        from_cache: true,
        took_ms: 1.0,
    }
}

/// Two models on offer.
async fn models() -> Models {
    let (clock, origin) = (Clock::start(), "http://127.0.0.1:1".to_owned());
    let signer = Box::new(Ed25519Signer::from_secret(&[1; 32]));
    let node = Node::new(
        Config::default(),
        signer,
        Group::open(),
        1,
        clock.now(),
        Vec::new(),
    )
    .unwrap();
    let identity = IdentityStatus::Temporary {
        reason: TemporaryReason::NoStorage,
    };
    let status = first_status(&node, &origin, identity);
    let own = OwnModels::kept(origin.clone(), None, 0).await;
    let (shared, _) = Shared::new(node, status, clock, None, own);
    let mut models = Models::new(shared, origin);
    models.set_index(Ok(ModelIndex {
        models: vec![manifest(FIRST), manifest(SECOND)],
    }));
    models
}

/// Begins a load and ends it with this.
fn load(models: &mut Models, model: ModelId, result: Result<LoadReport, EngineError>) {
    drop(models.load(model, None, HeldFiles::default()).unwrap());
    models.loaded(model, &result, None);
}

fn tries_gpu(models: &mut Models, model: ModelId) -> bool {
    drop(models.load(model, None, HeldFiles::default()).unwrap());
    models.loading.get(&model).unwrap().tries_gpu
}

fn kill(models: &Models) {
    models.engine.as_ref().unwrap().terminate();
}

#[wasm_bindgen_test]
async fn what_died_with_a_worker_is_woken_although_another_took_its_place() {
    let mut models = models().await;
    load(&mut models, FIRST, Ok(report(FIRST, Backend::Cpu)));
    assert!(models.revive().is_empty());
    kill(&models);
    // Nobody has noticed yet when a second model is loaded.
    load(&mut models, SECOND, Ok(report(SECOND, Backend::Cpu)));
    assert!(models.is_asleep(&FIRST) && !models.is_asleep(&SECOND));
    assert_eq!(models.revive(), [FIRST]);
    assert!(models.revive().is_empty());
}

#[wasm_bindgen_test]
async fn after_a_gpu_took_a_worker_with_it_its_model_is_woken_on_the_processor() {
    let mut models = models().await;
    load(&mut models, FIRST, Ok(report(FIRST, Backend::Webgpu)));
    kill(&models);
    assert_eq!(models.revive(), [FIRST]);
    assert!(!tries_gpu(&mut models, FIRST));
}

#[wasm_bindgen_test]
async fn a_model_that_cannot_be_woken_on_a_gpu_is_woken_on_the_processor() {
    let none = EngineError::NoBackend(Vec::<BackendReport>::new());
    let mut models = models().await;
    load(&mut models, FIRST, Ok(report(FIRST, Backend::Webgpu)));
    models.rest();
    assert!(tries_gpu(&mut models, FIRST));
    assert!(models.sleeps_on(FIRST, &none));
    assert!(models.is_asleep(&FIRST));
    assert!(!tries_gpu(&mut models, FIRST));
    // Where the processor fails too, it is the model's own failure.
    assert!(!models.sleeps_on(FIRST, &none));
    assert!(
        models.sleeps_on(FIRST, &EngineError::Terminated),
        "its worker's, not its own"
    );
    // Of one that never ran, a person wants to know why.
    drop(models.load(SECOND, None, HeldFiles::default()).unwrap());
    assert!(!models.sleeps_on(SECOND, &EngineError::Terminated));
}
