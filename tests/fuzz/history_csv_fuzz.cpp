#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include <lrfinder/history/csv.hpp>

// Any bytes are either refused with InvalidHistory or read into a history that is written and read
// back as the same text, as a history of our own and as a curve of another tool.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  const std::string text(reinterpret_cast<const char*>(bytes), size);
  const std::string source = "history";
  const lrfinder::ForeignFormat format{{0.05, 1}};
  for (const bool is_foreign : {false, true}) {
    try {
      const std::string saved =
          lrfinder::to_csv(is_foreign ? lrfinder::detail::ForeignReader(text, format, source).read()
                                      : lrfinder::from_csv(text, source));
      if (lrfinder::to_csv(lrfinder::from_csv(saved)) != saved) std::abort();
    } catch (const lrfinder::InvalidHistory&) {
    }
  }
  lrfinder::detail::is_own(text, {});
  return 0;
}
