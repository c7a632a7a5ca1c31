// The face `table`: rows as they arrive. What a user does with them happens here: a busy kernel is no help.

const ROW = 24; // pixels; as in the style sheet
const BEYOND = 8; // rows drawn above and below those in sight

function table(model) {
  const rows = new Rows(model);
  return (el) => {
    const view = new TableView(model, rows, el);
    const leave = rows.presence.enter(view.draw);
    return () => {
      leave();
      view.close();
    };
  };
}

/** One view of the rows: what it shows of them, and where it stands. */
class TableView {
  #model;
  #rows;
  #el;
  #columns;
  #options;
  #text = ""; // that rows must hold
  #chosen = new Map(); // column to the value it must have
  #fits = new WeakMap(); // what is known of rows under this filter
  #held = null; // the row at the top and how much of it is hidden; null while the newest is followed
  #hidden = false; // since the last drawing, which loses the place of what scrolls
  #paused = null; // the rows as they were
  #shown = [];
  #drawn = new Map(); // key to element
  #open = null; // the row that is
  #frame = 0;
  #sized = new ResizeObserver(() => this.draw());
  #parts = {};

  constructor(model, rows, el) {
    this.#model = model;
    this.#rows = rows;
    this.#el = el;
    this.#columns = model.get("columns");
    this.#options = model.get("options");
    el.append(this.#build());
    this.#sized.observe(this.#parts.scroll);
    model.on("change:state", this.draw);
    model.on("comm_live_update", this.draw);
    this.draw();
  }

  close() {
    cancelAnimationFrame(this.#frame);
    this.#frame = -1;
    this.#sized.disconnect();
    this.#model.off("change:state", this.draw);
    this.#model.off("comm_live_update", this.draw);
  }

  /** Draw what has changed, once in a frame. */
  draw = () => {
    if (this.#frame === 0) {
      this.#frame = requestAnimationFrame(() => {
        this.#frame = 0;
        this.#drawState();
        this.#drawChoices();
        this.#drawRows();
      });
    }
  };

