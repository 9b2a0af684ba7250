// In the EHR's cross-site frame a browser that blocks third-party cookies denies storage too, and OHIF will not start
// without it. Preferences then live as long as the page.
class PageStorage {
  #items = new Map();
  get length() { return this.#items.size; }
  key(index) { return [...this.#items.keys()][index] ?? null; }
  getItem(key) { return this.#items.get(String(key)) ?? null; }
  setItem(key, value) { this.#items.set(String(key), String(value)); }
  removeItem(key) { this.#items.delete(String(key)); }
  clear() { this.#items.clear(); }
}
for (const name of ['localStorage', 'sessionStorage']) {
  try {
    window[name].getItem('');
  } catch {
    Object.defineProperty(window, name, { value: new PageStorage(), configurable: true });
  }
}
