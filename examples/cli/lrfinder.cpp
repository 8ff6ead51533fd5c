// The command `lrfinder`: reads, draws and compares saved range tests, those of other tools too,
// and draws training plans. Built without LibTorch.
//
//     lrfinder show run.csv
//     lrfinder show history.json --smoothed pytorch-lr-finder
//     lrfinder plot run.csv -o lr.svg
//     lrfinder compare a.csv b.csv -o cmp.svg
//     lrfinder plan --one-cycle --steps 10000 --peak 0.1

#include <algorithm>
#include <iostream>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include <CLI/CLI.hpp>

#include <lrfinder/curve.hpp>

#include "command_arguments.hpp"
#include "json_table.hpp"
#include "peers.hpp"
#include "plan_command.hpp"

namespace {

using lrfinder::History;

/// What the command line asks for.
struct Request {
  std::vector<std::string> runs;
  std::vector<std::string> names;
  std::string output;
  std::string smoothed;
  lrfinder::ForeignFormat format;
  lrfinder::PlotOptions look;
};

void show(const Request& request) {
  const History history = History::load(request.runs.front(), request.format);
  const bool is_foreign = history.settings.num_iter == 0;
  std::cout << request.runs.front() << ": " << history.size() << " iterations";
  if (!is_foreign) std::cout << ", " << to_string(history.stop_reason);
  std::cout << "\n\n";
  lrfinder::SuggestionTable table = lrfinder::suggest::all(history);
  if (history.found) {
    std::cout << "found: " << *history.found << "\n\n";
    lrfinder::Suggestion found;
    found.lr = history.found->lr;
    table.insert(table.begin(), {"find", found, ""});
  }
  std::cout << table << '\n';
  if (is_foreign) {
    print_peers(history);
    if (request.smoothed.empty()) {
      std::cout
          << "The losses are taken as measured. If a tool has smoothed them, steepest reads too "
             "high a rate:\ngive --smoothed pytorch-lr-finder, ignite, fastai, lightning or "
             "FACTOR.\n\n";
    }
  }
  plot(history, std::cout, request.look);
}

/// Draws the runs; one of them alone has no name.
void draw(const Request& request) {
  if (request.names.size() > request.runs.size()) {
    throw lrfinder::InvalidOption("--names has " + std::to_string(request.names.size()) +
                                  " names for " + std::to_string(request.runs.size()) + " runs");
  }
  std::vector<lrfinder::NamedCurve> curves;
  for (std::size_t i = 0; i < request.runs.size(); ++i) {
    const std::string name = i < request.names.size() ? request.names[i] : request.runs[i];
    curves.push_back(
        {request.runs.size() > 1 ? name : "", History::load(request.runs[i], request.format)});
  }
  plot(curves, request.output, request.look);
}

/// Options that say what is in the file of another tool.
void add_format(CLI::App& command, Request& request) {
  command.add_option("--lr", request.format.lr,
                     "Column of the learning rates, in another tool's file");
  command.add_option("--loss", request.format.loss, "Column of the losses, in another tool's file");
  command.add_option("--smoothed", request.smoothed,
                     "How another tool smoothed the losses, which is undone: pytorch-lr-finder, "
                     "ignite, fastai, lightning, or the weight of the newest loss");
}

/// Options with which all subcommands let their pictures be changed.
void add_look(CLI::App& command, lrfinder::PlotOptions& look) {
  const auto add = [&command](const std::string& name, auto set, const std::string& description) {
    return command.add_option_function(name, std::function(set), description);
  };
  add(
      "--title", [&look](const std::string& text) { look.title(text); }, "Heading of the picture");
  add(
      "--size", [&look](const std::pair<int, int>& size) { look.size(size.first, size.second); },
      "Width and height in pixels (default: 800 600)");
  add(
      "--skip-start", [&look](const std::size_t& count) { look.skip_start(count); },
      "Iterations left out at the start");
  add(
      "--skip-end", [&look](const std::size_t& count) { look.skip_end(count); },
      "Iterations left out at the end");
  add(
      "--show-lr", [&look](const double& lr) { look.show_lr(lr); },
      "Learning rate at which to draw a line");
  add(
      "--metric", [&look](const std::string& name) { look.metric(name); },
      "Metric to draw in a panel of its own");
  command.add_flag_callback(
      "--log-loss", [&look] { look.log_loss(true); }, "Draw the losses on a logarithmic axis");
  command.add_flag_callback(
      "--markers", [&look] { look.markers(true); }, "Draw a point at each iteration of the line");
}

}  // namespace

int main(int argc, char** argv) {
  Request request;
  CLI::App app("Reads, draws and compares saved learning-rate range tests", "lrfinder");
  app.require_subcommand(1);
  app.allow_windows_style_options(false);  // what begins with a slash is a path
  const char* const output_help = "File to write: .svg, .png, .pdf, .html, .txt, or .gp (a script)";

  CLI::App* const show_command = app.add_subcommand("show", "Print the recipes and draw the curve");
  CLI::App* const plot_command = app.add_subcommand("plot", "Draw a curve into a file");
  CLI::App* const compare_command = app.add_subcommand("compare", "Draw curves into one picture");
  for (CLI::App* const command : {show_command, plot_command}) {
    command->add_option("run", request.runs, "Saved range test")->required()->expected(1);
  }
  compare_command->add_option("runs", request.runs, "Saved range tests")
      ->required()
      ->expected(2, 100);
  compare_command->add_option("--names", request.names, "Names in the legend, one a run");
  for (CLI::App* const command : {plot_command, compare_command}) {
    command->add_option("-o,--output", request.output, output_help)->required();
  }
  for (CLI::App* const command : {show_command, plot_command, compare_command}) {
    add_format(*command, request);
    add_look(*command, request.look);
  }
  request.format.json = json_table;

  const PlanCommand plan_command(app);

  std::vector<std::string> arguments = command_arguments(argc, argv);
  const std::string first = arguments.empty() ? "" : arguments.front();
  try {
    std::reverse(arguments.begin(), arguments.end());  // as parse() takes them
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& fault) {
    if (fault.get_exit_code() == 0) return app.exit(fault);  // --help
    const auto commands = app.get_subcommands();
    const bool is_unknown = commands.empty() && !first.empty() && first.front() != '-';
    std::cerr << "lrfinder: "
              << (is_unknown ? "there is no command \"" + lrfinder::detail::printable(first) + '"'
                             : fault.what())
              << "\n\n"
              << (commands.empty() ? app.help() : commands.front()->help("lrfinder"));
    return 2;
  }
  try {
    if (!request.smoothed.empty()) {
      request.format.smoothing = lrfinder::smoothing_of(request.smoothed);
    }
    if (plan_command.parsed()) {
      plan_command.run();
    } else {
      show_command->parsed() ? show(request) : draw(request);
    }
    if (!std::cout.flush()) throw lrfinder::Error("cannot write to the standard output");
  } catch (const lrfinder::InvalidOption& fault) {
    std::cerr << "lrfinder: " << fault.what() << '\n';
    return 2;
  } catch (const lrfinder::Error& fault) {
    std::cerr << "lrfinder: " << fault.what() << '\n';
    return 1;
  } catch (const std::bad_alloc&) {
    std::cerr << "lrfinder: out of memory\n";
    return 1;
  }
}
