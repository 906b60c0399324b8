// Tables: sorted by a click on a heading, downloaded as CSV or as a LaTeX table.

function enhance(sheet) {
  const table = sheet.querySelector("table");
  [...table.rows].forEach((row, i) => (row.dataset.place = i));
  [...table.tHead.rows[0].cells].forEach((heading, column) => {
    const own = button("", () => sortBy(table, column));
    own.append(...heading.childNodes);
    heading.append(own);
  });
  const tools = make("div", "tools");
  const name = table.dataset.name;
  const title = table.caption.textContent;
  for (const [text, write, ending] of [["CSV", asCsv, "csv"], ["LaTeX", asLatex, "tex"]]) {
    const own = button(text, () => download(`${name}.${ending}`, write(table)));
    own.setAttribute("aria-label", `download as ${text}: ${title}`);
    tools.append(own);
  }
  sheet.append(tools);
}

// Ascending, descending, then as it was.
function sortBy(table, column) {
  const heading = table.tHead.rows[0].cells[column];
  const order = { ascending: "descending", descending: "none" }[heading.getAttribute("aria-sort")] ?? "ascending";
  for (const cell of table.tHead.rows[0].cells) cell.removeAttribute("aria-sort");
  if (order !== "none") heading.setAttribute("aria-sort", order);
  const rows = [...table.tBodies[0].rows];
  const sign = order === "descending" ? -1 : 1;
  rows.sort((a, b) => (order === "none" ? 0 : compare(a.cells[column], b.cells[column], sign)) || a.dataset.place - b.dataset.place);
  table.tBodies[0].append(...rows);
}

function compare(a, b, sign) {
  const [x, y] = [a, b].map((cell) => (cell.dataset.value === undefined ? NaN : Number(cell.dataset.value)));
  const [noX, noY] = [Number.isNaN(x), Number.isNaN(y)];
  if (noX && noY) return sign * a.dataset.text.localeCompare(b.dataset.text, "en", { numeric: true });
  if (noX || noY) return noX ? 1 : -1; // what has no number comes last
  return sign * (x - y);
}

function isVisible(cell) {
  return !cell.hidden && !cell.parentElement.hidden;
}

function visibleRows(table) {
  return [...table.tBodies[0].rows].filter((row) => !row.hidden);
}

// Numbers in full, intervals in columns of their own, words so that no spreadsheet runs them.
function asCsv(table) {
  const headings = [...table.tHead.rows[0].cells];
  const rows = visibleRows(table);
  const columns = headings.map((_, i) => i).filter((i) => isVisible(headings[i]));
  const wide = new Set(columns.filter((i) => rows.some((row) => row.cells[i].dataset.low !== undefined)));
  const lines = [columns.flatMap((i) => {
    const text = headings[i].textContent.trim();
    return wide.has(i) ? [text, `${text}: low`, `${text}: high`] : [text];
  })];
  for (const row of rows) {
    lines.push(columns.flatMap((i) => {
      const { text, value, low, high } = row.cells[i].dataset;
      return wide.has(i) ? [value ?? text, low ?? "", high ?? ""] : [value ?? text];
    }));
  }
  return `${lines.map((line) => line.map(csvCell).join(",")).join("\r\n")}\r\n`;
}

function csvCell(text) {
  const number = text !== "" && !Number.isNaN(Number(text));
  const safe = /^[=+\-@\t\r]/.test(text) && !number ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function asLatex(table) {
  const headings = [...table.tHead.rows[0].cells].filter(isVisible);
  const line = (cells) => `${cells.join(" & ")} \\\\`;
  const body = visibleRows(table).map((row) => line([...row.cells].filter(isVisible).map((cell) => {
    const text = latexOf(cell.dataset.text);
    return cell.classList.contains("best") ? `\\textbf{${text}}` : text;
  })));
  const align = headings.map((heading) => (heading.classList.contains("words") ? "l" : "r")).join("");
  return [
    `% ${table.caption.textContent.replaceAll("\n", " ")}; needs \\usepackage{booktabs}`,
    `\\begin{tabular}{${align}}`, "\\toprule", line(headings.map((heading) => latexOf(heading.textContent.trim()))),
    "\\midrule", ...body, "\\bottomrule", "\\end{tabular}", "",
  ].join("\n");
}

const IN_LATEX = {
  "\\": "\\textbackslash{}", "{": "\\{", "}": "\\}", "$": "\\$", "&": "\\&", "#": "\\#", "_": "\\_", "%": "\\%",
  "~": "\\textasciitilde{}", "^": "\\textasciicircum{}", "<": "\\textless{}", ">": "\\textgreater{}",
  "−": "$-$", "±": "$\\pm$", "→": "$\\to$", "–": "--", "…": "\\dots{}", "₁": "$_1$", "₂": "$_2$", "∞": "$\\infty$",
};

function latexOf(text) {
  return [...text].map((letter) => IN_LATEX[letter] ?? letter).join("");
}

function download(name, text) {
  const link = make("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain;charset=utf-8" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

// A table made here, of the same form as those that the page comes with.
function sheetOf(name, title, header, rows) {
  const sheet = make("div", "sheet");
  const scroll = make("div", "scroll");
  Object.assign(scroll, { tabIndex: 0, role: "region", ariaLabel: title });
  const table = make("table");
  table.dataset.name = name;
  table.createCaption().append(make("span", "", title));
  const top = table.createTHead().insertRow();
  header.forEach(({ text }, i) => {
    const cell = make("th", i ? "" : "words", text);
    cell.scope = "col";
    top.append(cell);
  });
  const body = table.createTBody();
  for (const cells of rows) {
    const row = body.insertRow();
    cells.forEach(({ text, value, low, high, arm }, i) => {
      const cell = make(i ? "td" : "th", i ? "" : "words", text);
      if (!i) cell.scope = "row";
      if (arm !== undefined && arm !== null) row.dataset.arm = arm;
      cell.dataset.text = text;
      if (value !== undefined && value !== null) cell.dataset.value = value;
      if (low !== undefined && low !== null) Object.assign(cell.dataset, { low, high });
      row.append(cell);
    });
  }
  scroll.append(table);
  sheet.append(scroll);
  enhance(sheet);
  return sheet;
}
