// For a program whose sources include lr_finder.hpp alone, to compile quickly: this file, compiled
// with them once, brings what that header declares. The CMake target lrfinder::compiled adds it.

#include <lrfinder/lrfinder.hpp>

template class lrfinder::detail::Finder<>;
