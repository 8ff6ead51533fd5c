// The one source of the CMake target lrfinder::compiled. With LRFINDER_COMPILED, lrfinder.hpp only
// declares what is defined here.

#ifndef LRFINDER_COMPILED
#define LRFINDER_COMPILED
#endif
#include <lrfinder/engine/engine_inl.hpp>
#include <lrfinder/lrfinder.hpp>
