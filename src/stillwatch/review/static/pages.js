// What makes the pages quicker to use; without it each of them works.
(function () {
  "use strict";
  // Keys: "/" to the search, "j" and "k" down and up the marked links of a list.
  function typing(element) {
    return element && (/^(INPUT|SELECT|TEXTAREA)$/.test(element.tagName) || element.isContentEditable);
  }
  function move(step) {
    var items = Array.prototype.slice.call(document.querySelectorAll("[data-item]"));
    if (!items.length) { return; }
    var at = items.indexOf(document.activeElement);
    var next = at < 0 ? (step > 0 ? 0 : items.length - 1) : Math.min(Math.max(at + step, 0), items.length - 1);
    items[next].focus();
  }
  document.addEventListener("keydown", function (event) {
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) { return; }
    var field = document.querySelector('[data-key="/"]');
    if (event.key === "/" && field) { event.preventDefault(); field.focus(); }
    if (event.key === "j") { move(1); }
    if (event.key === "k") { move(-1); }
  });
  // The form of a decision shows the parameters of the chosen action alone.
  var form = document.querySelector("[data-decide]");
  if (form) {
    var action = form.querySelector("[name=action]");
    var show = function () {
      form.querySelectorAll("[data-for]").forEach(function (part) {
        part.hidden = part.getAttribute("data-for") !== action.value;
      });
    };
    action.addEventListener("change", show);
    show();
  }
}());
