// Folds the rows of tables that are wider than the page, or that a narrow screen would squeeze: pages.css shows each
// cell behind the name of its column.
const NARROW = window.matchMedia("(max-width: 46em)");

function fold(table) {
  table.classList.remove("folded");
  const room = table.parentElement.clientWidth;
  table.classList.toggle("folded", table.scrollWidth > room + 1 || NARROW.matches);
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
    fold(table);
  }
  window.addEventListener("resize", () => tables.forEach(fold));
});
