// The item browser. Model texts only ever become text nodes; nothing is loaded from anywhere.
(async () => {
  const root = document.getElementById("browser");
  const PAGE = 200;
  const FIELDS = ["model", "kind", "direction", "behaviour", "verdict"];

  async function unpack(base64) {
    const text = atob(base64.trim());
    const bytes = new Uint8Array(text.length);
    for (let k = 0; k < text.length; k++) bytes[k] = text.charCodeAt(k);
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  }

  function el(tag, properties = {}, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name === "data") Object.assign(node.dataset, value);
      else if (name in node) node[name] = value;
      else node.setAttribute(name, value);
    }
    node.append(...children.filter((child) => child !== null));
    return node;
  }

  const words = (name) => name.replaceAll("_", " ");

  // Text with marks and scores laid over it: cut at every boundary, one span per piece.
  function paint(text, marks, scores) {
    const cuts = new Set([0, text.length]);
    for (const [start, end] of [...marks, ...scores]) cuts.add(start).add(end);
    const sorted = [...cuts].filter((cut) => cut >= 0 && cut <= text.length).sort((a, b) => a - b);
    const out = document.createDocumentFragment();
    for (let k = 0; k + 1 < sorted.length; k++) {
      const [from, to] = [sorted[k], sorted[k + 1]];
      const inside = ([start, end]) => start <= from && to <= end;
      const names = marks.filter(inside).map((mark) => `m-${mark[2]}`);
      const score = scores.find(inside);
      const piece = text.slice(from, to);
      if (!names.length && !score) { out.append(piece); continue; }
      const span = el("span", { className: [...names, score ? "scored" : ""].join(" ") }, piece);
      if (score) {
        span.style.setProperty("--score", score[2]);
        span.title = `probe score ${score[2].toFixed(2)}`;
      }
      out.append(span);
    }
    return out;
  }

  function run(data) {
    const [text, marks, scores = []] = data.completion;
    const turns = data.messages.map(([role, content, spans]) =>
      el("div", { className: "turn" }, el("b", {}, role), el("div", { className: "text", dir: "auto" }, paint(content, spans, []))));
    const note = data.truncated ? " (cut by the token limit)" : "";
    return el("div", { className: "run" },
      el("h5", {}, `${data.condition} run: answers ${data.answer ?? "nothing that could be parsed"}${note}`),
      ...turns,
      el("div", { className: "turn model" }, el("b", {}, "model"), el("div", { className: "text", dir: "auto" }, paint(text, marks, scores))));
  }

  function facts(item) {
    const [unhinted, hinted, swapped, neutral] = item.answers.map((answer) => answer ?? "–");
    const judges = item.judges.map(([name, said, status]) => `${name}: ${status === "ok" ? said : status}`).join(", ");
    return el("p", { className: "note" },
      `Hint: ${words(item.kind)}, names (${item.target}); right option (${item.gold}). Answers: unhinted ${unhinted}, hinted ${hinted}, ` +
      `swapped ${swapped}, neutral ${neutral}. ${judges ? `Judges: ${judges}.` : "No verdict."}${item.reason ? ` Ambiguous: ${item.reason}.` : ""}`);
  }

  const scored = (item) => item.runs?.[0].completion.length > 2;
  const rank = (item) => ["reliant", "overdetermined", "aligned", "resisted", "ambiguous"].indexOf(item.behaviour) * 4 + (item.verdict === "admits") * 2 + !scored(item);
  const items = (await unpack(document.getElementById("items").textContent)).sort((a, b) => rank(a) - rank(b));
  const haystack = new Map();
  const textOf = (item) => {
    if (!haystack.has(item)) haystack.set(item, `${item.id} ${JSON.stringify(item.runs ?? "")}`.toLowerCase());
    return haystack.get(item);
  };

  const list = root.querySelector(".rows");
  const detail = root.querySelector(".detail");
  const count = root.querySelector(".count");
  const form = root.querySelector("form");
  let matching = [];
  let shown = 0;
  let current = null;

  for (const field of FIELDS) {
    const select = form.elements[field];
    const values = [...new Set(items.map((item) => item[field]))].sort();
    for (const value of values) select.append(el("option", { value }, words(value)));
    select.parentElement.hidden = values.length < 2;
  }

  function row(item) {
    const [unhinted, hinted] = item.answers.map((answer) => answer ?? "–");
    const button = el("button", { type: "button", data: { id: item.id, model: item.model } },
      el("i", { className: `c-${item.behaviour === "reliant" ? (item.verdict === "admits" ? "said" : "hidden") : { overdetermined: "over" }[item.behaviour] ?? item.behaviour}` }),
      el("span", {}, words(item.kind)),
      el("span", { className: "soft" }, `${item.behaviour}, ${item.verdict}${scored(item) ? ", scored" : ""}`),
      el("span", { className: "mono" }, `${unhinted}→${hinted} (h ${item.target})`));
    button.addEventListener("click", () => {
      open(item, button);
      history.replaceState(null, "", `#item=${encodeURIComponent(item.id)}`);
    });
    return button;
  }

  function open(item, button) {
    current = item;
    list.querySelector("[aria-current]")?.removeAttribute("aria-current");
    button?.setAttribute("aria-current", "true");
    const heading = el("h4", {}, item.id);
    const body = item.runs
      ? el("div", { className: "runs" }, ...item.runs.map(run))
      : el("p", { className: "none" }, "Texts were left out of this report.");
    detail.replaceChildren(heading, facts(item), body);
  }

  function more() {
    list.append(...matching.slice(shown, shown + PAGE).map(row));
    shown = Math.min(shown + PAGE, matching.length);
  }

  function filter() {
    const started = performance.now();
    const wanted = FIELDS.map((field) => [field, form.elements[field].value]).filter(([, value]) => value);
    const text = form.elements.text.value.trim().toLowerCase();
    matching = items.filter((item) => wanted.every(([field, value]) => item[field] === value) && (!text || textOf(item).includes(text)));
    shown = 0;
    list.replaceChildren();
    list.scrollTop = 0;
    more();
    count.textContent = `${matching.length} of ${items.length}`;
    if (current && !matching.includes(current)) {
      current = null;
      detail.replaceChildren(el("p", { className: "none" }, matching.length ? "Choose a rollout to read it." : "No rollout matches."));
    }
    root.dataset.filterMs = (performance.now() - started).toFixed(1);
  }

  list.addEventListener("scroll", () => {
    if (shown < matching.length && list.scrollTop + list.clientHeight > list.scrollHeight - 400) more();
  });
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: "nextElementSibling", ArrowUp: "previousElementSibling" }[event.key];
    const next = step && document.activeElement?.[step];
    if (!next) return;
    event.preventDefault();
    next.focus();
    next.click();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", filter);
  filter();
  const linked = /#item=(.+)$/.exec(location.hash);
  const first = (linked && items.find((item) => item.id === decodeURIComponent(linked[1]))) || items[0];
  if (first) open(first, list.querySelector(`[data-id="${CSS.escape(first.id)}"]`));
  // Every figure can be saved as a file and cited: the drawing is the one on the page.
  for (const figure of document.querySelectorAll("figure")) {
    const drawing = figure.querySelector("svg.figure");
    if (!drawing) continue;
    const copy = drawing.cloneNode(true);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    const title = figure.querySelector("figcaption")?.textContent.trim().replace(/\s+/g, " ") ?? "figure";
    const save = el("a", { className: "save", download: `${document.title.split(":")[0]}-figure.svg` }, "save as SVG");
    save.href = URL.createObjectURL(new Blob([copy.outerHTML], { type: "image/svg+xml" }));
    const cite = el("button", { className: "save", type: "button" }, "copy citation");
    cite.addEventListener("click", async () => {
      await navigator.clipboard?.writeText(`${title.slice(0, 200)} (hintprobe report ${document.title}, ${document.body.dataset.cite})`);
      cite.textContent = "copied";
    });
    figure.append(el("p", { className: "soft" }, save, " ", cite));
  }
  root.hidden = false;
  root.dataset.readyMs = performance.now().toFixed(1);
})();
