// Attention before and after: [step][head][query][key], a byte each.
page.explorer("pattern_change", ({ section, figure, data }) => {
  const n = data.size;
  const [before, after] = [page.bytes(data.before), page.bytes(data.after)];
  const show = () => {
    const start = (step.place() * data.heads.length + head.place()) * n * n;
    const rows = (value) => Array.from({ length: n }, (_, q) =>
      Array.from({ length: n }, (_, k) => value(start + q * n + k) / 255));
    Plotly.restyle(figure, { z: [
      rows((i) => before[i]), rows((i) => after[i]), rows((i) => after[i] - before[i]),
    ] });
  };
  const step = page.slider(section, "step", data.steps.map(page.number), show);
  const head = page.slider(section, "head", data.heads, show);
  show();
});
