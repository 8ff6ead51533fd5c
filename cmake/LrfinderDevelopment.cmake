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

# An executable that uses the whole library.
function(lrfinder_add_training_executable name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE lrfinder_lrfinder lrfinder_warnings)
  target_precompile_headers(${name} REUSE_FROM lrfinder_torch_precompiled)
endfunction()
