#include <catch2.hpp>

#include <lrfinder/plot/options.hpp>

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
                                  .log_lr(false)
                                  .log_loss(true)
                                  .lr_range(1e-3, 1)
                                  .loss_range(0, 3);
  CHECK(options.title() == "digits");
  CHECK(options.size() == std::pair(1200, 900));
  CHECK(options.width() == 1200);
  CHECK(options.height() == 900);
  CHECK(options.text_size() == std::pair(100, 30));
  CHECK(options.skip_start() == 10);
  CHECK(options.skip_end() == 5);
  CHECK(options.show_lr() == 0.1);
  CHECK(options.metric() == "accuracy");
  CHECK(options.log_lr() == false);
  CHECK(options.log_loss());
  CHECK(options.lr_range() == std::pair(1e-3, 1.0));
  CHECK(options.loss_range() == std::pair(0.0, 3.0));
}

TEST_CASE("a suggestion that is marked takes the place of the default recipes") {
  PlotOptions options;
  CHECK(options.recipes().size() == lrfinder::default_recipes().size());
  options.mark(Suggestion{0.1, 0, 1, "mine", ""}).mark(Suggestion{0.2, 0, 1, "mine too", ""});
  REQUIRE(options.recipes().size() == 2);
  CHECK(options.recipes()[0](History()).lr == 0.1);
  CHECK(options.recipes()[1](History()).recipe == "mine too");
}

TEST_CASE("an empty list of recipes marks nothing") {
  CHECK(PlotOptions().recipes({}).recipes().empty());
}
