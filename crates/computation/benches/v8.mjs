// Times a module on V8, as it is and with its meters, turn by turn: node v8.mjs <plain.wasm> <metered.wasm> <input>
// Prints the medians in milliseconds of the runs behind the first three, which the engine uses to optimise.
import { readFileSync } from 'node:fs'

const [plain, metered, input] = process.argv.slice(2).map((file) => readFileSync(file))
const modules = [plain, metered].map((wasm) => new WebAssembly.Module(wasm))

function time (module) {
  const { exports } = new WebAssembly.Instance(module)
  if (exports.fuel) exports.fuel.value = 1n << 36n
  const place = exports.alloc(input.length)
  new Uint8Array(exports.memory.buffer, place, input.length).set(input)
  const started = performance.now()
  exports.run(place, input.length)
  return performance.now() - started
}

const times = [[], []]
for (let round = 0; round < 18; round++) {
  for (const [index, module] of modules.entries()) {
    const milliseconds = time(module)
    if (round >= 3) times[index].push(milliseconds)
  }
}
console.log(times.map((list) => list.sort((a, b) => a - b)[list.length >> 1].toFixed(3)).join(' '))
