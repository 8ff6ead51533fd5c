#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include <lrfinder/history/csv.hpp>

// Any bytes are either refused with InvalidHistory or read into a history that is written and read
// back as the same text.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  try {
    const std::string_view text(reinterpret_cast<const char*>(bytes), size);
    const std::string saved = lrfinder::to_csv(lrfinder::from_csv(text));
    if (lrfinder::to_csv(lrfinder::from_csv(saved)) != saved) std::abort();
  } catch (const lrfinder::InvalidHistory&) {
  }
  return 0;
}
