#pragma once

// The tests are written for Catch2 3 and 2 alike.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
namespace matchers = Catch::Matchers;
inline auto contains(const std::string& part) { return matchers::ContainsSubstring(part); }
#else
#include <catch2/catch.hpp>
namespace matchers = Catch::Matchers;
inline auto contains(const std::string& part) { return matchers::Contains(part); }
#endif
