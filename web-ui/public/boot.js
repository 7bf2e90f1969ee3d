// Loads the program that the build named in this script's attributes. A file of its own, so that the page needs no inline script.
const { js, wasm } = document.querySelector("script[data-js]").dataset;

// What a first visit does without is a module of its own, which the program asks for when it runs.
// It is begun once, whoever asks first: a second beginning would take the first one's memory away.
let begun;
const begin = async () => {
  const module = await import("/worker/library_module.js");
  await module.default();
  return module;
};
const later = () =>
  (begun ??= begin().catch((error) => {
    begun = undefined;
    throw error;
  }));
globalThis.openLibrary = async () => (await later()).openLibrary();
globalThis.qrCode = async (text) => (await later()).qrCode(text);

try {
  const { default: init } = await import(js);
  await init({ module_or_path: wasm });
} catch (error) {
  const state = document.getElementById("boot-state");
  if (state) {
    document.getElementById("shell").dataset.state = "failed";
    state.textContent = `The page could not start: ${error.message}. Reload it, or try a current version of Firefox or Chromium.`;
  }
  throw error;
}
