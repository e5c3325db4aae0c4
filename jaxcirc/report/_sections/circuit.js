// A circuit: sources and destinations of a layer side by side, layers from left to right.
page.explorer("circuit", ({ section, data }) => {
  const svg = section.querySelector("svg.circuit");
  const sentence = section.querySelector(".sentence");
  const names = data.nodes.map((node) => node.name);
  let picked = null;

  const make = (tag, attributes, parent) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return parent.appendChild(element);
  };

  // Edges of a step with the largest scores, strongest first.
  const strongest = () => data.edges[step.place()].slice(0, edges.place() + 1);

  const path = (edge) => {
    const a = data.nodes[edge[0]], b = data.nodes[edge[1]];
    const bend = (b.x - a.x) / 2;
    // The three inputs of a head arrive below one another.
    const y = b.y + { q: -6, k: 0, v: 6 }[edge[2]] || b.y;
    return `M${a.x + 22},${a.y} C${a.x + 22 + bend},${a.y} ${b.x - 22 - bend},${y} ${b.x - 22},${y}`;
  };

  const told = (edge) => {
    const [from, to, input, score, low, high, often] = edge;
    const where = names[to] + (input ? ` (${{ q: "query", k: "key", v: "value" }[input]})` : "");
    const sure = low === null ? "" : `, 95% interval ${low.toPrecision(2)} to ${high.toPrecision(2)}`;
    return `${names[from]} to ${where}: ${score.toPrecision(3)} ${data.units}${sure}` +
      (often === null ? "" : `; chosen in ${Math.round(100 * often)}% of resamples`);
  };

  const show = () => {
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${data.width} ${data.height}`);
    // A small graph need not fill the page.
    svg.style.maxWidth = `${2 * data.width}px`;
    const all = strongest();
    const shown = picked === null ? all : all.filter((e) => e[0] === picked || e[1] === picked);
    const most = Math.max(...all.map((e) => Math.abs(e[3])), 1e-30);
    const used = new Set(all.flatMap((e) => [e[0], e[1]]));
    for (const edge of shown) {
      const colour = edge[3] < 0 ? "#0072b2" : "#d55e00";
      const line = make("path", { d: path(edge), fill: "none", stroke: colour,
        "stroke-width": 0.8 + 6 * Math.abs(edge[3]) / most,
        "stroke-opacity": 0.15 + 0.75 * (edge[6] === null ? 1 : edge[6]) }, svg);
      make("title", {}, line).textContent = told(edge);
    }
    data.nodes.forEach((node, i) => {
      const group = make("g", { class: "node", style: "cursor: pointer", opacity: used.has(i) ? 1 : 0.3 }, svg);
      make("rect", { x: node.x - 22, y: node.y - 11, width: 44, height: 22, rx: 5,
        fill: picked === i ? "#ffe9a8" : "white", stroke: "#52606d" }, group);
      make("text", { x: node.x, y: node.y + 4, "text-anchor": "middle", fill: "#1f2933" }, group)
        .textContent = node.label;
      if (data.heads.includes(i)) ["q", "k", "v"].forEach((input, place) => {
        make("text", { x: node.x - 25, y: node.y - 4 + 6 * place, "font-size": 5.5,
          "text-anchor": "end", fill: "#52606d" }, group).textContent = input;
      });
      group.addEventListener("click", () => { picked = picked === i ? null : i; show(); });
    });
    const whose = picked === null ? "" : ` Only edges of ${names[picked]}; click it again for all.`;
    sentence.textContent = (all.length ? `Strongest: ${told(all[0])}.` : "No score is finite.") + whose;
  };

  const step = page.slider(section, "step", data.steps.map(page.number), show);
  const edges = page.slider(section, "edges",
    Array.from({ length: data.most }, (_, i) => page.number(i + 1)), show);
  page.onStep((at) => step.move(page.nearest(data.steps, at)));
  show();
});
