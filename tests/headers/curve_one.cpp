#include <lrfinder/curve.hpp>

std::size_t size_in_other_source(const lrfinder::History& history);

int main() {
  const lrfinder::History history({0.1, 0.2, 0.3}, {3, 2, 1});
  return history.size() == size_in_other_source(history) ? 0 : 1;
}
