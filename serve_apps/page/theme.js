// Runs before anything is painted, so that a page that is to be dark never flashes white.
"use strict";
(() => {
  const key = "bellwether-theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");

  // A browser may forbid storage; the choice then lasts as long as the page.
  const stored = () => { try { return localStorage.getItem(key); } catch { return null; } };
  const store = (name) => { try { localStorage.setItem(key, name); } catch { /* see above */ } };

  const dark = () => (root.dataset.theme ?? (system.matches ? "dark" : "light")) === "dark";
  const tell = () => {
    const button = document.getElementById("theme");
    if (button) {
      button.textContent = dark() ? "Light" : "Dark";
      button.setAttribute("aria-label", `Show the page ${dark() ? "light" : "dark"}`);
    }
    document.dispatchEvent(new Event("themechange"));
  };

  if (["dark", "light"].includes(stored())) root.dataset.theme = stored();
  system.addEventListener("change", tell);
  document.addEventListener("DOMContentLoaded", () => {
    tell();
    document.getElementById("theme").addEventListener("click", () => {
      root.dataset.theme = dark() ? "light" : "dark";
      store(root.dataset.theme);
      tell();
    });
  });
})();
