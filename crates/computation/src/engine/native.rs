//! wasmi: an interpreter, for tests and for machines without a browser.

use wasmi::errors::ErrorKind;
use wasmi::{Config, Engine, Error, Linker, Memory, Module, Store, TrapCode, TypedFunc, Val};

use crate::instrument::{FUEL, STOP};
use crate::outcome::Trap;

use super::{Halt, Instance};

/// Bytes of the interpreter's stack: it is never the first to end, because the meters count the slots. One of theirs takes
/// eight bytes, and the interpreter's own registers at most as much again.
const STACK_BYTES: usize = 4 * 1024 * 1024;
/// Calls within calls: more than there are slots for.
const CALLS_MAX: usize = 64 * 1024;

/// A module that is ready to be instantiated.
pub(crate) struct Compiled {
    module: Module,
}

impl Compiled {
    pub(crate) fn new(wasm: &[u8]) -> Result<Self, Halt> {
        let mut config = Config::default();
        config.set_max_stack_height(STACK_BYTES);
        config.set_max_recursion_depth(CALLS_MAX);
        let module = Module::new(&Engine::new(&config), wasm).map_err(machine)?;
        Ok(Self { module })
    }

    pub(crate) fn instantiate(&self) -> Result<impl Instance + use<>, Halt> {
        let engine = self.module.engine().clone();
        let mut store = Store::new(&engine, ());
        let linker = Linker::<()>::new(&engine);
        let instance = linker
            .instantiate_and_start(&mut store, &self.module)
            .map_err(machine)?;
        let missing = || Halt::Machine("the meters are not there".into());
        Ok(Interpreted {
            memory: instance.get_memory(&store, "memory").ok_or_else(missing)?,
            fuel: instance.get_global(&store, FUEL).ok_or_else(missing)?,
            stop: instance.get_global(&store, STOP).ok_or_else(missing)?,
            alloc: instance.get_typed_func(&store, "alloc").map_err(machine)?,
            run: instance.get_typed_func(&store, "run").map_err(machine)?,
            store,
        })
    }
}

struct Interpreted {
    store: Store<()>,
    memory: Memory,
    fuel: wasmi::Global,
    stop: wasmi::Global,
    alloc: TypedFunc<u32, u32>,
    run: TypedFunc<(u32, u32), i64>,
}

impl Instance for Interpreted {
    fn set_fuel(&mut self, units: i64) -> Result<(), Halt> {
        self.fuel
            .set(&mut self.store, Val::I64(units))
            .map_err(|error| Halt::Machine(error.to_string()))
    }

    fn fuel(&mut self) -> Result<i64, Halt> {
        self.fuel
            .get(&self.store)
            .i64()
            .ok_or_else(|| Halt::Machine("the fuel is no number".into()))
    }

    fn stop(&mut self) -> Result<i32, Halt> {
        self.stop
            .get(&self.store)
            .i32()
            .ok_or_else(|| Halt::Machine("the reason is no number".into()))
    }

    fn alloc(&mut self, length: u32) -> Result<u32, Halt> {
        self.alloc.call(&mut self.store, length).map_err(halt)
    }

    fn run(&mut self, place: u32, length: u32) -> Result<i64, Halt> {
        self.run.call(&mut self.store, (place, length)).map_err(halt)
    }

    fn memory_bytes(&mut self) -> Result<usize, Halt> {
        Ok(self.memory.data_size(&self.store))
    }

    fn write(&mut self, place: usize, bytes: &[u8]) -> Result<(), Halt> {
        self.memory
            .write(&mut self.store, place, bytes)
            .map_err(|error| Halt::Machine(error.to_string()))
    }

    fn read(&mut self, place: usize, length: usize) -> Result<Vec<u8>, Halt> {
        let bytes = self.memory.data(&self.store).get(place..place + length);
        bytes
            .map(<[u8]>::to_vec)
            .ok_or_else(|| Halt::Machine("the memory became shorter".into()))
    }
}

fn halt(error: Error) -> Halt {
    let code = match error.kind() {
        ErrorKind::TrapCode(code) => *code,
        _ => return machine(error),
    };
    Halt::Trap(match code {
        TrapCode::UnreachableCodeReached => Trap::Unreachable,
        TrapCode::MemoryOutOfBounds | TrapCode::TableOutOfBounds => Trap::OutOfBounds,
        TrapCode::IndirectCallToNull | TrapCode::BadSignature => Trap::IndirectCall,
        TrapCode::IntegerDivisionByZero => Trap::DivisionByZero,
        TrapCode::IntegerOverflow | TrapCode::BadConversionToInteger => Trap::IntegerOverflow,
        // The interpreter's own ends.
        _ => return machine(error),
    })
}

fn machine(error: Error) -> Halt {
    Halt::Machine(error.to_string())
}
