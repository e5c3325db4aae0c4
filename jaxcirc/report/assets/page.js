"use strict";
const parse = (element) => JSON.parse(element.textContent);

// Figures.
const config = { responsive: true, displaylogo: false, displayModeBar: window.innerWidth > 700 ? "hover" : false, modeBarButtonsToRemove: ["lasso2d", "select2d"] };
for (const data of document.querySelectorAll(".figure-data")) {
  const figure = parse(data);
  Plotly.newPlot(data.previousElementSibling, figure.data, figure.layout, config);
}

// What a section's own script may use. Scripts follow this one, when figures are drawn.
const page = {
  // Calls show({section, figure, data}) for every explorer of a kind on the page.
  explorer(kind, show) {
    for (const element of document.querySelectorAll(".explorer-data")) {
      if (element.dataset.kind !== kind) continue;
      const section = element.closest("section");
      show({ section, figure: section.querySelector(".figure"), data: parse(element) });
    }
  },

  // A slider over labels; one that is not in the section stays at its first place.
  slider(section, name, labels, moved) {
    const input = section.querySelector(`input.${name}`);
    if (!input) return { place: () => 0, move: () => {} };
    const tell = () => {
      input.previousElementSibling.textContent = labels[Number(input.value)];
    };
    input.addEventListener("input", () => { tell(); moved(); });
    tell();
    const move = (place) => { input.value = place; tell(); moved(); };
    return { place: () => Number(input.value), move };
  },

  // Calls moved(step) when a point of the curves of the whole study is clicked.
  onStep(moved) {
    const curves = document.querySelector("#development .figure");
    // Step 0 has a place of its own on a logarithmic axis.
    if (curves) curves.on("plotly_click", ({ points: [{ x }] }) => moved(x < 1 ? 0 : x));
  },

  // The place of the step that is nearest to another.
  nearest: (steps, at) => steps.reduce((best, step, i) =>
    Math.abs(step - at) < Math.abs(steps[best] - at) ? i : best, 0),

  bytes: (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0)),
  number: (value) => value.toLocaleString("en"),
};

// Tables.
for (const button of document.querySelectorAll("button[data-csv]")) {
  button.addEventListener("click", () => {
    const text = parse(document.getElementById(button.dataset.csv));
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = button.dataset.name;
    link.click();
    URL.revokeObjectURL(link.href);
  });
}

// Paper is narrower than the window, and a figure must fit on one sheet.
const figures = () => [...document.querySelectorAll(".figure")];
window.addEventListener("beforeprint", () => {
  for (const figure of figures()) {
    figure.dataset.height = figure.layout.height;
    Plotly.relayout(figure, { width: 680, height: Math.min(figure.layout.height, 860) });
  }
});
window.addEventListener("afterprint", () => {
  for (const figure of figures()) {
    Plotly.relayout(figure, { width: null, height: Number(figure.dataset.height), autosize: true });
  }
});
