// Runs a metered module on V8: node v8.mjs <module.wasm> <input> <fuel>
// Prints `<ending> <fuel left>` and, behind the line, the output or the message.
import { readFileSync, writeSync } from 'node:fs'

const [wasm, inputFile, fuel] = process.argv.slice(2)
const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(wasm)))
const input = readFileSync(inputFile)
const say = (ending, bytes = new Uint8Array()) => {
  writeSync(1, Buffer.concat([Buffer.from(`${ending} ${exports.fuel.value}\n`), bytes]))
}

exports.fuel.value = BigInt(fuel)
let result
try {
  const place = exports.alloc(input.length) >>> 0
  new Uint8Array(exports.memory.buffer, place, input.length).set(input)
  result = BigInt.asUintN(64, exports.run(place, input.length))
} catch (error) {
  if (!(error instanceof WebAssembly.RuntimeError)) throw error
}
if (result === undefined || exports.fuel.value < 0n) {
  say(exports.fuel.value < 0n ? 'stopped' : `trapped-${exports.stop.value}`)
} else {
  const place = Number((result >> 32n) & 0x7fffffffn)
  const bytes = new Uint8Array(exports.memory.buffer, place, Number(result & 0xffffffffn))
  say(result >> 63n ? 'refused' : 'output', bytes)
}
