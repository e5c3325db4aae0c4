// Attention patterns: [step][head][query][key], a byte each.
page.explorer("patterns", ({ section, figure, data }) => {
  const bytes = page.bytes(data.values);
  const n = data.size;
  const show = () => {
    const start = (step.place() * data.heads.length + head.place()) * n * n;
    const rows = Array.from({ length: n }, (_, q) =>
      Array.from(bytes.subarray(start + q * n, start + (q + 1) * n), (b) => b / 255));
    Plotly.restyle(figure, { z: [rows] });
  };
  const step = page.slider(section, "step", data.steps.map(page.number), show);
  const head = page.slider(section, "head", data.heads, show);
  show();
});
