// Pieces for any face. What comes from outside is text, never markup.

/** An element with attributes (functions are listeners) and children (strings are text). */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children);
  if (element.tabIndex >= 0) element.dataset.lmSuppressShortcuts = "true"; // or JupyterLab takes its keys
  return element;
}

function button(label, click, more = "") {
  return make("button", { type: "button", class: `hn-button ${more}`, click }, label);
}

/** Disable a button for all but the focus, which it keeps. */
function disable(element, disabled) {
  element.setAttribute("aria-disabled", disabled);
}

const GONE = "jupyter-widgets-disconnected"; // ipywidgets marks a view so when its kernel dies or is restarted

/** Whether the kernel of a view is gone. */
const dead = (el) => el.closest(`.${GONE}`) !== null;

/** Call what draws a view when its state changes or its kernel goes; gives what ends that. */
function whenNew(model, draw) {
  const gone = () => requestAnimationFrame(draw); // the page is marked after the model
  model.on("change:state", draw);
  model.on("comm_live_update", gone);
  return () => {
    model.off("change:state", draw);
    model.off("comm_live_update", gone);
  };
}

/** Show a hub's state and the reason for it. */
function showState(badge, reason, el, told) {
  const gone = dead(el);
  const state = gone ? "closed" : told.state;
  badge.dataset.state = state;
  say(badge, state.charAt(0).toUpperCase() + state.slice(1));
  say(reason, visible(gone ? "The kernel is gone; run the cell again." : told.reason));
}

/** Set a text where it differs, so that nothing is announced or laid out again without need. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

const counted = (number, noun) => `${number.toLocaleString("en-US")} ${noun}${number === 1 ? "" : "s"}`;

const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g;

/** A text in which characters that cannot be seen, or turn the direction of others, are named. */
function visible(text) {
  const code = (found) => found.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
  return text.replace(UNSEEN, (found) => `U+${code(found)}`);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch { // no permission, or a page without https
    const before = document.activeElement;
    const field = make("textarea", { style: "position: fixed; opacity: 0" }); // the page does not scroll to it
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
    before?.focus();
  }
}

/** Copy a text and say so for a moment. */
async function copied(text, place) {
  await copy(text);
  say(place, "Copied");
  setTimeout(() => say(place, ""), 2000);
}

function download(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

/** A JSON text laid out by its own characters: a number stays digit for digit, half a text is no error. */
function laidOut(text) {
  let depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  const tokens = text.match(/"(?:[^"\\]|\\.)*"?|[{}[\],:]|\s+|[^"{}[\],:\s]+/gs) ?? [];
  const solid = tokens.filter((token) => token.trim());
  return solid
    .map((token, index) => {
      if ("{[".includes(token)) {
        if ("}]".includes(solid[index + 1] ?? " ")) return token;
        depth += 1;
        return token + line();
      }
      if ("}]".includes(token)) {
        if ("{[".includes(solid[index - 1] ?? " ")) return token;
        depth = Math.max(0, depth - 1);
        return line() + token;
      }
      if (token === ",") return token + line();
      return token === ":" ? ": " : visible(token);
    })
    .join("");
}

/** Tell the other side; without a kernel there is none. Whether it could be sent. */
function tell(model, message) {
  try {
    model.send(message);
    return true;
  } catch {
    return false; // the badge says so
  }
}

const HERE = 10_000; // milliseconds between two signs of life

/** Tells the other side while a model has views in this browser. */
class Presence {
  views = new Set();
  #model;
  #here;

  constructor(model) {
    this.#model = model;
    model.on("msg:custom", (message) => {
      if (message.type === "anyone" && this.views.size) tell(model, { type: "hello" });
    });
  }

  /** A view appears; call what this gives when it goes. */
  enter(view) {
    this.views.add(view);
    if (this.views.size === 1) {
      tell(this.#model, { type: "hello" });
      this.#here = setInterval(() => tell(this.#model, { type: "here" }), HERE);
      addEventListener("pagehide", this.#bye); // or the server keeps for ever what nobody fetches
    }
    return () => {
      this.views.delete(view);
      if (this.views.size === 0) {
        clearInterval(this.#here);
        removeEventListener("pagehide", this.#bye);
        this.#bye();
      }
    };
  }

  #bye = () => tell(this.#model, { type: "bye" });
}

/** What is pressed in a face that goes step by step: each press names the turn it was made in, and one is enough. */
class Steps {
  #model;
  #el;
  #draw;
  #turn;
  #waits = false; // something was pressed here that the kernel has not answered by another turn

  constructor(model, el, draw) {
    this.#model = model;
    this.#el = el;
    this.#draw = draw;
    this.#turn = model.get("state").turn;
  }

  get waits() {
    return this.#waits;
  }

  press(type, more = {}) {
    if (this.#waits || dead(this.#el)) return;
    this.#waits = true;
    if (!tell(this.#model, { type, turn: this.#model.get("state").turn, ...more })) {
      this.#el.classList.add(GONE); // its kernel was shut down, which nobody marks
    }
    this.#draw();
  }

  /** The kernel's step since the last call, if it took one, and whether it was by a press here. */
  taken() {
    const { turn } = this.#model.get("state");
    const step = turn === this.#turn ? null : { mine: this.#waits };
    // whether it arrived at a kernel that is gone, nobody says; if it did, the next press is of a past turn
    if (step || dead(this.#el)) this.#waits = false;
    this.#turn = turn;
    return step;
  }
}

/** What a button does unless it is disabled. */
const active = (press) => (event) => event.currentTarget.getAttribute("aria-disabled") !== "true" && press();
