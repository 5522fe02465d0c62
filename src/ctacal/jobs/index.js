"use strict";
const rows = JSON.parse(document.getElementById("rows").textContent);
const IDENTITY = [ /* shown if any row has them: with --phi, or the number alone with pseudonyms */
  { name: "Patient ID", field: 13, width: "110px", text: true },
  { name: "Name", field: 15, width: "minmax(110px, 2fr)", text: true },
  { name: "Accession", field: 14, width: "110px", text: true },
].filter((column) => rows.some((row) => row[column.field] !== ""));
const SERIES = [ /* shown if a study has several rows */
  { name: "Series", field: 16, width: "minmax(110px, 1fr)", text: true },
].filter((column) => rows.some((row) => row[column.field] !== ""));
const COLUMNS = [
  ...IDENTITY,
  { name: "Study", field: 0, width: "200px", text: true },
  ...SERIES,
  { name: "Date", field: 1, width: "92px", text: true },
  { name: "Status", field: 2, width: "105px", text: true },
  { name: "Agatston", field: 3, width: "82px" },
  { name: "Category", field: 4, width: "84px", order: ["", "0", "1-100", "101-400", ">400"] },
  { name: "LM", field: 5, width: "62px" },
  { name: "LAD", field: 6, width: "62px" },
  { name: "LCx", field: 7, width: "62px" },
  { name: "RCA", field: 8, width: "62px" },
  { name: "mm³", field: 9, width: "66px" },
  { name: "Scanner", field: 10, width: "minmax(90px, 1fr)", text: true },
  { name: "Reasons", field: 11, width: "minmax(100px, 3fr)", text: true },
  { name: "Open", field: 17, width: "172px", links: true },
];
document.documentElement.style.setProperty("--least", `${1320 + 130 * (IDENTITY.length + SERIES.length)}px`);
const NUMBER = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const ROW_PIXELS = 30, REASONS = 12, SPARE = 8, CATEGORY = 4, STATUS = 2;
const TALLEST = 15e6; /* browsers cut off taller elements */

const haystack = rows.map((row) => [0, 1, 2, 4, 10, 11, 12, 13, 14, 15, 16].map((k) => row[k]).join(" ").toLowerCase());
const [view, space, head] = ["view", "space", "head"].map((id) => document.getElementById(id));
const search = document.getElementById("search");
const template = COLUMNS.map((column) => column.width).join(" ");
let shown = rows.map((_, k) => k), sorted = { column: COLUMNS.findIndex((column) => column.name === "Agatston"), down: true }, filter = "";

function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

function key(column, row) {
  const value = row[column.field];
  return column.order ? column.order.indexOf(value) : value;
}

function compare(column, a, b) {
  const [x, y] = [key(column, rows[a]), key(column, rows[b])];
  if (x === y) return a - b;
  if (x === null || x === "") return 1; /* what is not known stays last, whichever way is sorted */
  if (y === null || y === "") return -1;
  return (x < y ? -1 : 1) * (sorted.down ? -1 : 1);
}

function choose() {
  const wanted = search.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const fits = (k) => (!filter || rows[k][CATEGORY] === filter || rows[k][STATUS] === filter)
    && wanted.every((word) => haystack[k].includes(word));
  const column = COLUMNS[sorted.column];
  shown = rows.map((_, k) => k).filter(fits).sort((a, b) => compare(column, a, b));
  document.getElementById("count").textContent = `${shown.length.toLocaleString("en")} of ${rows.length.toLocaleString("en")}`;
  space.style.height = `${Math.min(shown.length * ROW_PIXELS, TALLEST)}px`;
  view.scrollTop = 0;
  paint();
}

function cell(column, row) {
  const made = element("span", undefined, column.text || column.links ? "" : "n");
  made.setAttribute("role", "cell");
  if (column.links) {
    for (const [word, address] of row[column.field]) {
      const link = element("a", word);
      link.href = address;
      made.append(link, " ");
    }
    return made;
  }
  const value = row[column.field];
  made.textContent = value === null ? "" : typeof value === "number" ? NUMBER.format(value) : value;
  made.title = column.field === 11 ? row[REASONS] : made.textContent;
  if (column.field === 0 && value.length > 21) made.textContent = `…${value.slice(-19)}`; /* UIDs differ at their ends */
  return made;
}

function paint() {
  const first = Math.max(0, Math.floor(view.scrollTop / ROW_PIXELS) - SPARE);
  const last = Math.min(shown.length, first + Math.ceil(view.clientHeight / ROW_PIXELS) + 2 * SPARE);
  const lines = [];
  for (let place = first; place < last; place++) {
    const row = rows[shown[place]];
    const line = element("div", undefined, `row s${row[STATUS] === "refused" ? "refused" : "scored"}`);
    line.setAttribute("role", "row");
    line.style.gridTemplateColumns = template;
    line.style.top = `${place * ROW_PIXELS}px`;
    line.append(...COLUMNS.map((column) => cell(column, row)));
    lines.push(line);
  }
  space.replaceChildren(...lines);
}

function heads() {
  head.style.gridTemplateColumns = template;
  head.replaceChildren(...COLUMNS.map((column, k) => {
    const button = element(column.links ? "span" : "button", column.name, column.text || column.links ? "" : "n");
    button.setAttribute("role", "columnheader");
    if (column.links) return button;
    if (sorted.column === k) button.textContent += sorted.down ? " ▼" : " ▲";
    button.setAttribute("aria-sort", sorted.column !== k ? "none" : sorted.down ? "descending" : "ascending");
    button.onclick = () => {
      sorted = { column: k, down: sorted.column === k ? !sorted.down : !column.text };
      heads();
      choose();
    };
    return button;
  }));
}

function filters() {
  const words = ["", "0", "1-100", "101-400", ">400", "with warnings", "refused"];
  document.getElementById("filters").replaceChildren(...words.map((word) => {
    const button = element("button", word || "all", word === filter ? "on" : "");
    button.setAttribute("aria-pressed", String(word === filter));
    button.onclick = () => { filter = word; filters(); choose(); };
    return button;
  }));
}

let waiting = 0;
search.oninput = () => { clearTimeout(waiting); waiting = setTimeout(choose, 120); };
view.onscroll = () => requestAnimationFrame(paint);
window.onresize = paint;
heads();
filters();
choose();
