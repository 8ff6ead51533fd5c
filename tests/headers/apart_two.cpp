#include <type_traits>

#include <lrfinder/lrfinder.hpp>

// With LRFINDER_COMPILED the header is quick to compile, as long as it does not bring what does the
// work.
namespace lrfinder::detail {
class SavedState;
}
template <class T, class = void>
inline constexpr bool is_defined = false;
template <class T>
inline constexpr bool is_defined<T, std::void_t<decltype(sizeof(T))>> = true;
static_assert(!is_defined<lrfinder::detail::SavedState>);
static_assert(is_defined<lrfinder::History>);

std::size_t size_in_other_source(const lrfinder::History& history) { return history.size(); }
