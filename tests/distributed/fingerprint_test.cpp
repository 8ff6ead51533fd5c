#include <catch2.hpp>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include <lrfinder/distributed/fingerprint.hpp>
#include <lrfinder/error.hpp>

using lrfinder::detail::Fingerprint;

TEST_CASE("The same terms agree") {
  const auto terms = [] {
    return Fingerprint()
        .add("num_iter", 100)
        .add("start_lr", std::vector<double>{1e-7, 0.1})
        .add("clip_grad_norm", std::optional<double>())
        .add("a name\nof two lines", std::string("and\na value"));
  };
  CHECK_NOTHROW(terms().require_same(terms().text(), 3));
  CHECK_NOTHROW(Fingerprint().require_same("", 3));
}

TEST_CASE("The first difference is named, with both values and the rank") {
  const auto of_rank_0 = Fingerprint().add("num_iter", 100).add("smooth_f", 0.05).text();
  CHECK_THROWS_WITH(
      Fingerprint().add("num_iter", 50).add("smooth_f", 0.1).require_same(of_rank_0, 2),
      "LRFinder: num_iter is 50 on rank 2 and 100 on rank 0; all ranks have to run "
      "the same test on the same model");
}

TEST_CASE("Numbers that differ in the last bit do not agree") {
  const double value = 0.1;
  const double next = std::nextafter(value, 1);
  CHECK_THROWS_AS(
      Fingerprint().add("lr", next).require_same(Fingerprint().add("lr", value).text(), 1),
      lrfinder::InvalidOption);
}

TEST_CASE("Another number of terms does not agree") {
  const auto two = Fingerprint().add("tensor 0", "float [2]").add("tensor 1", "float [3]");
  const auto one = Fingerprint().add("tensor 0", "float [2]");
  CHECK_THROWS_WITH(two.require_same(one.text(), 1),
                    contains("there is tensor 1 on rank 1 and nothing on rank 0"));
  CHECK_THROWS_WITH(one.require_same(two.text(), 1),
                    contains("there is nothing on rank 1 and tensor 1 on rank 0"));
}
