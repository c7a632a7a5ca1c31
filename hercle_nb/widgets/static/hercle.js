// The front end of every live face: this file after the others here, one module without a build step.
//
// anywidget makes the default export once for each model, and the trait `face` decides what that is. A face
// is a function that gets the model once (for its rows and listeners) and gives a function that draws a view
// into an element and returns what undoes that. All views of a model in a browser share what the face keeps.

/** A face that names the box around it, and is not seen itself. */
function region(model) {
  return (el) => {
    let frame = requestAnimationFrame(function name() {
      const box = el.parentElement?.closest(".widget-box, .jupyter-widgets");
      if (box) {
        box.setAttribute("role", "region");
        box.setAttribute("aria-label", model.get("label"));
      } else frame = requestAnimationFrame(name);
    });
    el.style.display = "none";
    return () => cancelAnimationFrame(frame);
  };
}

const faces = { card, connect, console: commandConsole, fold, form, region, table };

export default () => {
  let draw;
  return {
    initialize({ model }) {
      draw = faces[model.get("face")](model);
    },
    render({ el }) {
      return draw(el);
    },
  };
};
