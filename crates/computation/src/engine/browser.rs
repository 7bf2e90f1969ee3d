//! The browser's own engine, called without waiting: in a worker, where that is allowed for modules of any size.

use js_sys::{BigInt, Error, Function, JsString, Object, Reflect, Uint8Array, WebAssembly};
use wasm_bindgen::{JsCast, JsValue};

use crate::instrument::{FUEL, STOP};
use crate::outcome::Trap;

use super::{Halt, Instance};

/// A module that is ready to be instantiated.
pub(crate) struct Compiled {
    module: WebAssembly::Module,
}

impl Compiled {
    pub(crate) fn new(wasm: &[u8]) -> Result<Self, Halt> {
        let module = WebAssembly::Module::new(&Uint8Array::from(wasm)).map_err(machine)?;
        Ok(Self { module })
    }

    pub(crate) fn instantiate(&self) -> Result<impl Instance + use<>, Halt> {
        let instance = WebAssembly::Instance::new(&self.module, &Object::new()).map_err(machine)?;
        let exports = instance.exports();
        Ok(Compiling {
            memory: export(&exports, "memory")?,
            fuel: export(&exports, FUEL)?,
            stop: export(&exports, STOP)?,
            alloc: export(&exports, "alloc")?,
            run: export(&exports, "run")?,
        })
    }
}

struct Compiling {
    memory: WebAssembly::Memory,
    fuel: WebAssembly::Global,
    stop: WebAssembly::Global,
    alloc: Function,
    run: Function,
}

impl Compiling {
    /// A view of the memory as it is now: one from before it grew sees nothing.
    fn bytes(&self) -> Uint8Array {
        Uint8Array::new(&self.memory.buffer())
    }
}

impl Instance for Compiling {
    fn set_fuel(&mut self, units: i64) -> Result<(), Halt> {
        Reflect::set(&self.fuel, &"value".into(), &BigInt::from(units)).map_err(machine)?;
        Ok(())
    }

    fn fuel(&mut self) -> Result<i64, Halt> {
        integer(self.fuel.value())
    }

    fn stop(&mut self) -> Result<i32, Halt> {
        number(&self.stop.value())
    }

    fn alloc(&mut self, length: u32) -> Result<u32, Halt> {
        let place = self.alloc.call1(&JsValue::NULL, &length.into()).map_err(halt)?;
        // JavaScript sees 32 bits with a sign.
        Ok(number(&place)?.cast_unsigned())
    }

    fn run(&mut self, place: u32, length: u32) -> Result<i64, Halt> {
        let result = self.run.call2(&JsValue::NULL, &place.into(), &length.into());
        integer(result.map_err(halt)?)
    }

    fn memory_bytes(&mut self) -> Result<usize, Halt> {
        Ok(self.bytes().length() as usize)
    }

    fn write(&mut self, place: usize, bytes: &[u8]) -> Result<(), Halt> {
        self.view(place, bytes.len()).copy_from(bytes);
        Ok(())
    }

    fn read(&mut self, place: usize, length: usize) -> Result<Vec<u8>, Halt> {
        Ok(self.view(place, length).to_vec())
    }
}

impl Compiling {
    /// What the caller has compared with the length of the memory.
    fn view(&self, place: usize, length: usize) -> Uint8Array {
        let (from, to) = (place as u32, (place + length) as u32);
        self.bytes().subarray(from, to)
    }
}

fn export<T: JsCast>(exports: &Object, name: &str) -> Result<T, Halt> {
    let export = Reflect::get(exports, &name.into()).map_err(machine)?;
    export
        .dyn_into()
        .map_err(|_| Halt::Machine("the meters are not there".into()))
}

fn integer(value: JsValue) -> Result<i64, Halt> {
    i64::try_from(value).map_err(|_| Halt::Machine("this is no whole number".into()))
}

fn number(value: &JsValue) -> Result<i32, Halt> {
    // WebAssembly gives 32 bits.
    value
        .as_f64()
        .map(|number| number as i32)
        .ok_or_else(|| Halt::Machine("this is no number".into()))
}

/// What a call threw: a trap, or something that the engine ran out of.
fn halt(thrown: JsValue) -> Halt {
    if !thrown.is_instance_of::<WebAssembly::RuntimeError>() {
        return machine(thrown);
    }
    let message = String::from(thrown.unchecked_ref::<Error>().message()).to_lowercase();
    Halt::Trap(kind(&message))
}

/// The kind of a trap by its message, which is V8's, SpiderMonkey's or JavaScriptCore's. For people only: no outcome depends on it.
fn kind(message: &str) -> Trap {
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    if has(&["unreachable"]) {
        Trap::Unreachable
    } else if has(&[
        "signature",
        "null function",
        "indirect call",
        "call_indirect",
        "function pointer",
    ]) {
        Trap::IndirectCall
    } else if has(&["divide by zero", "division by zero", "remainder by zero"]) {
        Trap::DivisionByZero
    } else if has(&["overflow", "unrepresentable", "truncat"]) {
        Trap::IntegerOverflow
    } else if has(&["bounds"]) {
        Trap::OutOfBounds
    } else {
        Trap::Other
    }
}

fn machine(thrown: JsValue) -> Halt {
    let text = thrown
        .dyn_ref::<Error>()
        .map_or_else(|| JsString::from("it gives no reason"), Error::message);
    Halt::Machine(text.into())
}
