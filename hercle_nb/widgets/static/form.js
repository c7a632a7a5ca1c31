// The face `form`: fields and buttons for one invoice. A press carries what the page shows, since a busy kernel
// hears of what was typed only later; the rules are the kernel's, units are converted here.

const CALM = 400; // milliseconds for which Enter does nothing after a step: it was meant for what stood there before

function form(model) {
  return (el) => {
    const view = new FormView(model, el);
    return () => view.close();
  };
}

class FormView {
  #model;
  #el;
  #ignore; // ends the calls of `draw`
  #name = Math.random().toString(36).slice(2); // marks are this view's own
  #edits = 0;
  #unchecked = false; // something was typed here that the kernel has not answered
  #tried = false; // an empty field is told about once Create was pressed
  #steps;
  #turned = -CALM; // when the kernel took its last step, on a clock that nobody sets
  #unit;
  #typing;
  #clock;
  #since = performance.now();
  #fields = {};
  #problems = {};
  #parts = {};

  constructor(model, el) {
    this.#model = model;
    this.#el = el;
    this.#steps = new Steps(model, el, this.draw);
    el.append(this.#build());
    this.#fill(model.get("state").fields);
    this.#ignore = whenNew(model, this.draw);
    this.#clock = setInterval(this.#drawProgress, 500);
    this.draw();
  }

  close() {
    clearInterval(this.#clock);
    clearTimeout(this.#typing);
    this.#ignore();
  }

  #build() {
    const parts = this.#parts;
    const input = (attributes) =>
      make("input", {
        type: "text",
        class: "hn-field",
        autocomplete: "off",
        spellcheck: "false",
        input: () => this.#edited(),
        ...attributes,
      });
    const select = (options, change) =>
      make("select", { class: "hn-field", change }, ...options.map(([value, label]) => make("option", { value }, label)));
    const { units, expiries } = this.#model.get("options");
    const fields = this.#fields;
    fields.amount = input({ inputmode: "decimal" });
    fields.unit = select(units.map((unit) => [unit, unit]), () => this.#convert());
    fields.memo = input({ placeholder: "none" });
    fields.expiry = select(expiries, () => this.#edited());
    fields.hours = input({ inputmode: "numeric", placeholder: "1 to 720" });
    fields.client_id = input({ placeholder: "made for you" });
    parts.echo = make("output", { class: "hn-quiet hn-echo" });
    parts.bytes = make("span", { class: "hn-quiet" });
    parts.badge = make("span", { role: "status", class: "hn-badge" });
    parts.environment = make("strong", { class: "hn-environment" });
    parts.reason = make("span", { class: "hn-reason", "aria-live": "polite" });
    parts.create = button("Create invoice", () => this.#create(), "hn-primary"); // says what is wrong when disabled
    parts.another = this.#button("Another invoice", () => this.#press("another"));
    parts.code = this.#button("Copy as code", () => copied(this.#code(), parts.copied));
    parts.copied = make("span", { class: "hn-quiet", "aria-live": "polite" });
    parts.progress = make("progress", { "aria-label": "Waiting for the hub" });
    parts.waited = make("span", {});
    parts.waiting = make("div", { class: "hn-line", hidden: "" }, parts.progress, parts.waited);
    parts.told = make("div", { role: "alert", class: "hn-told" });
    parts.done = make("div", { "aria-live": "polite", class: "hn-line" });
    parts.question = make("p", { id: `${this.#name}-question` });
    parts.yes = this.#button("Yes, create it", () => this.#press("confirm"), "hn-primary");
    parts.back = this.#button("Back", () => this.#press("back"));
    for (const answer of [parts.yes, parts.back]) answer.setAttribute("aria-describedby", parts.question.id);
    parts.confirm = make(
      "div",
      { role: "group", class: "hn-ask", "aria-label": "Are you sure?", hidden: "" },
      parts.question,
      make("div", { class: "hn-line" }, parts.yes, parts.back),
    );
    parts.unknown = make(
      "div",
      { role: "group", class: "hn-ask", "aria-label": "What now?", hidden: "" },
      make(
        "div",
        { class: "hn-line" },
        this.#button("Keep waiting", () => this.#press("wait")),
        this.#button("Look again", () => this.#press("look")),
        this.#button("Create a new one, the first may exist", () => this.#press("new")),
      ),
    );
    return make(
      "div",
      { class: "hn-face hn-form", keydown: (event) => this.#key(event) },
      make("div", { class: "hn-line" }, parts.environment, parts.badge, parts.reason),
      make(
        "div",
        { class: "hn-fields" },
        this.#row("amount", "Amount", fields.amount, this.#labelled("Unit", fields.unit), parts.echo),
        this.#row("memo", "Memo", fields.memo, parts.bytes),
        this.#row("hours", "Expiry", fields.expiry, this.#labelled("Hours", fields.hours)),
        this.#row("client_id", "ClientId", fields.client_id),
      ),
      make("div", { class: "hn-line" }, parts.create, parts.code, parts.another, parts.copied),
      parts.confirm,
      parts.waiting,
      parts.told,
      parts.unknown,
      parts.done,
    );
  }

  #button(label, press, more = "") {
    return button(label, active(press), more);
  }

  /** A line of the form: label, field, what stands beside it, and below what is wrong with it. */
  #row(name, label, field, ...beside) {
    const id = `${this.#name}-${name}`;
    this.#problems[name] = make("div", { class: "hn-problem", id: `${id}-problem`, "aria-live": "polite" });
    field.id = id;
    const described = name === "hours" ? this.#fields.hours : field;
    described.setAttribute("aria-describedby", `${id}-problem`);
    return make(
      "div",
      { class: "hn-row" },
      make("label", { for: id }, label),
      make("div", { class: "hn-inputs" }, field, ...beside),
      this.#problems[name],
    );
  }

  #labelled(label, field) {
    field.setAttribute("aria-label", label);
    return field;
  }

  // -- what the user does

  #values() {
    return Object.fromEntries(Object.entries(this.#fields).map(([name, field]) => [name, field.value]));
  }

  #fill(values) {
    for (const [name, field] of Object.entries(this.#fields)) {
      if (field.value !== values[name]) field.value = values[name];
    }
    this.#unit = this.#fields.unit.value;
  }

  #mark() {
    return `${this.#name}.${this.#edits}`;
  }

  #edited() {
    this.#edits += 1;
    this.#unchecked = true;
    clearTimeout(this.#typing);
    this.#typing = setTimeout(
      () => this.#tell({ type: "edit", fields: this.#values(), mark: this.#mark() }),
      80,
    );
    this.draw();
  }

  /** The unit was changed: the amount stays the same, told in the other one. */
  #convert() {
    const { amount, unit } = this.#fields;
    if (unit.value !== this.#unit) amount.value = shifted(amount.value.trim(), unit.value === "sat" ? 8 : -8) ?? "";
    this.#unit = unit.value;
    this.#edited();
  }

  #key(event) {
    const { target } = event;
    if (event.key === "Escape" && !this.#parts.confirm.hidden) this.#press("back");
    if (event.key !== "Enter" || event.isComposing || event.keyCode === 229) return; // of an input method
    if (event.repeat || performance.now() - this.#turned < CALM) {
      event.preventDefault(); // a key held down is one press, on a button as well
    } else if (target instanceof HTMLInputElement || (target instanceof HTMLSelectElement && !isOpen(target))) {
      event.preventDefault();
      if (!event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey) this.#create(); // or it runs cells
    }
  }

  #create() {
    if (this.#model.get("state").phase !== "draft" || this.#steps.waits) return;
    this.#tried = true;
    if (this.#isWrong()) {
      this.draw();
      this.#mend();
      return;
    }
    clearTimeout(this.#typing);
    this.#press("create", { fields: this.#values(), mark: this.#mark() });
  }

  /** Go to the first field that something is wrong with, if there is one. */
  #mend() {
    const first = Object.keys(this.#problems).find((name) => name in this.#wrong());
    this.#fields[first]?.focus();
    return first !== undefined;
  }

  #press(type, more = {}) {
    if (!this.#steps.waits) this.#since = performance.now();
    this.#steps.press(type, more);
  }

  #tell(message) {
    if (tell(this.#model, message)) return;
    this.#el.classList.add(GONE); // its kernel was shut down, which nobody marks
    this.draw();
  }

  /** Whether the kernel has found something wrong with what stands in the fields now. */
  #isWrong() {
    return Object.keys(this.#wrong()).length > 0;
  }

  #wrong() {
    return this.#unchecked ? {} : this.#model.get("state").problems;
  }

  #code() {
    return this.#unchecked ? "" : this.#model.get("state").code;
  }

  // -- what is drawn

  draw = () => {
    const state = this.#model.get("state");
    const parts = this.#parts;
    const focused = this.#el.contains(document.activeElement) ? document.activeElement : null;
    const gone = dead(this.#el);
    const step = this.#steps.taken();
    if (step) this.#step(state);
    if (state.checked === this.#mark()) this.#unchecked = false;
    else if (!this.#unchecked) this.#fill(state.fields); // typed on another page
    const waits = state.phase === "waiting" || this.#steps.waits;
    const locked = gone || waits || state.phase !== "draft";
    showState(parts.badge, parts.reason, this.#el, state);
    say(parts.environment, state.environment === "production" ? "PRODUCTION" : state.environment);
    parts.environment.classList.toggle("hn-real", state.environment === "production");
    for (const field of Object.values(this.#fields)) {
      if (field instanceof HTMLSelectElement) field.disabled = locked;
      else field.readOnly = locked;
    }
    this.#fields.hours.hidden = this.#fields.expiry.value !== "custom";
    this.#drawHelp();
    disable(parts.create, locked || this.#isWrong());
    disable(parts.code, !this.#code());
    parts.another.hidden = state.phase !== "created";
    disable(parts.another, gone || waits);
    parts.confirm.hidden = state.phase !== "confirm" || waits || gone;
    say(parts.question, visible(state.question));
    parts.unknown.hidden = state.phase !== "unknown" || waits || gone;
    say(parts.told, visible(state.told));
    parts.told.hidden = !state.told || waits;
    say(parts.done, state.phase === "created" ? "Invoice created; its card is below." : "");
    parts.waiting.hidden = !waits || gone;
    this.#drawProgress();
    // or the next key is JupyterLab's, which may delete a cell by it
    if (focused && (focused.disabled || focused.offsetParent === null)) parts.create.focus();
    if (step?.mine && focused) this.#goOn(state); // who is elsewhere by now is left there
  };

  /** The kernel has taken a step. */
  #step({ phase, fields }) {
    this.#turned = performance.now();
    this.#unchecked = false;
    this.#fill(fields);
    if (phase === "waiting") this.#since = performance.now();
    if (phase === "created") this.#tried = false;
  }

  /** Have the focus where one goes on. */
  #goOn({ phase, told }) {
    if (phase === "confirm") this.#parts.back.focus();
    else if (phase === "draft" && !this.#mend() && !told) {
      this.#fields.amount.focus();
      this.#fields.amount.select(); // what is typed now is meant instead
    }
  }

  #drawHelp() {
    const { amount, unit, memo } = this.#fields;
    const other = unit.value === "BTC" ? "sat" : "BTC";
    const told = shifted(amount.value.trim(), other === "sat" ? 8 : -8);
    amount.placeholder = unit.value === "BTC" ? "0.001" : "100000";
    say(this.#parts.echo, told === null || !/[1-9]/.test(told) ? "" : `= ${grouped(told, other)} ${other}`);
    const bytes = new TextEncoder().encode(memo.value.normalize("NFC")).length;
    say(this.#parts.bytes, `${bytes} of ${this.#model.get("options").memo_bytes} bytes`);
    const wrong = this.#wrong();
    for (const [name, place] of Object.entries(this.#problems)) {
      const words = this.#tried || this.#fields[name].value ? (wrong[name] ?? "") : "";
      say(place, visible(words));
      this.#fields[name].setAttribute("aria-invalid", words !== "");
    }
  }

  #drawProgress = () => {
    const { phase, timeout } = this.#model.get("state");
    const { progress, waited, waiting } = this.#parts;
    if (waiting.hidden) return;
    const seconds = Math.floor((performance.now() - this.#since) / 1000);
    if (phase === "waiting") {
      progress.max = timeout;
      progress.value = Math.min(seconds, timeout);
      say(waited, `Waiting for the hub: ${seconds} s of ${timeout} s`);
    } else {
      progress.removeAttribute("value");
      say(waited, seconds < 1 ? "" : "The kernel is busy: this goes on as soon as its cell is done.");
    }
  };
}

/** Whether a list of options is open, where Enter picks one; an older browser keeps that key to itself. */
const isOpen = (select) => CSS.supports("selector(:open)") && select.matches(":open");

/**
 * A plain decimal number with its point moved so many places to the right, or null for any other text.
 * Of satoshis, 25.000 is 25 or 25 thousand, and none of them.
 */
function shifted(text, places) {
  const found = /^([0-9]+)(?:\.([0-9]+))?$/.exec(text);
  if (!found || (places < 0 && /[1-9][0-9]*\.[0-9]{3}$/.test(text))) return null;
  const [, whole, fraction = ""] = found;
  const digits = places > 0 ? whole + fraction.padEnd(places, "0") : whole.padStart(1 - places, "0") + fraction;
  const point = places > 0 ? whole.length + places : digits.length - fraction.length + places;
  const before = digits.slice(0, point).replace(/^0+(?=.)/, "");
  const after = digits.slice(point).replace(/0+$/, "");
  return after ? `${before}.${after}` : before;
}

/** A plain decimal number as it is read: thousands apart, bitcoin with eight places at least. */
function grouped(text, unit) {
  const [whole, fraction = ""] = text.split(".");
  const apart = whole.replace(/\B(?=(?:\d{3})+$)/g, "\u202f");
  const places = unit === "BTC" ? fraction.padEnd(8, "0") : fraction;
  return places ? `${apart}.${places}` : apart;
}
