#pragma once

// The tests are written for Catch2 3 and 2 alike.
#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
namespace matchers = Catch::Matchers;
inline auto contains(const std::string& part) { return matchers::ContainsSubstring(part); }
using Listener = Catch::EventListenerBase;
inline std::string name_of(const Catch::Tag& tag) { return std::string(tag.original); }
#else
#include <catch2/catch.hpp>
namespace matchers = Catch::Matchers;
inline auto contains(const std::string& part) { return matchers::Contains(part); }
#ifdef CATCH_CONFIG_EXTERNAL_INTERFACES  // which listeners need
using Listener = Catch::TestEventListenerBase;
inline const std::string& name_of(const std::string& tag) { return tag; }
#endif
#endif
