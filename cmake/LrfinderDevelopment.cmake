# What the tests and examples of this repository are built with; nothing here reaches a user's
# targets.

add_library(lrfinder_warnings INTERFACE)
target_compile_options(lrfinder_warnings INTERFACE
  $<$<CXX_COMPILER_ID:GNU,Clang,AppleClang>:-Wall;-Wextra;-Wpedantic;-Wconversion;-Wshadow>)
option(LRFINDER_WARNINGS_AS_ERRORS "Turn warnings into errors" OFF)
if(LRFINDER_WARNINGS_AS_ERRORS)
  target_compile_options(lrfinder_warnings INTERFACE
    $<$<CXX_COMPILER_ID:GNU,Clang,AppleClang>:-Werror>)
endif()

# torch/torch.h takes most of a compilation. It is compiled once, and every program here reuses it.
if(LRFINDER_TRAINING)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/torch_precompiled.cpp CONTENT "")
  add_library(lrfinder_torch_precompiled OBJECT ${PROJECT_BINARY_DIR}/torch_precompiled.cpp)
  target_link_libraries(lrfinder_torch_precompiled PRIVATE lrfinder_lrfinder lrfinder_warnings)
  target_precompile_headers(lrfinder_torch_precompiled PRIVATE <torch/torch.h>)
endif()

# What lrfinder::compiled compiles in each program is compiled once for all programs here.
if(LRFINDER_TRAINING)
  add_library(lrfinder_once STATIC ${PROJECT_SOURCE_DIR}/src/lrfinder.cpp)
  target_link_libraries(lrfinder_once PUBLIC lrfinder_lrfinder PRIVATE lrfinder_warnings)
  target_compile_definitions(lrfinder_once PUBLIC LRFINDER_COMPILED)
  target_precompile_headers(lrfinder_once REUSE_FROM lrfinder_torch_precompiled)
endif()

# An executable that uses the whole library. HEADER_ONLY: compiles all of it.
function(lrfinder_add_training_executable name)
  cmake_parse_arguments(PARSE_ARGV 1 ARG "HEADER_ONLY" "" "")
  add_executable(${name} ${ARG_UNPARSED_ARGUMENTS})
  target_link_libraries(${name} PRIVATE lrfinder_lrfinder lrfinder_warnings)
  if(NOT ARG_HEADER_ONLY)
    target_link_libraries(${name} PRIVATE lrfinder_once)
  endif()
  target_precompile_headers(${name} REUSE_FROM lrfinder_torch_precompiled)
endfunction()

# Whether programs can make process groups of c10d: the headers of Gloo have to be there (Debian:
# libgloo-dev), and c10d, with Gloo in it, inside LibTorch. Its headers hide ProcessGroupGloo behind
# definitions that LibTorch's CMake package brings, but python3's torch package does not.
if(LRFINDER_TRAINING)
  include(CheckCXXSourceCompiles)
  function(lrfinder_check_distributed)
    set(CMAKE_REQUIRED_LIBRARIES lrfinder_torch ${TORCH_LIBRARIES})
    set(CMAKE_REQUIRED_DEFINITIONS -DUSE_DISTRIBUTED -DUSE_C10D_GLOO)
    set(CMAKE_REQUIRED_QUIET ON)
    set(CMAKE_CXX_STANDARD ${lrfinder_cxx_standard})
    check_cxx_source_compiles("
      #include <torch/csrc/distributed/c10d/FileStore.hpp>
      #include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
      int main() {
        auto store = c10::make_intrusive<c10d::FileStore>(\"file\", 1);
        c10d::ProcessGroupGloo group(store, 0, 1);
      }" LRFINDER_DISTRIBUTED)
  endfunction()
  lrfinder_check_distributed()
  if(LRFINDER_DISTRIBUTED)
    # For all, because the precompiled header is one for all.
    target_compile_definitions(lrfinder_torch INTERFACE USE_DISTRIBUTED USE_C10D_GLOO)
    message(STATUS "lrfinder: c10d with Gloo found: what needs several processes is built")
  else()
    unset(LRFINDER_DISTRIBUTED CACHE)  # to be tried again when it may have been installed
    message(STATUS "lrfinder: no c10d with Gloo (Debian: libgloo-dev): what needs several processes "
                   "is left out")
  endif()
endif()
