#include <catch2.hpp>
#include <cmath>
#include <csignal>
#include <limits>
#include <processes.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include <torch/torch.h>

#include <lrfinder/distributed.hpp>
#include <lrfinder/distributed/health_check.hpp>

using lrfinder::RankFailed;
using lrfinder::detail::HealthCheck;
using lrfinder::detail::SyncPoint;

namespace {

/// Runs health checks, and reports how they ended.
template <class Work>
Report around_health_checks(Process& process, Work&& work) {
  Report report;
  HealthCheck health_check(lrfinder::communicator(process.group));
  try {
    work(health_check);
    report["ended"] = "well";
  } catch (const RankFailed& failure) {
    report["ended"] = failure.what();
    report["rank"] = failure.rank() ? std::to_string(*failure.rank()) : "unknown";
  } catch (const std::exception& error) {
    health_check.leave(std::current_exception());
    report["ended"] = error.what();
  }
  return report;
}

}  // namespace

TEST_CASE("A health check sums the values of all ranks for all ranks") {
  const int size = GENERATE(1, 2, 4);
  const auto reports = in_processes(size, [](Process& process) {
    Report report;
    HealthCheck health_check(lrfinder::communicator(process.group));
    const auto sums =
        health_check.sum_if_all_well(SyncPoint::measured, {1.0, process.rank * 0.5, 0.0});
    report["sums"] =
        std::to_string(sums[0]) + ' ' + std::to_string(sums[1]) + ' ' + std::to_string(sums[2]);
    return report;
  });
  const double halves = 0.25 * size * (size - 1);
  for (const Report& report : reports) {
    CHECK(report.at("sums") ==
          std::to_string(1.0 * size) + ' ' + std::to_string(halves) + ' ' + std::to_string(0.0));
  }
}

TEST_CASE("Without ranks a health check returns the values as they are") {
  HealthCheck health_check(nullptr);
  CHECK(health_check.sum_if_all_well(SyncPoint::measured, {1, 2}) == std::vector<double>{1, 2});
  CHECK(health_check.size() == 1);
  health_check.leave(std::make_exception_ptr(std::runtime_error("nobody hears this")));
}

TEST_CASE("A rank that leaves ends the health check of the others, which learn why") {
  const int size = GENERATE(2, 4);
  const auto reports = in_processes(size, [](Process& process) {
    return around_health_checks(process, [&](HealthCheck& health_check) {
      health_check.sum_if_all_well(SyncPoint::measured, {1, 2});
      if (process.rank == 1) throw std::runtime_error("the disk is full");
      health_check.sum_if_all_well(SyncPoint::measured, {3});
    });
  });
  for (std::size_t rank = 0; rank < reports.size(); ++rank) {
    if (rank == 1) {
      CHECK(reports[rank].at("ended") == "the disk is full");
    } else {
      CHECK(reports[rank].at("rank") == "1");
      CHECK(reports[rank].at("ended") == "LRFinder: rank 1 of " + std::to_string(size) +
                                             " ended the test by an exception: the disk is full");
    }
  }
}

TEST_CASE("If several ranks leave, each keeps its own exception, and the first is told") {
  const auto reports = in_processes(4, [](Process& process) {
    return around_health_checks(process, [&](HealthCheck& health_check) {
      if (process.rank >= 2) throw std::runtime_error("mine: " + std::to_string(process.rank));
      health_check.sum_if_all_well(SyncPoint::measured);
    });
  });
  CHECK(reports[0].at("rank") == "2");
  CHECK(reports[1].at("rank") == "2");
  CHECK(reports[2].at("ended") == "mine: 2");
  CHECK(reports[3].at("ended") == "mine: 3");
}

TEST_CASE("A rank that leaves without a word, or with a long one, is told as well") {
  const auto text = GENERATE(std::string(), std::string(5000, 'x'));
  const auto reports = in_processes(2, [&](Process& process) {
    return around_health_checks(process, [&](HealthCheck& health_check) {
      if (process.rank == 0) throw std::runtime_error(text);
      health_check.sum_if_all_well(SyncPoint::measured);
    });
  });
  CHECK(reports[1].at("rank") == "0");
  CHECK_THAT(reports[1].at("ended"), contains("exception: " + text.substr(0, 900)));
  CHECK(reports[1].at("ended").size() < 1200);
}

TEST_CASE("After the last health check a failure is no longer told") {
  const auto reports = in_processes(2, [](Process& process) {
    return around_health_checks(process, [&](HealthCheck& health_check) {
      health_check.end();
      if (process.rank == 0) throw std::runtime_error("too late");
    });
  });
  CHECK(reports[0].at("ended") == "too late");
  CHECK(reports[1].at("ended") == "well");
}

TEST_CASE("Ranks at different sync points all learn it") {
  const auto reports = in_processes(4, [](Process& process) {
    return around_health_checks(process, [&](HealthCheck& health_check) {
      health_check.sum_if_all_well(process.rank == 2 ? SyncPoint::measured : SyncPoint::backward);
    });
  });
  for (const Report& report : reports) {
    CHECK_THAT(report.at("ended"),
               contains("out of step (3 after a backward pass, 1 after a validation)"));
  }
}

TEST_CASE("A figure that is not finite is no failure") {
  const auto reports = in_processes(2, [](Process& process) {
    return around_health_checks(process, [&](HealthCheck& health_check) {
      const double mine = process.rank == 0 ? std::numeric_limits<double>::quiet_NaN() : 1;
      if (!std::isnan(health_check.sum_if_all_well(SyncPoint::measured, {mine})[0]))
        throw std::runtime_error("lost");
    });
  });
  CHECK(reports[0].at("ended") == "well");
  CHECK(reports[1].at("ended") == "well");
}

TEST_CASE("A rank that is killed ends the health check of the others") {
  const int size = GENERATE(2, 4);
  const auto reports = in_processes(
      size,
      [](Process& process) {
        return around_health_checks(process, [&](HealthCheck& health_check) {
          health_check.sum_if_all_well(SyncPoint::measured);
          if (process.rank == 1) std::raise(SIGKILL);
          health_check.sum_if_all_well(SyncPoint::measured);
        });
      },
      std::chrono::seconds(10));
  for (std::size_t rank = 0; rank < reports.size(); ++rank) {
    if (rank == 1) {
      CHECK(reports[rank].at("signal") == std::to_string(SIGKILL));
    } else {
      CHECK(reports[rank].at("rank") == "unknown");
      CHECK_THAT(reports[rank].at("ended"),
                 contains("lost the others while checking that all ranks are well"));
    }
  }
}

TEST_CASE("A rank that stalls ends the health check of the others, and its own") {
  const int size = GENERATE(2, 4);
  const auto reports = in_processes(
      size,
      [](Process& process) {
        return around_health_checks(process, [&](HealthCheck& health_check) {
          health_check.sum_if_all_well(SyncPoint::measured);
          if (process.rank == 1) process.wait_for_the_others();
          health_check.sum_if_all_well(SyncPoint::measured);
        });
      },
      std::chrono::seconds(6));
  for (const Report& report : reports) {
    CHECK_THAT(report.at("ended"), contains("did not come within the timeout"));
  }
}
