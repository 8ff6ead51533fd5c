#include <iostream>

#include <lrfinder/curve.hpp>

int main() {
  const lrfinder::History history({0.001, 0.01, 0.1, 1}, {2.3, 1.9, 1.1, 4});
  std::cout << "a curve of " << history.size() << " points\n";
  return history.size() == 4 ? 0 : 1;
}
