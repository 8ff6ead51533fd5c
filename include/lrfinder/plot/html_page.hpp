#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>

#include <lrfinder/detail/number_text.hpp>
#include <lrfinder/detail/text.hpp>
#include <lrfinder/plot/layout.hpp>
#include <lrfinder/plot/picture.hpp>

namespace lrfinder::detail {

/// A text as HTML shows it.
inline std::string html_text(std::string_view text) {
  std::string html;
  for (const auto& character : characters(text)) {
    if (character == "&" || character == "<" || character == ">" || character == "\"") {
      html += "&#" + std::to_string(static_cast<int>(character[0])) + ";";
    } else {
      html += character;
    }
  }
  return html;
}

/// A text as a string of a script within HTML; no character of it can end the string or the script.
inline std::string script_text(std::string_view text) {
  static constexpr char hex[] = "0123456789abcdef";
  std::string quoted = "\"";
  for (const auto& character : characters(text)) {
    const auto byte = static_cast<unsigned char>(character[0]);
    const bool safe =
        byte >= 0x80 || std::string_view("\"\\<>&'\n").find(character[0]) == std::string_view::npos;
    if (safe && character != "\u2028" && character != "\u2029") {
      quoted += character;
    } else {
      quoted +=
          byte >= 0x80 ? std::string(" ") : std::string("\\u00") + hex[byte >> 4] + hex[byte & 15];
    }
  }
  return quoted + "\"";
}

inline std::string script_numbers(const Column& values) {
  std::string numbers;
  for (const double value : values) {
    numbers += (numbers.empty() ? "" : ",") + (std::isfinite(value) ? to_text(value) : "null");
  }
  return "[" + numbers + "]";
}

/// What the script of the page is told of a picture.
inline std::string page_data(const Picture& picture, const Layout& layout) {
  std::string curves;
  for (std::size_t i = 0; i < picture.curves.size(); ++i) {
    const DrawnCurve& curve = picture.curves[i];
    curves += (curves.empty() ? "" : ",\n  ") + std::string("{name: ") +
              script_text(picture.single() ? "" : curve.name) +
              ",\n   lr: " + script_numbers(curve.lr) + ",\n   columns: [[" +
              script_text(picture.loss_name) + ", " + script_numbers(curve.loss) +
              "], [\"raw loss\", " + script_numbers(curve.raw_loss) + "], [\"change\", " +
              script_numbers(curve.change) + "], [" + script_text(picture.metric_name) + ", " +
              script_numbers(curve.metric) + "]]}";
  }
  const auto pixels = [&](double units) { return to_text(units * layout.unit); };
  return "const curves = [" + curves + "];\nconst axis = {left: " + pixels(layout.left) +
         ", right: " + pixels(layout.right) + ", top: " + pixels(layout.panels.front().top) +
         ", bottom: " + pixels(layout.panels.back().bottom) +
         ", low: " + to_text(picture.lr.range.low) + ", high: " + to_text(picture.lr.range.high) +
         ", log: " + (picture.lr.logarithmic ? "true" : "false") + "};\n";
}

/// A page that shows a picture, drawn as svg, and the values of the iteration that is under the
/// pointer or chosen with the arrow keys. It loads nothing from elsewhere.
inline std::string html_page(const Picture& picture, const Layout& layout, std::string_view svg) {
  static constexpr std::string_view style = R"(
body { margin: 1rem; font: 14px sans-serif; color: #303030; background: white; }
svg { display: block; pointer-events: none; }
#picture { position: relative; width: fit-content; outline: none; }
#line { position: absolute; width: 1px; background: #606060; pointer-events: none; }
#readout { position: absolute; padding: .4rem .6rem; background: white; border: 1px solid #a0a0a0;
  border-radius: 4px; pointer-events: none; white-space: pre; font-variant-numeric: tabular-nums; }
)";
  static constexpr std::string_view script = R"(
const scale = axis.log ? Math.log : x => x;
const place = lr => axis.left + (axis.right - axis.left) *
  (scale(lr) - scale(axis.low)) / (scale(axis.high) - scale(axis.low));
const picture = document.getElementById("picture");
const line = document.getElementById("line");
const readout = document.getElementById("readout");
const visible = lr => lr >= axis.low && lr <= axis.high;
const lrs = [...new Set(curves.flatMap(curve => curve.lr))].filter(visible).sort((a, b) => a - b);
const distance = (lr, x) => Math.abs(place(lr) - x);
const nearest = (values, x) => values.reduce((best, lr, i) =>
  visible(lr) && (best < 0 || distance(lr, x) < distance(values[best], x)) ? i : best, -1);
const shown_number = value => value === null ? "not finite" : String(Number(value.toPrecision(5)));
let shown = -1;
function show(index) {
  shown = Math.max(0, Math.min(lrs.length - 1, index));
  const x = place(lrs[shown]);
  readout.textContent = curves.map(curve => {
    const i = nearest(curve.lr, x);
    if (i < 0) return curve.name;
    const rows = [["lr", shown_number(curve.lr[i])]];
    for (const [name, values] of curve.columns)
      if (i < values.length) rows.push([name, shown_number(values[i])]);
    return (curve.name ? curve.name + "\n" : "") + rows.map(row => row.join("  ")).join("\n");
  }).join("\n\n");
  line.hidden = readout.hidden = false;
  line.style.left = x + "px";
  readout.style.top = axis.top + 12 + "px";
  const in_left_half = x < (axis.left + axis.right) / 2;
  readout.style.left = (in_left_half ? x + 12 : x - 12 - readout.offsetWidth) + "px";
}
line.style.top = axis.top + "px";
line.style.height = axis.bottom - axis.top + "px";
picture.addEventListener("pointermove", event =>
  show(nearest(lrs, event.clientX - picture.getBoundingClientRect().left)));
picture.addEventListener("pointerleave", () => { line.hidden = readout.hidden = true; });
picture.addEventListener("keydown", event => {
  if (event.key === "ArrowLeft") show(shown - 1);
  if (event.key === "ArrowRight") show(shown + 1);
});
)";
  const std::string title = picture.title.empty() ? "Learning-rate range test" : picture.title;
  svg.remove_prefix(std::min(svg.find("<svg"), svg.size()));
  return "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<title>" +
         html_text(title) + "</title>\n<style>" + std::string(style) +
         "</style>\n</head>\n<body>\n" + "<div id=\"picture\" tabindex=\"0\">\n" +
         std::string(svg) +
         "<div id=\"line\" hidden></div>\n<div id=\"readout\" hidden></div>\n</div>\n<script>\n" +
         page_data(picture, layout) + std::string(script) + "</script>\n</body>\n</html>\n";
}

}  // namespace lrfinder::detail
