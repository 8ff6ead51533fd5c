#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fuzzer/FuzzedDataProvider.h>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lrfinder/curve.hpp>

// What follows the last NUL byte of an input is read as a saved history; what precedes it makes the
// options and a training plan. Either one of the library's errors is thrown, in one line, or there
// are scripts that draw both: every string and every block of data ends where it should, all
// numbers are ones that gnuplot can draw, and but for its strings a script is that of a text
// without any special character.

namespace {

using lrfinder::History;
using lrfinder::PlotOptions;
using lrfinder::Suggestion;

[[noreturn]] void fail(const char* what, std::string_view where) {
  std::fprintf(stderr, "%s: %.*s\n", what, static_cast<int>(where.size()), where.data());
  std::abort();
}

double number(FuzzedDataProvider& bytes) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (bytes.ConsumeBool()) return bytes.ConsumeFloatingPointInRange(0.0, 10.0);
  if (bytes.ConsumeBool()) {
    return bytes.PickValueInArray({0.0, -1.0, 5e-324, 1e-150, 1e150, 1.7e308, infinity, -infinity,
                                   std::numeric_limits<double>::quiet_NaN()});
  }
  const auto bits = bytes.ConsumeIntegral<std::uint64_t>();
  double value = 0;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

/// A text of the same shape in which nothing is special.
std::string harmless(std::string_view text) {
  std::string plain;
  for (const auto& character : lrfinder::detail::characters(text)) {
    plain += character == "\n" || character == " " ? character : "x";
  }
  return plain;
}

struct Drawn {
  std::string script, page, plan;
  std::size_t curves, rows, plan_columns, plan_rows;
};

/// Draws a history with options made of some bytes. `plain`: with harmless texts in place of those
/// that the input has.
Drawn draw(std::string_view options_bytes, History history, bool plain) {
  FuzzedDataProvider bytes(reinterpret_cast<const std::uint8_t*>(options_bytes.data()),
                           options_bytes.size());
  const auto made_plain = [&](std::string text) { return plain ? harmless(text) : text; };
  const std::string text = made_plain(bytes.ConsumeRandomLengthString(100));
  PlotOptions options;
  const std::string ending = bytes.PickValueInArray({".svg", ".png", ".pdf", ".txt"});
  if (bytes.ConsumeBool()) options.title(text);

  const auto marks = bytes.ConsumeIntegralInRange(0, 2);
  for (int i = 0; i < marks; ++i) {
    Suggestion mark{number(bytes), 0, number(bytes), text, text};
    mark.low = number(bytes);
    mark.high = number(bytes);
    for (auto trials = bytes.ConsumeIntegralInRange(0, 2); trials > 0; --trials) {
      mark.trials.push_back({number(bytes), trials, number(bytes), bytes.ConsumeBool()});
    }
    options.mark(mark);
  }
  if (marks == 0 && bytes.ConsumeBool()) {
    namespace suggest = lrfinder::suggest;
    options.recipes({suggest::steepest, suggest::steep, suggest::valley, suggest::minimum,
                     suggest::slide, suggest::ignite});
  }
  const auto skipped = [&]() -> std::size_t {
    return bytes.ConsumeBool() ? bytes.ConsumeIntegral<std::size_t>() : bytes.ConsumeBool();
  };
  options.skip_start(skipped()).skip_end(skipped());
  // What is discarded chose what is no longer drawn; the corpus has it.
  if (bytes.ConsumeBool()) bytes.ConsumeBool();
  options.log_loss(bytes.ConsumeBool());
  if (bytes.ConsumeBool()) options.show_lr(number(bytes));
  for (int i = 0; i < 4; ++i) number(bytes);
  for (int i = 0; i < 2; ++i) bytes.ConsumeBool();
  const auto length = [&] { return bytes.ConsumeIntegralInRange(5, 20100); };
  // In braces, which are read from left to right.
  const std::pair pixels{length(), length()}, characters{length(), length()};
  if (bytes.ConsumeBool()) options.size(pixels.first, pixels.second);
  if (bytes.ConsumeBool()) options.text_size(characters.first, characters.second);

  const auto metric = bytes.ConsumeIntegralInRange(0, 3);
  if (metric == 1) options.metric("grad_norm");
  if (metric == 2) {
    history.metrics = {{text, history.loss}};
    options.metric(text);
  }
  if (metric == 3 && !history.metrics.empty()) {
    auto [name, values] = *history.metrics.begin();
    history.metrics = {{made_plain(name), values}};
    options.metric(made_plain(name));
  }
  bytes.ConsumeBool();
  const auto count = bytes.ConsumeIntegralInRange<std::size_t>(1, 3);
  std::vector<lrfinder::NamedCurve> curves;
  for (std::size_t i = 0; i < count; ++i) {
    curves.push_back({(count > 1 ? std::to_string(i) : "") + text, history});
  }

  constexpr std::int64_t many = std::numeric_limits<std::int64_t>::max();
  const auto steps = bytes.ConsumeIntegralInRange<std::int64_t>(1, bytes.ConsumeBool() ? many : 40);
  const auto plan = bytes.ConsumeBool() ? lrfinder::TrainingPlan::one_cycle(steps)
                                        : lrfinder::TrainingPlan().steps(steps);
  std::optional<double> peak;
  if (bytes.ConsumeBool()) peak = number(bytes);

  namespace detail = lrfinder::detail;
  const auto& terminal = detail::plot_format_of(ending).terminal;
  const auto figure = detail::CurveFigure(curves, options, terminal.is_text).make();
  const auto plan_figure = detail::plan_figure(plan, peak, options);
  return {detail::FigureScript(figure, terminal, options).write(),
          detail::html_page(figure, "<svg></svg>") + detail::html_page(plan_figure, "<svg></svg>"),
          detail::FigureScript(plan_figure, terminal, options).write(),
          count,
          history.size() - options.skip_start() - options.skip_end(),
          plan_figure.curves[0].columns.size(),
          static_cast<std::size_t>(std::min<std::int64_t>(steps, 2000))};
}

bool begins_with(std::string_view text, std::string_view beginning) {
  return text.substr(0, beginning.size()) == beginning;
}

/// The piece of a text up to a separator, which is taken off with it.
std::string_view take(std::string_view& text, char separator) {
  const std::string_view piece = text.substr(0, text.find(separator));
  text.remove_prefix(std::min(piece.size() + 1, text.size()));
  return piece;
}

double finite_number(std::string_view text) {
  const auto value = lrfinder::detail::number_from<double>(text);
  if (!value || !std::isfinite(*value)) fail("no finite number", text);
  return *value;
}

void check_characters(std::string_view text) {
  lrfinder::detail::each_character(text, [](const auto& character) {
    if (!character.is_utf8 || (character.is_control && character.bytes != "\n")) {
      fail("a byte that is no text", character.bytes);
    }
  });
}

/// The script without the contents of its strings, in which gnuplot and this find the same ends.
std::string without_strings(std::string_view script) {
  std::string rest;
  std::string string;
  char quote = '\0';
  for (const char letter : script) {
    if (quote == '\0') {
      rest += letter;
      if (letter == '\'' || letter == '"') quote = letter, string.clear();
    } else if (letter == quote) {
      if (quote == '"' && string != R"(\047)" && string != R"(\n)") fail("not a constant", string);
      quote = '\0';
    } else {
      if (letter == '\n') fail("a line ends within a string", string);
      string += letter;
    }
  }
  if (quote != '\0') fail("a string does not end", string);
  // A text of several pieces is one string, as a harmless text is.
  for (auto at = rest.find("'.\".'"); at != std::string::npos; at = rest.find("'.\".'", at)) {
    rest.erase(at, 4);
  }
  return rest;
}

/// Reads the lines of a script without strings.
void check_lines(std::string_view script, std::size_t curves, std::size_t columns_of_curve,
                 std::size_t rows_of_curve) {
  std::size_t blocks = 0;
  bool logarithmic = false;
  while (!script.empty()) {
    const std::string_view line = take(script, '\n');
    const bool is_curve = line == "$curve" + std::to_string(blocks) + " << EOD";
    if (is_curve || line == "$short_trials << EOD" || line == "$long_trials << EOD") {
      std::size_t rows = 0;
      std::string_view row;
      for (row = take(script, '\n'); row != "EOD" && !script.empty(); row = take(script, '\n')) {
        std::size_t fields = 0;
        for (; !row.empty(); ++fields) {
          const auto field = take(row, ' ');
          if (field != "NaN") finite_number(field);
        }
        if (fields != (is_curve ? columns_of_curve : 3)) fail("not a row of data", line);
        ++rows;
      }
      if (row != "EOD") fail("data without an end", line);
      if (is_curve && rows != rows_of_curve) fail("rows are missing", line);
      blocks += is_curve;
      continue;
    }
    bool is_command = false;
    for (const char* command :
         {"set ", "unset multiplot", "reset", "plot ", "print '",
          "point_size = ", "panels_top = GPVAL_TERM", "if (exists(') && GPVAL_ERRNO) failed = 1"}) {
      is_command = is_command || begins_with(line, command);
    }
    if (!is_command) fail("not a command", line);
    for (const char* number : {"inf", "nan"}) {
      if (line.find(number) != std::string_view::npos) fail("a number that is not finite", line);
    }
    if (line == "reset") logarithmic = false;
    if (line == "set logscale x" || begins_with(line, "set nonlinear x ")) logarithmic = true;
    for (const std::string_view axis : {"set xrange [", "set yrange ["}) {
      if (!begins_with(line, axis)) continue;
      std::string_view ends = line.substr(axis.size());
      const double low = finite_number(take(ends, ':'));
      const double high = finite_number(take(ends, ']'));
      if (!(low < high) || (axis[4] == 'x' && logarithmic && low <= 0)) fail("no range", line);
    }
    constexpr std::string_view rectangle = "set object rectangle from ";
    if (begins_with(line, rectangle)) {
      std::string_view ends = line.substr(rectangle.size());
      if (finite_number(take(ends, ',')) <= 0 && logarithmic) fail("not on the axis", line);
    }
  }
  if (blocks != curves) fail("curves are missing", "");
}

/// What of a page could end a string, an element or a line of the script.
std::string special_letters(std::string_view page) {
  std::string special;
  for (const char letter : page) {
    if (std::string_view("<>\"\n").find(letter) != std::string_view::npos) special += letter;
  }
  return special;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(bytes), size);
  const std::size_t end_of_options = input.rfind('\0');
  const std::string_view csv = input.substr(end_of_options + 1);  // of all where there is no NUL
  const std::string_view options =
      input.substr(0, end_of_options == std::string_view::npos ? 0 : end_of_options);
  try {
    const History history = lrfinder::from_csv(csv);
    const Drawn drawn = draw(options, history, false);
    check_characters(drawn.script);
    check_characters(drawn.plan);
    const std::string commands = without_strings(drawn.script);
    const std::string plan = without_strings(drawn.plan);
    check_lines(commands, drawn.curves, 5, drawn.rows);
    check_lines(plan, 1, drawn.plan_columns, drawn.plan_rows);
    const Drawn plain = draw(options, history, true);
    if (commands != without_strings(plain.script)) fail("a text is part of a command", commands);
    if (plan != without_strings(plain.plan)) fail("a text is part of a command", plan);
    check_characters(drawn.page);
    if (special_letters(drawn.page) != special_letters(plain.page)) {
      fail("a text is part of the page", drawn.page);
    }
  } catch (const lrfinder::Error& error) {
    for (const char letter : std::string_view(error.what())) {
      if (static_cast<unsigned char>(letter) < 0x20)
        fail("an error of several lines", error.what());
    }
  }
  return 0;
}
