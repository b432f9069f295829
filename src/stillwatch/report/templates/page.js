(function () {
  "use strict";
  var details = Array.prototype.slice.call(document.querySelectorAll("details"));
  var button = document.getElementById("unfold");
  function unfold(open) { details.forEach(function (item) { item.open = open; }); }
  if (details.length) {
    button.hidden = false;
    button.addEventListener("click", function () {
      var open = details.some(function (item) { return !item.open; });
      unfold(open);
      button.textContent = open ? "Close all details" : "Open all details";
    });
  }
  window.addEventListener("beforeprint", function () { unfold(true); });
}());
