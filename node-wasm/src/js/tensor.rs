//! Tensors as JavaScript has them: `{type, dims, data}` with a typed array.

use inference::data::{Data, Element};
use inference::limits;
use inference::own::{NamedTensor, check_tensors};
use js_sys::{Array, BigInt64Array, Float32Array, Int8Array, Int32Array, Object, Reflect, Uint8Array};
use wasm_bindgen::{JsCast, JsValue};

use super::convert::{error, set};
use super::input::INVALID;
use crate::platform::property;

/// Reads `{name: tensor}`. What is too large is refused before it is copied.
pub(super) fn read_all(inputs: &JsValue) -> Result<Vec<NamedTensor>, JsValue> {
    let inputs = inputs
        .dyn_ref::<Object>()
        .ok_or_else(|| error(INVALID, &"the tensors must be an object of name and tensor"))?;
    let names = Object::keys(inputs);
    if names.length() as usize > limits::PORTS_MAX {
        return Err(error(INVALID, &"there are too many tensors"));
    }
    let mut bytes = 0_usize;
    let mut tensors = Vec::new();
    for name in names.iter().filter_map(|name| name.as_string()) {
        let value = Reflect::get(inputs, &JsValue::from_str(&name))?;
        let refuse = |problem: &str| error(INVALID, &format!("tensor {name:?} {problem}"));
        let data = property(&value, "data").ok_or_else(|| refuse("has no data"))?;
        let length = property(&data, "byteLength").and_then(|length| length.as_f64());
        bytes = bytes.saturating_add(length.unwrap_or(0.0) as usize);
        if bytes > limits::RUN_BYTES_MAX {
            return Err(refuse(&format!(
                "is too large: all together may have {} bytes",
                limits::RUN_BYTES_MAX
            )));
        }
        let kind = property(&value, "type").and_then(|kind| kind.as_string());
        let data = elements(&data, kind.as_deref())
            .ok_or_else(|| refuse("has data of an unknown kind, or of another one than its type says"))?;
        let dims = property(&value, "dims").and_then(|dims| shape(&dims));
        let dims = dims.ok_or_else(|| refuse("has no dims: an array of whole numbers"))?;
        tensors.push(NamedTensor { name, dims, data });
    }
    check_tensors(&tensors).map_err(|reason| error(INVALID, &reason))?;
    Ok(tensors)
}

/// `{name: tensor}`.
pub(super) fn write_all(tensors: Vec<NamedTensor>) -> JsValue {
    let object = Object::new();
    for NamedTensor { name, dims, data } in tensors {
        let tensor = Object::new();
        let kind = data.element().to_string();
        set(&tensor, "type", &JsValue::from_str(&kind));
        // Sizes of tensors in memory are exact as floats.
        let dims: Array = dims.iter().map(|&size| JsValue::from_f64(size as f64)).collect();
        set(&tensor, "dims", &dims);
        let data: JsValue = match data {
            Data::F32(values) => Float32Array::from(values.as_slice()).into(),
            Data::I64(values) => BigInt64Array::from(values.as_slice()).into(),
            Data::I32(values) => Int32Array::from(values.as_slice()).into(),
            Data::I8(values) => Int8Array::from(values.as_slice()).into(),
            Data::U8(values) => Uint8Array::from(values.as_slice()).into(),
            Data::Bool(values) => {
                let bytes: Vec<u8> = values.into_iter().map(u8::from).collect();
                Uint8Array::from(bytes.as_slice()).into()
            }
        };
        set(&tensor, "data", &data);
        set(&object, &name, &tensor);
    }
    object.into()
}

/// The elements of a typed array, if that agrees with the type that is said.
fn elements(array: &JsValue, kind: Option<&str>) -> Option<Data> {
    let data = if let Some(values) = array.dyn_ref::<Float32Array>() {
        Data::F32(values.to_vec())
    } else if let Some(values) = array.dyn_ref::<BigInt64Array>() {
        Data::I64(values.to_vec())
    } else if let Some(values) = array.dyn_ref::<Int32Array>() {
        Data::I32(values.to_vec())
    } else if let Some(values) = array.dyn_ref::<Int8Array>() {
        Data::I8(values.to_vec())
    } else {
        let values = array.dyn_ref::<Uint8Array>()?.to_vec();
        if kind == Some("bool") {
            Data::Bool(values.into_iter().map(|value| value != 0).collect())
        } else {
            Data::U8(values)
        }
    };
    let element: Element = data.element();
    kind.is_none_or(|kind| kind == element.to_string())
        .then_some(data)
}

fn shape(dims: &JsValue) -> Option<Vec<usize>> {
    let dims = dims.dyn_ref::<Array>()?;
    if dims.length() as usize > limits::TENSOR_RANK_MAX {
        return None;
    }
    let size = |size: JsValue| {
        let size = size.as_f64()?;
        // Whole, and small enough to be exact.
        (size.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&size)).then_some(size as usize)
    };
    dims.iter().map(size).collect()
}