  #build() {
    const parts = this.#parts;
    parts.badge = make("span", { role: "status", class: "hn-badge" });
    parts.reason = make("span", { class: "hn-reason", "aria-live": "polite" });
    parts.notes = make("span", { class: "hn-quiet" });
    parts.filter = make("input", {
      type: "search",
      class: "hn-field",
      placeholder: "Filter",
      "aria-label": "Filter",
      autocomplete: "off",
      input: () => this.#narrow(() => (this.#text = parts.filter.value.toLowerCase())),
    });
    parts.choices = [...this.#rows.choices.keys()].map((i) => this.#choice(i));
    parts.pause = button("Pause", () => this.#pause());
    parts.follow = button("Follow", () => (this.#held ? this.#follow() : this.#hold()));
    parts.scroll = make(
      "div",
      {
        class: "hn-scroll",
        tabindex: "0",
        role: "group",
        "aria-label": "Rows",
        scroll: () => this.#scrolled(),
      },
      this.#buildTable(),
    );
    parts.count = make("span", { class: "hn-quiet" });
    parts.skipped = make("span", { class: "hn-warning" });
    parts.detail = make("section", { class: "hn-detail", hidden: "" });
    const file = this.#options.file;
    const asCsv = () => download(`${file}.csv`, "text/csv", csv(this.#columns, this.#shown));
    const asLines = () => download(`${file}.jsonl`, "text/plain", jsonLines(this.#columns, this.#shown));
    return make(
      "section",
      {
        class: "hn-face hn-table",
        "aria-label": this.#options.label,
        keydown: (event) => event.key === "Escape" && this.#open && this.#shut(),
      },
      make("div", { class: "hn-line" }, parts.badge, parts.reason, parts.notes),
      make(
        "div",
        { class: "hn-line" },
        parts.filter,
        ...parts.choices.map((choice) => choice.select),
        parts.pause,
        parts.follow,
        button("CSV", asCsv),
        button("JSONL", asLines),
      ),
      parts.scroll,
      make("div", { class: "hn-line" }, parts.count, parts.skipped),
      parts.detail,
    );
  }

  #buildTable() {
    const parts = this.#parts;
    const colspan = this.#columns.length;
    const spacer = () => make("tr", { class: "hn-space", "aria-hidden": "true" }, make("td", { colspan }));
    parts.above = spacer();
    parts.below = spacer();
    parts.body = make("tbody", { focusin: () => this.#held ?? this.#hold() }, parts.above, parts.below);
    const widths = this.#columns.map((column) => {
      const element = make("col");
      element.style.width = column.width;
      return element;
    });
    const head = (column) => make("th", { scope: "col", class: `hn-${column.kind}` }, column.label);
    const heads = make("tr", { "aria-rowindex": "1" }, ...this.#columns.map(head));
    parts.table = make("table", {}, make("colgroup", {}, ...widths), make("thead", {}, heads), parts.body);
    return parts.table;
  }

  #choice(i) {
    const label = this.#columns[i].label;
    const select = make(
      "select",
      {
        class: "hn-field",
        "aria-label": label,
        change: () => this.#narrow(() => {
          if (select.selectedIndex === 0) this.#chosen.delete(i);
          else this.#chosen.set(i, offered[select.selectedIndex - 1]);
        }),
      },
      make("option", {}, `${label}: all`),
    );
    const offered = []; // in the order of the options
    return { i, select, offered };
  }

  // -- what the user does

  #narrow(change) {
    change();
    this.#fits = new WeakMap();
    this.draw();
  }

  #pause() {
    this.#paused = this.#paused ? null : this.#rows.all;
    say(this.#parts.pause, this.#paused ? "Resume" : "Pause");
    this.draw();
  }

  #follow() {
    this.#held = null;
    this.draw();
  }

  /** Keep the rows in sight where they are. */
  #hold() {
    const top = this.#parts.scroll.scrollTop;
    const row = this.#shown[Math.floor(top / ROW)];
    this.#held = { key: row?.key ?? -Infinity, offset: top % ROW };
    this.draw();
  }

  #scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.#parts.scroll;
    if (this.#hidden || clientHeight === 0) return;
    if (this.#held || scrollHeight - scrollTop - clientHeight > 2 * ROW) this.#hold();
  }

  #shut() {
    const key = this.#open.key;
    this.#show(null);
    (this.#drawn.get(key)?.querySelector("button") ?? this.#parts.scroll).focus();
  }

  #toggle(row) {
    if (this.#open?.key === row.key) {
      this.#shut();
      return;
    }
    if (!this.#held) this.#hold(); // the row stays in sight
    this.#show(row);
    if (this.#options.select) tell(this.#model, { type: "select", key: row.key });
  }

  #show(row) {
    const detail = this.#parts.detail;
    this.#open = row;
    detail.hidden = row === null;
    detail.replaceChildren();
    if (row !== null) {
      const json = this.#columns.findIndex((column) => column.kind === "json");
      const text = row.values[json] ?? "";
      const title = `Row ${row.key}`;
      const said = make("span", { "aria-live": "polite", class: "hn-quiet" });
      detail.setAttribute("aria-label", title);
      detail.append(
        make(
          "div",
          { class: "hn-line" },
          make("strong", {}, title),
          button("Copy", () => copied(text, said)),
          button("Close", () => this.#shut()),
          said,
        ),
        make("pre", { tabindex: "0" }, laidOut(text)),
      );
    }
    this.draw();
  }

  // -- what is drawn

  #drawState() {
    const { badge, reason, notes } = this.#parts;
    const told = this.#model.get("state");
    showState(badge, reason, this.#el, told);
    say(notes, visible(told.notes.join(" · ")));
    this.#parts.follow.setAttribute("aria-pressed", this.#held === null);
  }

  #drawChoices() {
    for (const { i, select, offered } of this.#parts.choices) {
      for (const value of [...this.#rows.choices.get(i)].slice(offered.length)) {
        offered.push(value);
        select.append(make("option", {}, visible(value.slice(0, 60))));
      }
    }
  }

  #drawRows() {
    const { scroll, table, above, below, count, skipped } = this.#parts;
    this.#hidden = scroll.clientHeight === 0;
    if (this.#hidden) return;
    const source = this.#paused ?? this.#rows.all;
    this.#shown = source.filter((row) => this.#isShown(row));
    const shown = this.#shown;
    const inside = Math.ceil(scroll.clientHeight / ROW);
    const first = this.#held ? place(shown, this.#held.key) : shown.length;
    const begin = Math.max(0, Math.min(first, shown.length - inside) - BEYOND);
    const end = Math.min(shown.length, begin + inside + 2 * BEYOND);
    above.firstChild.style.height = `${begin * ROW}px`;
    below.firstChild.style.height = `${(shown.length - end) * ROW}px`;
    table.setAttribute("aria-rowcount", shown.length + 1);
    this.#place(shown, begin, end);
    scroll.scrollTop = this.#held ? first * ROW + this.#held.offset : scroll.scrollHeight;
    const of = shown.length === source.length ? "" : ` of ${source.length.toLocaleString("en-US")}`;
    const since = this.#paused && (this.#rows.all.at(-1)?.key ?? 0) - (this.#paused.at(-1)?.key ?? 0);
    const paused = this.#paused ? ` · paused, ${since.toLocaleString("en-US")} new` : "";
    say(count, counted(shown.length, "row") + of + paused);
    const left = this.#rows.skipped;
    say(skipped, left ? `${counted(left, "row")} skipped here; ${this.#options.home} has them all` : "");
  }

  #isShown(row) {
    let fits = this.#fits.get(row.values);
    if (fits === undefined) {
      fits = [...this.#chosen].every(([i, value]) => row.values[i] === value);
      if (fits && this.#text) {
        row.text ??= row.values.filter((value) => value !== null).join("\n").toLowerCase();
        fits = row.text.includes(this.#text);
      }
      this.#fits.set(row.values, fits);
    }
    return fits;
  }

  /** Put the elements of some rows between the spacers; those that are there stay, and keep the focus. */
  #place(shown, begin, end) {
    const drawn = new Map();
    for (let index = begin; index < end; index += 1) {
      const row = shown[index];
      const known = this.#drawn.get(row.key);
      const element = known?.values === row.values ? known : this.#element(row);
      const open = this.#open?.key === row.key;
      element.setAttribute("aria-rowindex", index + 2);
      element.classList.toggle("hn-open", open);
      element.querySelector("button").setAttribute("aria-expanded", open);
      drawn.set(row.key, element);
    }
    for (const [key, element] of this.#drawn) if (drawn.get(key) !== element) element.remove();
    let next = this.#parts.above.nextSibling;
    for (const element of drawn.values()) {
      if (element === next) next = next.nextSibling;
      else this.#parts.body.insertBefore(element, next);
    }
    this.#drawn = drawn;
  }

  #element(row) {
    const cells = this.#columns.map((column, i) => {
      const text = cellText(column, row.values[i]);
      const cell = make("td", { class: `hn-${column.kind}` });
      if (i === 0) cell.append(make("button", { type: "button", "aria-label": `Row ${text}` }, text));
      else cell.append(make("bdi", { title: column.kind === "time" ? row.values[i] : undefined }, text));
      return cell;
    });
    const element = make("tr", { click: () => this.#toggle(row) }, ...cells);
    element.key = row.key;
    element.values = row.values;
    return element;
  }
}
