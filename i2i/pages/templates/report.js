"use strict";
// What a page of a run can do beyond showing: enlarge a strip of pictures, copy a command.
// Without it all is there to be read.
(() => {
  const make = (tag, into, text = "") => {
    const element = document.createElement(tag);
    element.textContent = text;
    into.append(element);
    return element;
  };

  // --- commands ---
  for (const command of document.querySelectorAll(".command")) {
    const button = make("button", command.parentElement, "copy");
    button.type = "button";
    button.addEventListener("click", () => {
      getSelection().selectAllChildren(command);
      document.execCommand("copy");
      button.textContent = "copied";
    });
  }

  // --- enlarged pictures: input, output and target side by side ---
  const strips = [...document.querySelectorAll(".strip")].map((strip) => ({
    name: strip.querySelector("h3").innerText,
    source: strip.querySelector(".source"),
    outputs: [...strip.querySelectorAll(".output, .latest")].filter((cell) => cell.querySelector("img")),
    target: strip.querySelector(".target"),
  })).filter((strip) => strip.outputs.length);
  if (!strips.length || !window.HTMLDialogElement) return;

  const dialog = make("dialog", document.body);
  dialog.className = "zoom";
  const title = make("p", dialog), views = make("div", dialog), bar = make("p", dialog);
  title.className = "zoom-title";
  views.className = "zoom-views";
  bar.className = "zoom-bar";
  const panes = [0, 1, 2].map(() => {
    const figure = make("figure", views);
    return { caption: make("figcaption", figure), picture: make("img", figure) };
  });
  let row = 0, column = 0;

  const go = (down, right) => {
    row = Math.min(Math.max(row + down, 0), strips.length - 1);
    column = Math.min(Math.max(column + right, 0), strips[row].outputs.length - 1);
    const strip = strips[row];
    title.textContent = strip.name;
    [strip.source, strip.outputs[column], strip.target].forEach((cell, place) => {
      const shown = cell.querySelector("img"), { caption, picture } = panes[place];
      caption.textContent = cell.querySelector("figcaption").textContent;
      picture.src = shown.src;
      picture.alt = shown.alt;
      picture.className = shown.className;
    });
    for (const { button, ends } of buttons) button.disabled = ends();
  };
  const buttons = [
    ["ArrowLeft", "← earlier", 0, -1, () => column === 0],
    ["ArrowRight", "later →", 0, 1, () => column === strips[row].outputs.length - 1],
    ["ArrowUp", "↑ image before", -1, 0, () => row === 0],
    ["ArrowDown", "↓ next image", 1, 0, () => row === strips.length - 1],
  ].map(([key, label, down, right, ends]) => {
    const button = make("button", bar, label);
    button.addEventListener("click", () => go(down, right));
    return { key, button, ends, down, right };
  });
  make("button", bar, "close (Esc)").addEventListener("click", () => dialog.close());
  document.addEventListener("keydown", (event) => {  // not the dialog: a button that was pressed may be disabled
    if (!dialog.open) return;
    const pressed = buttons.find(({ key }) => key === event.key);
    if (!pressed) return;
    event.preventDefault();
    go(pressed.down, pressed.right);
  });
  dialog.addEventListener("click", (event) => {
    if ([dialog, views].includes(event.target)) dialog.close();
  });

  const open = (atRow, atColumn) => {
    [row, column] = [atRow, atColumn];
    go(0, 0);
    dialog.showModal();
  };
  strips.forEach((strip, atRow) => {
    const last = strip.outputs.length - 1;
    const reach = (cell, atColumn) =>
      cell.querySelector("img").addEventListener("click", () => open(atRow, atColumn));
    reach(strip.source, last);
    strip.outputs.forEach(reach);
    reach(strip.target, last);
    const latest = strip.outputs[last].querySelector("img");
    latest.tabIndex = 0;
    latest.setAttribute("role", "button");
    latest.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      open(atRow, last);
    });
  });
  document.documentElement.classList.add("zooms");
})();
