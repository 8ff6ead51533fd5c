#pragma once

#include <environment.hpp>
#include <filesystem>
#include <string>
#include <temporary_directory.hpp>

/// Makes the program of fake_gnuplot.cpp the only gnuplot on PATH for as long as it lives.
class FakeGnuplot {
 public:
  explicit FakeGnuplot(const std::string& drawing)
      : path_("PATH", directory_.name()), drawing_("FAKE_DRAWING", drawing) {
    const std::filesystem::path program(LRFINDER_FAKE_GNUPLOT);
    std::filesystem::copy_file(program,
                               directory_.path() / ("gnuplot" + program.extension().string()));
  }

 private:
  TemporaryDirectory directory_;
  EnvironmentVariable path_, drawing_;
};
