# Finds LibTorch and wraps it as the target lrfinder_torch.
#
# Looked for in this order: Torch_DIR and CMAKE_PREFIX_PATH, the system, the torch package of the
# python3 on PATH.

find_package(Torch QUIET)
if(NOT Torch_FOUND)
  find_program(LRFINDER_PYTHON NAMES python3 python)
  if(LRFINDER_PYTHON)
    execute_process(
      COMMAND ${LRFINDER_PYTHON} -c "import torch; print(torch.utils.cmake_prefix_path)"
      OUTPUT_VARIABLE lrfinder_python_torch OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
    if(lrfinder_python_torch)
      find_package(Torch QUIET PATHS ${lrfinder_python_torch})
    endif()
  endif()
endif()
if(NOT Torch_FOUND)
  message(FATAL_ERROR
    "lrfinder: LibTorch was not found. Any of these brings it:\n"
    "  - Debian, Ubuntu: apt-get install libtorch-dev libopenblas0-pthread\n"
    "  - Python's torch: pip install torch (found by itself when python3 can import it)\n"
    "  - an unpacked LibTorch: cmake -DCMAKE_PREFIX_PATH=/path/to/libtorch\n"
    "Only the torch-free part (lrfinder::curve) is built with -DLRFINDER_TRAINING=OFF.")
endif()

# C++17 serves, unless torch/all.h itself asks for C++20.
set(LRFINDER_CXX_STANDARD 17)
foreach(lrfinder_include IN LISTS TORCH_INCLUDE_DIRS ITEMS /usr/include)
  foreach(lrfinder_header "torch/all.h" "torch/csrc/api/include/torch/all.h")
    if(EXISTS "${lrfinder_include}/${lrfinder_header}")
      file(STRINGS "${lrfinder_include}/${lrfinder_header}" lrfinder_needs_20 REGEX "202002L")
      if(lrfinder_needs_20)
        set(LRFINDER_CXX_STANDARD 20)
      endif()
    endif()
  endforeach()
endforeach()

add_library(lrfinder_torch INTERFACE)
target_link_libraries(lrfinder_torch INTERFACE ${TORCH_LIBRARIES})
target_include_directories(lrfinder_torch SYSTEM INTERFACE ${TORCH_INCLUDE_DIRS})
target_compile_features(lrfinder_torch INTERFACE cxx_std_${LRFINDER_CXX_STANDARD})
separate_arguments(lrfinder_torch_flags NATIVE_COMMAND "${TORCH_CXX_FLAGS}")
target_compile_options(lrfinder_torch INTERFACE ${lrfinder_torch_flags})
message(STATUS "lrfinder: LibTorch ${Torch_VERSION} (${Torch_DIR}), C++${LRFINDER_CXX_STANDARD}")
