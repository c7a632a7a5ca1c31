// The face `fold`: a button that shows and hides the widget after it, which may change meanwhile.

function fold(model) {
  return (el) => {
    let open = false;
    const toggle = button("", () => {
      open = !open;
      draw();
    });
    let frame = 0;
    const draw = () => {
      const { nextElementSibling: after } = el;
      say(toggle, `${open ? "▾" : "▸"} ${model.get("title")}`);
      toggle.setAttribute("aria-expanded", open);
      if (after) after.style.display = open ? "" : "none";
      else frame = requestAnimationFrame(draw); // it is yet to come
    };
    el.append(make("div", { class: "hn-face hn-fold" }, toggle));
    draw();
    model.on("change:title", draw);
    return () => {
      cancelAnimationFrame(frame);
      model.off("change:title", draw);
    };
  };
}
