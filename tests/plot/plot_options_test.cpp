#include <catch2.hpp>

#include <lrfinder/plot/plot_options.hpp>

using lrfinder::History;
using lrfinder::PlotOptions;
using lrfinder::Suggestion;

TEST_CASE("plot options chain, and read what was set") {
  const PlotOptions options = PlotOptions()
                                  .title("digits")
                                  .size(1200, 900)
                                  .text_size(100, 30)
                                  .skip_start(10)
                                  .skip_end(5)
                                  .show_lr(0.1)
                                  .metric("accuracy")
                                  .log_loss(true)
                                  .markers(true);
  CHECK(options.title() == "digits");
  CHECK(options.size() == std::pair(1200, 900));
  CHECK(options.text_size() == std::pair(100, 30));
  CHECK(options.skip_start() == 10);
  CHECK(options.skip_end() == 5);
  CHECK(options.show_lr() == 0.1);
  CHECK(options.metric() == "accuracy");
  CHECK(options.log_loss());
  CHECK(options.markers());
}

TEST_CASE("a suggestion that is marked takes the place of the default recipes") {
  PlotOptions options;
  CHECK(options.recipes().size() == 1);
  options.mark(Suggestion{0.1, 0, 1, "mine", ""}).mark(Suggestion{0.2, 0, 1, "mine too", ""});
  REQUIRE(options.recipes().size() == 2);
  CHECK(options.recipes()[0](History()).lr == 0.1);
  CHECK(options.recipes()[1](History()).recipe == "mine too");
}

TEST_CASE("an empty list of recipes marks nothing") {
  CHECK(PlotOptions().recipes({}).recipes().empty());
}
