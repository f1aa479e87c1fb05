"use strict";
// The console's page: draws its charts, and swaps in the sections that changed on disk.

const CHART = { displayModeBar: false, responsive: true, plotlyServerURL: "" };

function coloured(value) {
  // "--name" in a figure is a property of the style sheet, so that charts follow light and dark.
  if (typeof value === "string" && value.startsWith("--"))
    return getComputedStyle(document.documentElement).getPropertyValue(value).trim();
  if (Array.isArray(value)) return value.map(coloured);
  if (value && typeof value === "object")
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, coloured(inner)]));
  return value;
}

function draw(root) {
  for (const plot of root.querySelectorAll("[data-figure]")) {
    const figure = coloured(JSON.parse(plot.dataset.figure));
    Plotly.react(plot, figure.data, figure.layout, CHART);
  }
}

function replace(section, html) {
  // What a reader opened stays open, and a chart keeps its element, so that nothing flickers.
  const fresh = document.createElement("template");
  fresh.innerHTML = html;
  const scrolled = [...section.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  const active = section.contains(document.activeElement) ? document.activeElement : null;
  const focused = active && (active.id || active.closest("details")?.id);
  for (const old of section.querySelectorAll("details[open]")) {
    const now = fresh.content.getElementById(old.id);
    if (now) now.open = true;
  }
  for (const old of section.querySelectorAll("[data-figure]")) {
    const now = fresh.content.getElementById(old.id);
    if (now) {
      old.dataset.figure = now.dataset.figure;
      now.replaceWith(old);
    }
  }
  section.replaceChildren(fresh.content);
  section.querySelectorAll(".scroll").forEach((box, i) => (box.scrollLeft = scrolled[i] || 0));
  if (focused) {
    const now = document.getElementById(focused);
    (now?.querySelector("summary") || now)?.focus({ preventScroll: true });
  }
  draw(section);
}

function follow(page) {
  // The browser sends the last event's id when it comes back, so nothing is missed or sent twice.
  const url = new URL(page.dataset.live, location.href);
  url.searchParams.set("seen", page.dataset.seen);
  const events = new EventSource(url);
  const lost = document.querySelector(".offline");
  events.addEventListener("sections", (event) => {
    for (const [name, html] of Object.entries(JSON.parse(event.data)))
      replace(document.getElementById(name), html);
  });
  events.onopen = () => (lost.hidden = true);
  events.onerror = () => (lost.hidden = false);
  addEventListener("pagehide", () => events.close());
}

const page = document.getElementById("page");
draw(document);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => draw(document));
if (page.dataset.live) follow(page);
