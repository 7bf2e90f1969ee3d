// Runs a metered module on V8: node v8.mjs <module.wasm> <input> <fuel>
// Prints `<ending> <fuel left>` and, behind the line, the output or the message.
import { readFileSync, writeSync } from 'node:fs'

const OUTPUT_BYTES_MAX = 16 * 1024 * 1024
const MESSAGE_BYTES_MAX = 1024

const [wasm, inputFile, fuel] = process.argv.slice(2)
const { exports } = new WebAssembly.Instance(new WebAssembly.Module(readFileSync(wasm)))
const input = readFileSync(inputFile)

function compute () {
  const place = exports.alloc(input.length) >>> 0
  if (place + input.length > exports.memory.buffer.byteLength) return ['elsewhere']
  new Uint8Array(exports.memory.buffer, place, input.length).set(input)
  const result = BigInt.asUintN(64, exports.run(place, input.length))
  const isMessage = result >> 63n === 1n
  const [from, length] = [Number((result >> 32n) & 0x7fffffffn), Number(result & 0xffffffffn)]
  if (length > (isMessage ? MESSAGE_BYTES_MAX : OUTPUT_BYTES_MAX)) return ['too-long']
  if (from + length > exports.memory.buffer.byteLength) return ['elsewhere']
  return [isMessage ? 'refused' : 'output', new Uint8Array(exports.memory.buffer, from, length)]
}

exports.fuel.value = BigInt(fuel)
let ending
try {
  ending = compute()
} catch (error) {
  if (!(error instanceof WebAssembly.RuntimeError)) throw error
  ending = [`stopped-${exports.stop.value}`]
}
// Code may run a little beyond its fuel before it is stopped.
if (exports.fuel.value < 0n) ending = ['stopped-1']
const [name, bytes = new Uint8Array()] = ending
writeSync(1, Buffer.concat([Buffer.from(`${name} ${exports.fuel.value}\n`), bytes]))
