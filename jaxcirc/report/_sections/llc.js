// Chains: [step][chain][draw]. The slider and a click on the curves choose the step.
page.explorer("llc", ({ section, figure, data }) => {
  const every = Array.from({ length: data.values[0].length + 1 }, (_, i) => i);
  const show = () => {
    const s = step.place();
    section.querySelector(".sentence").textContent = data.sentences[s];
    Plotly.restyle(figure, { y: [...data.values[s], [data.means[s], data.means[s]]] }, every);
  };
  const step = page.slider(section, "step", data.steps.map(page.number), show);
  page.onStep((at) => step.move(page.nearest(data.steps, at)));
  show();
});
