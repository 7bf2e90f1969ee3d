//! Whether this browser computes rightly, and how fast: by the samples of a site's own modules.

use computation::catalogue::{Catalogue, Listed};
use computation::protocol::Reply;
use computation::{Ending, Failure, Limits, Prepared};
use js_sys::Uint8Array;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{DedicatedWorkerGlobalScope, Response};

/// Longest `/modules/modules.json`.
const LIST_BYTES_MAX: usize = 256 * 1024;

/// Computes each sample, compares what comes out, and measures.
pub(crate) async fn measure(scope: &DedicatedWorkerGlobalScope, site: &str) -> Reply {
    samples(scope, site).await.unwrap_or_else(|reply| reply)
}

async fn samples(scope: &DedicatedWorkerGlobalScope, site: &str) -> Result<Reply, Reply> {
    let list = fetch(scope, &format!("{site}/modules/modules.json"), LIST_BYTES_MAX).await?;
    let list = String::from_utf8(list).ok();
    let list = list.and_then(|json| Catalogue::read(&json));
    let list = list.ok_or_else(|| unmeasured("the site's list of modules cannot be read"))?;
    let (mut fuel, mut ms) = (0, 0.0);
    for listed in &list.modules {
        let url = format!("{site}/modules/{}.wasm", listed.name);
        let module = fetch(scope, &url, Limits::default().module_bytes_max).await?;
        if blob::name_of(&module) != listed.blob {
            return Err(unmeasured(&format!(
                "{url} has another content than the list says"
            )));
        }
        ms += compute(scope, listed, &module)?;
        fuel += listed.fuel;
    }
    // Fuel of samples is far below 2^53. A browser's clock may be as coarse as a millisecond.
    let units_per_second = (fuel as f64 / ms.max(1.0) * 1_000.0) as u64;
    Ok(Reply::Measured { units_per_second })
}

/// Computes a sample twice, and gives the milliseconds of the second time: during the first the browser compiles for speed.
fn compute(scope: &DedicatedWorkerGlobalScope, listed: &Listed, module: &[u8]) -> Result<f64, Reply> {
    let wrong = || Reply::Miscomputed {
        module: listed.name.clone(),
    };
    let clock = || {
        scope
            .performance()
            .map_or_else(js_sys::Date::now, |clock| clock.now())
    };
    let prepared = Prepared::new(module, Limits::default()).map_err(|failure| match failure {
        Failure::Machine(reason) => unmeasured(&reason),
        _ => wrong(),
    })?;
    let mut took_ms = 0.0;
    for _ in 0..2 {
        let since = clock();
        let outcome = prepared.run(&listed.sample, listed.fuel);
        took_ms = clock() - since;
        match outcome.ending {
            Ending::Output(output)
                if outcome.fuel_used == listed.fuel && blob::name_of(&output) == listed.output => {}
            Ending::Failed(Failure::Machine(reason)) => return Err(unmeasured(&reason)),
            Ending::Output(_) | Ending::Failed(_) => return Err(wrong()),
        }
    }
    Ok(took_ms)
}

async fn fetch(scope: &DedicatedWorkerGlobalScope, url: &str, bytes_max: usize) -> Result<Vec<u8>, Reply> {
    let failed = |_: JsValue| unmeasured(&format!("{url} cannot be had"));
    let response = JsFuture::from(scope.fetch_with_str(url)).await.map_err(failed)?;
    let response: Response = response.dyn_into().map_err(failed)?;
    if !response.ok() {
        return Err(unmeasured(&format!(
            "{url} answers with status {}",
            response.status()
        )));
    }
    let body = response.array_buffer().map_err(failed)?;
    let bytes = Uint8Array::new(&JsFuture::from(body).await.map_err(failed)?);
    if bytes.length() as usize > bytes_max {
        return Err(unmeasured(&format!("{url} is longer than {bytes_max} bytes")));
    }
    Ok(bytes.to_vec())
}

fn unmeasured(reason: &str) -> Reply {
    Reply::Unmeasured {
        reason: reason.to_owned(),
    }
}
