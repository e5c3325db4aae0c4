// One latent is drawn at a time, and of the list only the rows on the screen.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const there = bytes(data.there);
  const shades = bytes(data.shades);
  const raw = bytes(data.ids);
  const ids = data.wide ? new Uint32Array(raw.buffer) : new Uint16Array(raw.buffer);
  const count = data.density.length;
  const [find, order, list, rows, card] =
    ["find", "order", "list", "rows", "card"].map((id) => document.getElementById(id));
  const HEIGHT = 28;
  let sorted = [...Array(count).keys()];
  let chosen = 0;

  const make = (tag, text = "", name = "") => {
    const node = document.createElement(tag);
    // Text, never markup: tokens may look like tags.
    node.textContent = text;
    if (name) node.className = name;
    return node;
  };
  const percent = (share) => (share ? `${(100 * share).toPrecision(3)}%` : "never");
  // Blanks and line ends are tokens that would not be seen.
  const visible = (word) => word.replace(/\n/g, "⏎").replace(/\t/g, "⇥");

  function drawRows() {
    const first = Math.max(0, Math.floor(list.scrollTop / HEIGHT) - 5);
    const last = Math.min(count, first + Math.ceil(list.clientHeight / HEIGHT) + 10);
    rows.style.height = `${count * HEIGHT}px`;
    rows.replaceChildren(...sorted.slice(first, last).map((latent, i) => {
      const row = make("button");
      row.style.top = `${(first + i) * HEIGHT}px`;
      row.setAttribute("role", "option");
      row.setAttribute("aria-selected", latent === chosen);
      row.append(make("span", `${latent}`), make("span", percent(data.density[latent])));
      row.addEventListener("click", () => choose(latent));
      return row;
    }));
  }

  function example(latent, k) {
    const line = make("p", "", "example");
    const start = (latent * data.n_examples + k) * data.width;
    for (let i = start; i < start + data.width; i++) {
      const word = make("span", visible(data.words[ids[i]]));
      if (shades[i]) {
        word.style.background = `rgba(213, 94, 0, ${(0.08 + 0.72 * shades[i] / 255).toFixed(3)})`;
        word.title = `${(data.largest[latent] * shades[i] / 255).toPrecision(3)}`;
      }
      line.append(word);
    }
    return line;
  }

  function bars(counts) {
    const box = make("div", "", "bars");
    const most = Math.max(1, ...counts.map((n) => Math.log1p(n)));
    counts.forEach((n) => {
      const bar = make("div");
      bar.style.height = `${100 * Math.log1p(n) / most}%`;
      bar.title = `${n}`;
      box.append(bar);
    });
    return box;
  }

  function table(title, flat, cell) {
    const box = make("div");
    const grid = make("table", "", "plain");
    for (let i = 0; i < flat.length; i += 2) {
      const row = make("tr");
      const left = make("td");
      left.append(cell(flat[i]));
      row.append(left, make("td", flat[i + 1].toPrecision(3)));
      grid.append(row);
    }
    box.append(make("h3", title), grid);
    return box;
  }

  function drawCard() {
    const latent = chosen;
    const word = (id) => make("span", visible(data.words[id]));
    const link = (other) => {
      const button = make("button", `${other}`);
      button.addEventListener("click", () => choose(other));
      return button;
    };
    const lists = make("div", "", "lists");
    lists.append(
      table("promotes", data.promoted[latent], word),
      table("suppresses", data.suppressed[latent], word),
      table("near", data.near[latent], link),
    );
    const examples = [...Array(data.n_examples).keys()]
      .filter((k) => there[latent * data.n_examples + k])
      .map((k) => example(latent, k));
    card.replaceChildren(
      make("h2", `Latent ${latent}`),
      ...(examples.length ? [make("p",
        `Fires on ${percent(data.density[latent])} of the positions; largest ` +
        `activation ${data.largest[latent].toPrecision(3)}.`)] : []),
      ...(examples.length ? examples : [make("p", "It fires on none of the sequences.")]),
      make("h3", "Activations from 0 to the largest, counts on a logarithmic scale"),
      bars(data.histogram[latent]),
      lists,
    );
  }

  function choose(latent) {
    chosen = Math.min(count - 1, Math.max(0, latent || 0));
    find.value = chosen;
    const place = sorted.indexOf(chosen) * HEIGHT;
    if (place < list.scrollTop || place + HEIGHT > list.scrollTop + list.clientHeight) {
      list.scrollTop = place - list.clientHeight / 2;
    }
    drawRows();
    drawCard();
  }

  order.addEventListener("change", () => {
    const by = data[order.value];
    sorted = [...Array(count).keys()];
    if (by) sorted.sort((a, b) => by[b] - by[a] || a - b);
    list.scrollTop = 0;
    choose(sorted[0]);
  });
  find.max = count - 1;
  find.addEventListener("change", () => choose(Number(find.value)));
  list.addEventListener("scroll", drawRows);
  list.addEventListener("keydown", (event) => {
    const by = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!by) return;
    event.preventDefault();
    choose(sorted[Math.min(count - 1, Math.max(0, sorted.indexOf(chosen) + by))]);
  });
  // Where there is something to see.
  choose(data.largest.findIndex((activation) => activation > 0));
})();
