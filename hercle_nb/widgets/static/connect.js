// The face `connect`: where to connect, and with which key. The key leaves in one message and stays nowhere.

function connect(model) {
  return (el) => {
    const view = new ConnectView(model, el);
    return () => view.close();
  };
}

class ConnectView {
  #model;
  #el;
  #ignore; // ends the calls of `draw`
  #steps;
  #parts = {};

  constructor(model, el) {
    this.#model = model;
    this.#el = el;
    const { environment, url } = model.get("state");
    this.#steps = new Steps(model, el, this.draw);
    el.append(this.#build());
    this.#parts.environment.value = environment;
    this.#parts.url.value = url;
    this.#ignore = whenNew(model, this.draw);
    this.draw();
  }

  close() {
    this.#parts.key.value = "";
    this.#ignore();
  }

  #build() {
    const parts = this.#parts;
    const row = (label, field) =>
      make("label", { class: "hn-row" }, make("span", {}, label), make("div", { class: "hn-inputs" }, field));
    const option = (name) => make("option", { value: name }, name);
    parts.environment = make(
      "select",
      { class: "hn-field", change: () => this.draw() },
      ...this.#model.get("environments").map(option),
    );
    parts.url = make("input", { type: "url", class: "hn-field", placeholder: "the environment's own", spellcheck: "false" });
    parts.key = make("input", {
      type: "password",
      class: "hn-field",
      autocomplete: "off",
      spellcheck: "false",
      "data-1p-ignore": "", // password managers are not to keep it
      "data-lpignore": "true",
    });
    parts.urlRow = row("URL", parts.url);
    parts.keyRow = row("API key", parts.key);
    parts.hint = make("div", { class: "hn-quiet hn-hint" });
    parts.connect = button("Connect", active(() => this.#connect(parts.environment.value)), "hn-primary");
    parts.simulate = button("Use the simulator", active(() => this.#connect("simulator")));
    parts.leave = button("Disconnect", active(() => this.#steps.press("leave")));
    parts.told = make("div", { role: "alert", class: "hn-told" });
    parts.where = make("span", { role: "status" });
    parts.panel = make(
      "div",
      {},
      make("div", { class: "hn-fields" }, row("Environment", parts.environment), parts.urlRow, parts.keyRow),
      parts.hint,
      make("div", { class: "hn-line" }, parts.connect, parts.simulate),
    );
    return make(
      "div",
      { class: "hn-face hn-connect", role: "group", "aria-label": "Connection", keydown: (event) => this.#key(event) },
      parts.panel,
      make("div", { class: "hn-line" }, parts.where, parts.leave),
      parts.told,
    );
  }

  #key(event) {
    if (event.key !== "Enter" || !(event.target instanceof HTMLInputElement)) return;
    event.preventDefault();
    if (!event.repeat && this.#parts.connect.getAttribute("aria-disabled") !== "true") {
      this.#connect(this.#parts.environment.value);
    }
  }

  #connect(environment) {
    const { url, key } = this.#parts;
    const typed = environment === "simulator" ? "" : key.value;
    key.value = "";
    this.#parts.environment.value = environment;
    this.#steps.press("connect", { environment, url: url.value, hercle_api_key: typed });
  }

  draw = () => {
    const { phase, environment, at, variable, told } = this.#model.get("state");
    const parts = this.#parts;
    if (this.#steps.taken() && phase !== "offline") parts.environment.value = environment;
    const waits = phase === "connecting" || this.#steps.waits;
    const gone = dead(this.#el);
    const simulated = parts.environment.value === "simulator";
    parts.panel.hidden = phase === "online";
    parts.urlRow.hidden = simulated;
    parts.keyRow.hidden = simulated;
    for (const field of [parts.environment, parts.url, parts.key]) field.disabled = gone || waits;
    say(parts.hint, hint(parts.environment.value, variable));
    disable(parts.connect, gone || waits);
    disable(parts.simulate, gone || waits);
    parts.simulate.hidden = simulated;
    parts.leave.hidden = phase !== "online";
    disable(parts.leave, gone || waits);
    const where = phase === "online" ? `${environment} · ${at} · until you disconnect, events and invoices are kept` : waits ? "Connecting…" : "";
    say(parts.where, gone ? "The kernel is gone; run the cell again." : visible(where));
    parts.where.parentElement.hidden = !parts.where.textContent;
    say(parts.told, visible(told));
    parts.told.hidden = !told || waits;
  };
}

function hint(environment, variable) {
  if (environment === "simulator") return "No account, no network: invoices on a test network, which the simulator alone can pay.";
  const real = environment === "production" ? "Invoices are real here. " : "";
  const other = variable ? "Leave it empty to use the variable HERCLE_API_KEY. " : "";
  return `${real}${other}The key is sent to the hub and kept nowhere else.`;
}
