"use strict";
const parse = (element) => JSON.parse(element.textContent);

// Figures.
const config = { responsive: true, displaylogo: false, displayModeBar: window.innerWidth > 700 ? "hover" : false, modeBarButtonsToRemove: ["lasso2d", "select2d"] };
for (const data of document.querySelectorAll(".figure-data")) {
  const figure = parse(data);
  Plotly.newPlot(data.previousElementSibling, figure.data, figure.layout, config);
}

// What sliders show lies in the section of its figure.
const explorers = [...document.querySelectorAll(".explorer-data")].map((data) => {
  const section = data.closest("section");
  return { section, figure: section.querySelector(".figure"), data: parse(data) };
});
const ofKind = (kind) => explorers.filter(({ data }) => data.kind === kind);

// Attention patterns: [step][head][query][key], a byte each.
for (const { section, figure, data } of ofKind("patterns")) {
  const bytes = Uint8Array.from(atob(data.values), (c) => c.charCodeAt(0));
  const [step, head] = ["step", "head"].map((name) => section.querySelector(`input.${name}`));
  const n = data.size;
  const show = () => {
    const [s, h] = [Number(step.value), Number(head.value)];
    const start = (s * data.heads.length + h) * n * n;
    const rows = [];
    for (let q = 0; q < n; q++) {
      rows.push(Array.from(bytes.subarray(start + q * n, start + (q + 1) * n), (b) => b / 255));
    }
    step.previousElementSibling.textContent = data.steps[s].toLocaleString("en");
    head.previousElementSibling.textContent = data.heads[h];
    Plotly.restyle(figure, { z: [rows] });
  };
  step.addEventListener("input", show);
  head.addEventListener("input", show);
  show();
}

// Chains: [step][chain][draw]. The slider and a click on the curves choose the step.
for (const { section, figure, data } of ofKind("traces")) {
  const step = section.querySelector("input.step");
  const chains = data.values[0].length;
  const show = () => {
    const s = Number(step.value);
    const mean = [data.means[s], data.means[s]];
    const every = Array.from({ length: chains + 1 }, (_, i) => i);
    step.previousElementSibling.textContent = data.steps[s].toLocaleString("en");
    section.querySelector(".sentence").textContent = data.sentences[s];
    Plotly.restyle(figure, { y: [...data.values[s], mean] }, every);
  };
  step.addEventListener("input", show);
  const curves = document.querySelector("#development .figure");
  if (curves) {
    curves.on("plotly_click", (event) => {
      // Step 0 has a place of its own on a logarithmic axis.
      const at = event.points[0].x < 1 ? 0 : event.points[0].x;
      const nearest = data.steps.reduce((best, s, i) =>
        Math.abs(s - at) < Math.abs(data.steps[best] - at) ? i : best, 0);
      step.value = nearest;
      show();
    });
  }
  show();
}

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
