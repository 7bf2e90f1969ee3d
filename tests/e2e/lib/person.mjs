// Somebody at a page: sees what is shown, clicks, types, waits. Elements are named by `data-testid`.

import { eventually } from "./suite.mjs";

const SEE_MS_MAX = 20_000;

export class Person {
  constructor(page) {
    this.page = page;
  }

  /** Every element with this test id, in document order: `{text, value, data, visible, enabled, checked}`. */
  async all(id, within = "") {
    return this.page.evaluate((selector) => {
      const describe = (element) => {
        const box = element.getBoundingClientRect();
        const visible = box.width > 0 && box.height > 0 && getComputedStyle(element).visibility !== "hidden";
        const checked = element.checked ?? element.getAttribute("aria-checked") === "true";
        const value = element.value ?? element.href;
        return { text: element.textContent.trim(), value, data: { ...element.dataset }, visible, enabled: !element.disabled, checked };
      };
      return [...document.querySelectorAll(selector)].map(describe);
    }, `${within} ${select(id)}`);
  }

  /** The first element with this test id, if there is one. */
  async find(id, within) {
    return (await this.all(id, within))[0];
  }

  /** Waits until an element is visible and, if asked, its data attributes have these values. */
  async see(id, data = {}, ms = SEE_MS_MAX) {
    const wanted = Object.entries(data);
    const what = `${id}${wanted.length ? ` with ${JSON.stringify(data)}` : ""}`;
    return eventually(
      `seeing ${what}`,
      async () => (await this.all(id)).find((element) => element.visible && wanted.every(([name, value]) => element.data[name] === String(value))),
      ms,
    );
  }

  /** Waits until some element with this test id satisfies the predicate. */
  async seeWhere(id, what, predicate, ms = SEE_MS_MAX) {
    return eventually(`seeing ${id} ${what}`, async () => (await this.all(id)).find(predicate), ms);
  }

  /** Waits until no element with this test id is visible. */
  async seeGone(id, ms = SEE_MS_MAX) {
    return eventually(`${id} going away`, async () => (await this.all(id)).every((element) => !element.visible), ms);
  }

  /** A number that an element carries as `data-<name>`. */
  async number(id, name) {
    const { data } = await this.see(id);
    const value = Number(data[name]);
    if (data[name] === undefined || !Number.isFinite(value)) throw new Error(`${id} has no number data-${name}, but ${JSON.stringify(data)}`);
    return value;
  }

  /**
   * Clicks an element once it is in view and has come to rest, as a person does: data that arrives moves what is below it.
   * A click that goes astray because it moved just then is made again.
   */
  async click(id) {
    const selector = select(id);
    const until = performance.now() + SEE_MS_MAX;
    do {
      await this.page.evaluate((wanted) => {
        window.wasReached = false;
        const look = (event) => (window.wasReached ||= event.target.closest(wanted) !== null);
        document.addEventListener("click", look, { capture: true, once: true });
      }, selector);
      await this.page.locator(selector).setTimeout(SEE_MS_MAX).click();
    } while (!(await this.#wasReached()) && performance.now() < until);
  }

  /** Whether the last click came to what it was meant for; one that led to another document did. */
  async #wasReached() {
    try {
      return await this.page.evaluate(() => window.wasReached ?? true);
    } catch {
      return true;
    }
  }

  /** Replaces the text of a field. */
  async write(id, text) {
    const field = await this.page.waitForSelector(select(id), { visible: true, timeout: SEE_MS_MAX });
    await field.click({ count: 3 });
    // One input event for a long paste, as a clipboard makes one.
    await field.evaluate((element, value) => {
      const prototype = element instanceof HTMLTextAreaElement ? HTMLTextAreaElement.prototype : HTMLInputElement.prototype;
      Object.getOwnPropertyDescriptor(prototype, "value").set.call(element, value);
      element.dispatchEvent(new Event("input", { bubbles: true }));
      element.dispatchEvent(new Event("change", { bubbles: true }));
    }, text);
  }

  /** Chooses a value of a native select. */
  async choose(id, value) {
    await this.page.waitForSelector(select(id), { visible: true, timeout: SEE_MS_MAX });
    await this.page.select(select(id), value);
  }

  /** Turns to another page of the app by its navigation. */
  async goTo(name) {
    await this.click(`nav-${name}`);
    await this.see(`page-${name}`);
  }

  async reload() {
    await this.page.reload({ waitUntil: "domcontentloaded" });
  }
}

function select(id) {
  return `[data-testid="${id}"]`;
}
