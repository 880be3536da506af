// Folds the rows of tables that are wider than the page, or that a narrow screen would squeeze: pages.css shows each
// cell behind the name of its column.
const NARROW = window.matchMedia("(max-width: 46em)");

function fold(table) {
  table.classList.remove("folded");
  const room = table.parentElement.clientWidth;
  table.classList.toggle("folded", table.scrollWidth > room + 1 || NARROW.matches);
}

// Lets paths and names break behind / and _, so that they don't take the room of what is to be read.
function breakable(element) {
  for (const node of [...element.childNodes]) {
    if (node.nodeType !== Node.TEXT_NODE) breakable(node);
    else if (/[\/_]\w/.test(node.data)) {
      const parts = node.data.split(/(?<=[\/_])(?=\w)/);
      node.replaceWith(...parts.flatMap((part, index) => (index ? [document.createElement("wbr"), part] : [part])));
    }
  }
}

document.addEventListener("DOMContentLoaded", () => {
  const tables = [...document.querySelectorAll("article table.docutils")].filter(
    (table) => table.querySelectorAll("thead th").length > 1,
  );
  for (const table of tables) {
    const names = [...table.querySelectorAll("thead th")].map((each) => each.textContent.trim());
    table.classList.toggle("nameless", names.every((name) => !name));
    for (const row of table.querySelectorAll("tbody tr")) {
      [...row.cells].forEach((cell, index) => {
        cell.classList.toggle("nothing", !cell.textContent.trim());
        if (index && names[index]) cell.dataset.label = names[index];
      });
    }
    const explains = names.length > 3 && names.at(-1) === "means"; // what the first column names is looked for, and stays whole
    table.classList.toggle("meaning", explains);
    for (const code of table.querySelectorAll(explains ? "td + td code" : "td code")) breakable(code);
    fold(table);
  }
  window.addEventListener("resize", () => tables.forEach(fold));
});
