// The rows of a table in this browser, and the files they can be downloaded as.

const RING = 5000; // rows kept
const CHOICES = 200; // values offered for a column
const LONGEST = 300; // characters of a value in the table; an opened row has more

/** The last rows of a model, for all of its views. */
class Rows {
  all = []; // {key, values}, in the order of their keys
  skipped = 0; // since this browser first heard
  choices; // the values of each column that has a choice
  presence; // its views are functions to call when rows have come
  #byKey = new Map();
  #skippedBefore;

  constructor(model) {
    this.presence = new Presence(model);
    const offers = (column, i) => (column.filter === "choice" ? [[i, new Set(Object.keys(column.labels))]] : []);
    this.choices = new Map(model.get("columns").flatMap(offers));
    model.on("msg:custom", (message, buffers) => {
      if (message.type === "rows") this.#take(message);
      if (message.type === "file") download(message.name, "application/octet-stream", buffers[0]);
    });
  }

  #take({ rows, skipped }) {
    const fresh = [];
    const gone = new Set();
    for (const values of rows) {
      if (values.length === 1) { // a key alone: that row is gone
        gone.add(values[0]);
        this.#byKey.delete(values[0]);
        continue;
      }
      gone.delete(values[0]);
      const known = this.#byKey.get(values[0]);
      if (known) {
        known.values = values;
        known.text = undefined;
        continue;
      }
      const row = { key: values[0], values, text: undefined };
      this.#byKey.set(row.key, row);
      fresh.push(row);
      for (const [i, offered] of this.choices) {
        if (values[i] !== null && offered.size < CHOICES) offered.add(values[i]);
      }
    }
    const last = this.all.at(-1)?.key ?? -Infinity;
    const kept = gone.size ? this.all.filter((row) => !gone.has(row.key)) : this.all;
    const all = kept.concat(fresh);
    if (fresh.some((row, i) => row.key < (fresh[i - 1]?.key ?? last))) all.sort((a, b) => a.key - b.key);
    for (const row of all.slice(0, -RING)) this.#byKey.delete(row.key);
    this.all = all.slice(-RING); // a new list: a paused view keeps its own
    this.#skippedBefore ??= skipped;
    this.skipped = skipped - this.#skippedBefore;
    for (const view of this.presence.views) view();
  }
}

/** Where in a list ordered by key the first row with that key or a later one is. */
function place(rows, key) {
  let low = 0;
  let high = rows.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].key < key) low = middle + 1;
    else high = middle;
  }
  return low;
}

function cellText(column, value) {
  if (value === null) return "";
  if (column.kind === "time") return value.slice(11, 23);
  if (column.kind === "moment") return `${value.slice(0, 10)} ${value.slice(11, 19)}`;
  if (value in column.labels) return column.labels[value];
  return visible(String(value).slice(0, LONGEST).replace(/[\ud800-\udbff]$/, "")); // no half a character
}

function csv(columns, rows) {
  const field = (value) => {
    if (value === null || typeof value === "number") return String(value ?? "");
    const text = /^[=+\-@\t\r]/.test(value) ? `'${value}` : value; // a spreadsheet would run it
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const lines = [columns.map((column) => column.name), ...rows.map((row) => row.values)];
  return lines.map((line) => `${line.map(field).join(",")}\r\n`).join("");
}

function jsonLines(columns, rows) {
  const object = (row) => Object.fromEntries(columns.map((column, i) => [column.name, row.values[i]]));
  return rows.map((row) => `${JSON.stringify(object(row))}\n`).join("");
}
