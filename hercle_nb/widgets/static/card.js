// The face `card`: what moves below the static card. The countdown runs here, whatever the kernel does.

function card(model) {
  const presence = new Presence(model);
  let ahead; // milliseconds of the hub's clock before this browser's
  const measure = () => {
    ahead = model.get("facts").now - Date.now();
  };
  measure();
  model.on("change:facts", measure);
  return (el) => {
    if (dead(el) && !presence.views.size) ahead = Math.max(ahead, 0); // of a saved page, which is older than that
    const left = make("span", { role: "timer", class: "hn-left" });
    const when = make("span", { class: "hn-quiet" });
    const note = make("span", { class: "hn-warning", "aria-live": "polite" });
    const said = make("span", { class: "hn-quiet", "aria-live": "polite" });
    const pay = button("", () => {
      tell(model, { type: "pay" });
      say(said, "Paying…");
    });
    const copying = button("Copy payment request", () => copied(model.get("facts").request, said));
    const line = make("div", { class: "hn-line" }, copying, pay, said, left, when, note);
    const face = make("div", { class: "hn-face" }, line);
    el.append(face);

    const draw = () => {
      const focused = face.contains(document.activeElement) ? document.activeElement : null;
      const { status, expires, pay: label, note: words } = model.get("facts");
      const seconds = Math.round((expires - ahead - Date.now()) / 1000);
      const open = status === "open" && seconds > 0;
      // what can be paid no more must not look as if it could, even where no kernel can say so
      el.closest(".hn-card")?.classList.toggle("hn-late", status !== "paid" && seconds <= 0);
      copying.hidden = !open || !model.get("facts").request;
      pay.hidden = !label || !open;
      say(pay, label);
      say(left, open ? `Expires in ${duration(seconds)}` : status === "open" ? "Expired" : "");
      const local = new Date(expires).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "long" });
      say(when, open ? `${local} here` : "");
      say(note, dead(el) ? "The kernel is gone: whether this is paid is not looked at." : visible(words));
      if (!open && said.textContent === "Paying…") say(said, "");
      face.hidden = !open && !note.textContent && !left.textContent;
      if (focused?.offsetParent === null) stand(el.closest(".hn-card")); // or the next key is JupyterLab's
    };
    draw();
    const clock = setInterval(draw, 1000);
    model.on("change:facts", draw);
    const leave = presence.enter(draw);
    return () => {
      clearInterval(clock);
      model.off("change:facts", draw);
      leave();
    };
  };
}

/** Give the focus to what is otherwise none of its places. */
function stand(element) {
  if (!element) return;
  element.tabIndex = -1;
  element.dataset.lmSuppressShortcuts = "true";
  element.focus();
}

/** A number of seconds as a clock shows it, days before it. */
function duration(seconds) {
  const two = (number) => String(number).padStart(2, "0");
  const days = Math.floor(seconds / 86_400);
  const clock = [Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60].map(two).join(":");
  return days ? `${counted(days, "day")} ${clock}` : clock;
}
