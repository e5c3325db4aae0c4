// Matrices: [choice][step][row][column], two bytes each between the ends of the choice.
page.explorer("quantities", ({ section, figure, data }) => {
  const levels = new Uint16Array(page.bytes(data.values).buffer);
  const [rows, columns] = data.shape;
  const size = rows * columns;
  const show = () => {
    const { low, high, units, scale } = data.choices[choice.place()];
    const start = (choice.place() * data.steps.length + step.place()) * size;
    const value = (level) =>
      level === data.missing ? null : low + (level / (data.missing - 1)) * (high - low);
    const z = Array.from({ length: rows }, (_, r) =>
      Array.from(levels.subarray(start + r * columns, start + (r + 1) * columns), value));
    const colours = Object.fromEntries(Object.entries(scale).map(([k, v]) => [k, [v]]));
    Plotly.restyle(figure, { z: [z], "colorbar.title.text": [units], ...colours });
  };
  const step = page.slider(section, "step", data.steps.map(page.number), show);
  const choice = page.slider(section, "choice", data.choices.map(({ label }) => label), show);
  page.onStep((at) => step.move(page.nearest(data.steps, at)));
  show();
});
