// The face `console`: a command, its arguments, and what answered.

function commandConsole(model) {
  return (el) => {
    const view = new ConsoleView(model, el);
    return () => view.close();
  };
}

class ConsoleView {
  #model;
  #el;
  #ignore; // ends the calls of `draw`
  #fields = new Map(); // of the command chosen
  #steps;
  #parts = {};

  constructor(model, el) {
    this.#model = model;
    this.#el = el;
    this.#steps = new Steps(model, el, this.draw);
    el.append(this.#build());
    this.#ignore = whenNew(model, this.draw);
    this.#choose();
  }

  close() {
    this.#ignore();
  }

  #build() {
    const parts = this.#parts;
    const { commands, spends } = this.#model.get("options");
    parts.command = make(
      "select",
      { class: "hn-field", change: () => this.#choose() },
      ...commands.map(([name]) => make("option", { value: name }, name === "other" ? "other…" : name)),
    );
    parts.inputs = make("div", { class: "hn-fields" });
    parts.spends = make("p", { class: "hn-told", hidden: "" }, spends);
    parts.send = button("Send", active(() => this.#send()), "hn-primary");
    parts.question = make("p", {});
    parts.confirm = make(
      "div",
      { role: "group", "aria-label": "Send it?", class: "hn-ask", hidden: "" },
      parts.question,
      make(
        "div",
        { class: "hn-line" },
        button("Yes, send it", () => this.#steps.press("confirm"), "hn-primary"),
        (parts.back = button("Back", () => this.#steps.press("back"))),
      ),
    );
    parts.waits = make("div", { "aria-live": "polite", class: "hn-line" });
    parts.told = make("div", { role: "alert", class: "hn-told" });
    parts.sent = make("div", { class: "hn-sent" });
    parts.copied = make("span", { class: "hn-quiet", "aria-live": "polite" });
    parts.json = make("pre", { tabindex: "0", role: "group", "aria-label": "Answer" });
    parts.answer = make(
      "div",
      { class: "hn-detail", hidden: "" },
      make(
        "div",
        { class: "hn-line" },
        make("strong", {}, "Answer"),
        button("Copy", () => copied(this.#model.get("state").answer, parts.copied)),
        parts.copied,
      ),
      parts.json,
    );
    return make(
      "div",
      { class: "hn-face hn-console", keydown: (event) => this.#key(event) },
      make(
        "div",
        { class: "hn-fields" },
        make("label", { class: "hn-row" }, make("span", {}, "Command"), make("div", { class: "hn-inputs" }, parts.command)),
      ),
      parts.inputs,
      parts.spends,
      make("div", { class: "hn-line" }, parts.send),
      parts.confirm,
      parts.waits,
      parts.told,
      parts.sent,
      parts.answer,
    );
  }

  // -- what the user does

  #choose() {
    const { commands, hints } = this.#model.get("options");
    const [, names] = commands[this.#parts.command.selectedIndex];
    const field = (name) => make("input", {
      type: "text",
      class: "hn-field",
      placeholder: hints[name],
      autocomplete: "off",
      spellcheck: "false",
    });
    this.#fields = new Map(names.map((name) => [name, field(name)]));
    const rows = [...this.#fields].map(([name, input]) =>
      make("label", { class: "hn-row" }, make("span", {}, name), make("div", { class: "hn-inputs" }, input)),
    );
    this.#parts.inputs.replaceChildren(...rows);
    this.draw();
  }

  #key(event) {
    if (event.key === "Escape" && !this.#parts.confirm.hidden) this.#steps.press("back");
    if (event.key !== "Enter") return;
    if (event.repeat) event.preventDefault(); // a key held down is one press
    else if (event.target instanceof HTMLInputElement) {
      event.preventDefault();
      this.#send();
    }
  }

  #send() {
    if (this.#parts.send.getAttribute("aria-disabled") === "true") return;
    const fields = Object.fromEntries([...this.#fields].map(([name, input]) => [name, input.value]));
    this.#steps.press("send", { command: this.#parts.command.value, fields });
  }

  // -- what is drawn

  draw = () => {
    const { phase, question, told, sent, answer } = this.#model.get("state");
    const parts = this.#parts;
    if (this.#steps.taken()?.mine && phase === "confirm") requestAnimationFrame(() => parts.back.focus());
    const waits = phase === "waiting" || this.#steps.waits;
    const gone = dead(this.#el);
    const locked = gone || waits || phase !== "idle";
    parts.command.disabled = locked;
    for (const input of this.#fields.values()) input.readOnly = locked;
    parts.spends.hidden = this.#fields.size > 0;
    disable(parts.send, locked || this.#fields.size === 0);
    parts.confirm.hidden = phase !== "confirm" || waits;
    say(parts.question, visible(question));
    say(parts.waits, gone ? "The kernel is gone; run the cell again." : waits ? "Waiting for the hub…" : "");
    const nothing = this.#fields.size === 0; // to be sent: what was said before has no place beside why
    say(parts.told, visible(told));
    parts.told.hidden = !told || nothing;
    say(parts.sent, visible(sent && `Sent: ${sent}`));
    parts.sent.hidden = nothing;
    parts.answer.hidden = !answer || nothing;
    say(parts.json, laidOut(answer));
  };
}
