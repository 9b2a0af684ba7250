// <konsil-upload>: sends the chosen files in pieces, several files at a time. A lost connection is waited for: the server says where
// to go on. Cancel forgets what has come. At the end the page of the import follows.
const PIECE = 8 * 1024 * 1024, AT_ONCE = 4, PAUSES = [1, 2, 5, 10, 20];
const later = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));
const size = (bytes) => bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : bytes < 1e9 ? `${(bytes / 1e6).toFixed(1)} MB` : `${(bytes / 1e9).toFixed(2)} GB`;

class Refused extends Error {}

class Upload extends HTMLElement {
  connectedCallback() {
    this.child = (name) => this.querySelector(`[data-${name}]`);
    this.files = [];
    this.querySelectorAll("[data-pick]").forEach((input) => input.addEventListener("change", () => this.choose([...input.files])));
    const drop = this.child("drop");
    drop.addEventListener("dragover", (event) => { event.preventDefault(); drop.classList.add("k-over"); });
    drop.addEventListener("dragleave", () => drop.classList.remove("k-over"));
    drop.addEventListener("drop", (event) => { event.preventDefault(); drop.classList.remove("k-over"); this.choose([...event.dataTransfer.files]); });
    this.child("send").addEventListener("click", () => this.send());
    this.child("cancel").addEventListener("click", () => this.cancel());
    this.leaving = (event) => { if (this.stop) event.preventDefault(); };
    addEventListener("beforeunload", this.leaving);
  }
  disconnectedCallback() { removeEventListener("beforeunload", this.leaving); }
  choose(files) {
    if (this.stop) return;
    this.files = files;
    this.total = files.reduce((sum, file) => sum + file.size, 0);
    const what = `${files.length} ${files.length === 1 ? "file" : "files"}, ${size(this.total)}`;
    this.child("chosen").textContent = files.length ? `Chosen: ${what}.` : "Nothing chosen yet.";
    this.child("verb").textContent = files.length ? `Upload ${what}` : "Upload";
    this.child("send").disabled = !files.length;
    this.say("");
  }
  say(text) { this.child("state").textContent = text; }
  async call(method, path, options = {}) {
    const answer = await fetch(path, { method, signal: this.stop.signal, ...options });
    if (answer.status >= 500 && answer.status !== 507) throw new TypeError("not there");
    const body = (answer.headers.get("content-type") || "").includes("json") ? await answer.json() : {};
    if (!answer.ok && answer.status !== 409) throw new Refused(body.detail || (answer.status === 401 ? "You are signed out. Sign in again." : "The server refused this."));
    if (answer.status === 409 && body.received === undefined) throw new Refused(body.detail || "The case is over.");
    return body;
  }
  async patiently(work) {
    for (let tried = 0; ; tried++) {
      try { const found = await work(tried); this.say(""); return found; }
      catch (error) {
        if (error instanceof Refused || this.stop.signal.aborted) throw error;
        this.say("The connection is lost; the upload goes on by itself when it is back.");
        await later(PAUSES[Math.min(tried, PAUSES.length - 1)]);
        if (this.stop.signal.aborted) throw error;
      }
    }
  }
  async one(number) {
    const file = this.files[number], path = `${this.at}/files/${number}`;
    for (let place = 0; place < file.size;) {
      const found = await this.patiently(async (tried) => {
        if (tried) place = (await this.call("GET", path)).received;
        if (place >= file.size) return { received: place };
        return this.call("PUT", path, { body: file.slice(place, place + PIECE), headers: { "Upload-Offset": String(place) } });
      });
      this.sent[number] = place = found.received;
      this.show();
    }
  }
  show() {
    const sent = this.sent.reduce((sum, each) => sum + each, 0), seconds = (Date.now() - this.begun) / 1000;
    const left = sent ? Math.round((this.total - sent) * seconds / sent) : 0;
    this.child("progress").value = this.total ? 100 * sent / this.total : 0;
    const rest = left > 90 ? `, about ${Math.round(left / 60)} minutes` : left > 5 ? `, about ${left} seconds` : "";
    this.child("chosen").textContent = `${size(sent)} of ${size(this.total)}${rest}`;
  }
  async send() {
    this.stop = new AbortController();
    this.sent = this.files.map(() => 0);
    this.begun = Date.now();
    this.busy(true);
    try {
      const files = this.files.map((file) => ({ name: file.webkitRelativePath || file.name, size: file.size }));
      const begun = await this.call("POST", this.dataset.begin, { body: JSON.stringify({ files }), headers: { "Content-Type": "application/json" } });
      this.at = this.dataset.imports + begun.id;
      let next = 0;
      const lane = async () => { while (next < this.files.length) await this.one(next++); };
      await Promise.all(Array.from({ length: AT_ONCE }, lane));
      await this.patiently(() => this.call("POST", `${this.at}/complete`));
      this.stop = null;
      location.assign(`${this.dataset.begin}/${begun.id}`);
    } catch (error) {
      const cancelled = this.stop.signal.aborted && !this.failed;
      this.stop.abort();
      this.stop = null;
      this.busy(false);
      this.choose(this.files);
      this.say(cancelled ? "Cancelled; nothing was kept." : error instanceof Refused ? error.message : "The server does not answer. Try again.");
    }
  }
  async cancel() {
    const at = this.at;
    this.stop?.abort();
    if (at) await fetch(`${at}/cancel`, { method: "POST" }).catch(() => {});
    this.at = null;
  }
  busy(on) {
    this.child("progress").hidden = this.child("cancel").hidden = !on;
    this.child("send").hidden = this.child("back").hidden = on;
    this.querySelectorAll("[data-pick]").forEach((input) => { input.disabled = on; });
    (on ? this.child("cancel") : this.child("send")).focus();
  }
}
customElements.define("konsil-upload", Upload);
