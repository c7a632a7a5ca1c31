// The face `table`: rows as they arrive. What a user does with them happens here: a busy kernel is no help.
//
// A log (the option `log`) is in the order of its keys, follows its end and can be paused; any other table is
// sorted by a column and begins at its top.

const FILES = { ".csv": "CSV", ".jsonl": "JSONL", ".xlsx": "Excel", ".parquet": "Parquet" };
const ROW = 24; // pixels; as in the style sheet
const BEYOND = 8; // rows drawn above and below those in sight
const TOP = -Infinity; // a key before all others

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
  #ignore; // ends the calls of `draw`
  #columns;
  #options;
  #text = ""; // that rows must hold
  #tests = new Map(); // what a filter is about to what it lets pass
  #order = null; // {i, down}: the column sorted by; null for the order of the keys
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
    if (!this.#options.log) {
      this.#order = this.#options.order;
      this.#held = { key: TOP, offset: 0 };
    }
    el.append(this.#build());
    this.#sized.observe(this.#parts.scroll);
    this.#ignore = whenNew(model, this.draw);
    this.draw();
  }

  close() {
    cancelAnimationFrame(this.#frame);
    this.#frame = -1;
    this.#sized.disconnect();
    this.#ignore();
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
    const ranges = this.#columns.flatMap((column, i) => this.#range(column, i));
    parts.notice = make("span", { "aria-live": "polite", class: "hn-reason" });
    parts.actions = new Map(
      this.#options.actions.map(([name, label]) => [name, button(label, () => tell(this.#model, { type: name }))]),
    );
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
    return make(
      this.#options.label === null ? "div" : "section",
      {
        class: `hn-face hn-table ${this.#options.log ? "" : "hn-sorted"}`,
        "aria-label": this.#options.label ?? undefined,
        keydown: (event) => event.key === "Escape" && this.#options.log && this.#open && this.#shut(),
      },
      make("div", { class: "hn-line" }, parts.badge, parts.reason, parts.notes),
      make(
        "div",
        { class: "hn-line" },
        parts.filter,
        ...parts.choices.map((choice) => choice.select),
        ...ranges,
      ),
      make(
        "div",
        { class: "hn-line" },
        ...(this.#options.log ? [parts.pause, parts.follow] : []),
        ...parts.actions.values(),
        ...this.#options.files.map((suffix) => button(FILES[suffix], () => this.#download(suffix))),
        parts.notice,
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
    parts.heads = this.#columns.map((column, i) => {
      const label = this.#options.log ? column.label : button(column.label, () => this.#sort(i), "hn-sort");
      return make("th", { scope: "col", class: `hn-${column.kind}` }, label);
    });
    const heads = make("tr", { "aria-rowindex": "1" }, ...parts.heads);
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
          const wanted = offered[select.selectedIndex - 1];
          this.#test(i, wanted !== undefined && ((values) => values[i] === wanted));
        }),
      },
      make("option", {}, `${label}: all`),
    );
    const offered = []; // in the order of the options
    return { i, select, offered };
  }

  /** The fields that bound a column of amounts or of days. */
  #range(column, i) {
    const fields = { range: ["number", "At least", "At most"], days: ["date", "From", "Until"] }[column.filter];
    if (!fields) return [];
    const [type, ...labels] = fields;
    return labels.map((label, end) => {
      const bound = (value) => (type === "date" ? value.slice(0, 10) : Number(value));
      const fits = (value, limit) => (end ? value <= limit : value >= limit);
      const change = () => {
        const limit = field.value && bound(field.value);
        const test = (values) => values[i] !== null && fits(bound(values[i]), limit);
        this.#narrow(() => this.#test(`${i} ${end}`, limit !== "" && test));
      };
      const field = make("input", { type, class: "hn-field", min: type === "number" ? "0" : undefined, input: change });
      return make("label", { class: "hn-bound" }, `${label} (${column.unit})`, field);
    });
  }

  // -- what the user does

  #test(about, test) {
    if (test) this.#tests.set(about, test);
    else this.#tests.delete(about);
  }

  #sort(i) {
    this.#order = { i, down: this.#order?.i === i && !this.#order.down };
    this.#held = { key: TOP, offset: 0 };
    this.draw();
  }

  /** Hand the rows shown over as a file; one that the kernel writes has more about each. */
  #download(suffix) {
    const name = `${this.#options.file}${suffix}`;
    if (suffix === ".jsonl") download(name, "text/plain", jsonLines(this.#columns, this.#shown));
    else if (this.#options.log) download(name, "text/csv", csv(this.#columns, this.#shown));
    else tell(this.#model, { type: "export", name, keys: this.#shown.map((row) => row.key) });
  }

  #narrow(change) {
    change();
    this.#fits = new WeakMap();
    if (!this.#options.log) this.#held = { key: TOP, offset: 0 };
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
    const row = this.#options.log || top > 0 ? this.#shown[Math.floor(top / ROW)] : undefined;
    this.#held = { key: row?.key ?? TOP, offset: top % ROW };
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
    if (!this.#options.log) {
      this.#open = this.#open?.key === row.key ? null : row; // the kernel shows what there is about it
      tell(this.#model, { type: "select", key: this.#open?.key ?? null });
      this.draw();
      return;
    }
    if (this.#open?.key === row.key) {
      this.#shut();
      return;
    }
    if (!this.#held) this.#hold(); // the row stays in sight
    this.#show(row);
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
    say(this.#parts.notice, visible(told.notice ?? ""));
    for (const [name, element] of this.#parts.actions) {
      if (name in (told.pressed ?? {})) element.setAttribute("aria-pressed", told.pressed[name]);
    }
    this.#parts.follow.setAttribute("aria-pressed", this.#held === null);
  }

  #drawChoices() {
    for (const { i, select, offered } of this.#parts.choices) {
      for (const value of [...this.#rows.choices.get(i)].slice(offered.length)) {
        offered.push(value);
        select.append(make("option", {}, visible((this.#columns[i].labels[value] ?? value).slice(0, 60))));
      }
    }
  }

  #drawRows() {
    const { scroll, table, above, below, count, skipped } = this.#parts;
    this.#hidden = scroll.clientHeight === 0;
    if (this.#hidden) return;
    const source = this.#paused ?? this.#rows.all;
    this.#shown = this.#sorted(source.filter((row) => this.#isShown(row)));
    const shown = this.#shown;
    const inside = Math.ceil(scroll.clientHeight / ROW);
    const first = this.#held ? this.#index(this.#held.key) : shown.length;
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

  #sorted(rows) {
    this.#parts.heads.forEach((head, i) => {
      if (this.#order?.i === i) head.setAttribute("aria-sort", this.#order.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    if (!this.#order) return rows;
    const { i, down } = this.#order;
    const { kind, labels } = this.#columns[i];
    const counts = ["number", "amount"].includes(kind);
    const value = counts ? (row) => Number(row.values[i]) : (row) => row.values[i];
    const none = (row) => row.values[i] === null || (counts && row.values[i] in labels); // a word in place of a number
    const compare = (a, b) => {
      if (none(a) || none(b)) return none(a) - none(b);
      const [first, second] = down ? [b, a] : [a, b];
      return value(first) < value(second) ? -1 : value(first) > value(second) ? 1 : first.key - second.key;
    };
    return rows.sort(compare);
  }

  /** Where a row is among those shown; where it would be, or what is in sight, if it is not among them. */
  #index(key) {
    if (key === TOP) return 0;
    if (!this.#order) return place(this.#shown, key);
    const found = this.#shown.findIndex((row) => row.key === key);
    return found >= 0 ? found : Math.min(this.#shown.length, Math.floor(this.#parts.scroll.scrollTop / ROW));
  }

  #isShown(row) {
    let fits = this.#fits.get(row.values);
    if (fits === undefined) {
      fits = [...this.#tests.values()].every((test) => test(row.values));
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
      else cell.append(make("bdi", { title: ["time", "moment"].includes(column.kind) ? row.values[i] : undefined }, text));
      return cell;
    });
    const element = make("tr", { click: () => this.#toggle(row) }, ...cells);
    element.key = row.key;
    element.values = row.values;
    return element;
  }
}
