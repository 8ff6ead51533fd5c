#include <lrfinder/lr_finder.hpp>

std::size_t size_in_other_source(const lrfinder::History& history) { return history.size(); }
