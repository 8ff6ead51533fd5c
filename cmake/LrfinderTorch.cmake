# Finds LibTorch and wraps it as the target lrfinder_torch, with the C++ standard that it asks for.
# The build of this repository and the installed package share this file. Where there is no
# LibTorch there is no target, and lrfinder_torch_missing says what to do.
#
# Looked for in this order: Torch_DIR and CMAKE_PREFIX_PATH, the system, the torch package that
# python3 imports. The last is linked by its files, not by its CMake package, because that one
# insists on a CUDA toolkit where torch was built for CUDA.

if(TARGET lrfinder_torch)
  return()
endif()

find_package(Torch QUIET)
if(Torch_FOUND)
  add_library(lrfinder_torch INTERFACE IMPORTED)
  target_link_libraries(lrfinder_torch INTERFACE ${TORCH_LIBRARIES})
  set(lrfinder_torch_include_dirs ${TORCH_INCLUDE_DIRS})
  set(lrfinder_torch_found "${Torch_VERSION} (${Torch_DIR})")
else()
  find_program(LRFINDER_PYTHON NAMES python3 python DOC "Python whose torch package brings LibTorch")
  mark_as_advanced(LRFINDER_PYTHON)
  set(lrfinder_torch_in_python "")
  if(LRFINDER_PYTHON)
    execute_process(
      COMMAND ${LRFINDER_PYTHON} -c "import os, torch
print(os.path.dirname(torch.__file__), int(torch.compiled_with_cxx11_abi()), torch.__version__, sep=';')"
      OUTPUT_VARIABLE lrfinder_torch_in_python OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
  if(lrfinder_torch_in_python)
    list(GET lrfinder_torch_in_python 0 lrfinder_torch_dir)
    list(GET lrfinder_torch_in_python 1 lrfinder_torch_abi)
    list(GET lrfinder_torch_in_python 2 lrfinder_torch_version)
    set(lrfinder_torch_include_dirs
      ${lrfinder_torch_dir}/include ${lrfinder_torch_dir}/include/torch/csrc/api/include)
    if(EXISTS "${lrfinder_torch_dir}/include/torch/csrc/api/include/torch/all.h")
      add_library(lrfinder_torch INTERFACE IMPORTED)
      target_include_directories(lrfinder_torch SYSTEM INTERFACE ${lrfinder_torch_include_dirs})
      target_compile_definitions(lrfinder_torch INTERFACE
        _GLIBCXX_USE_CXX11_ABI=${lrfinder_torch_abi})
      foreach(lrfinder_library torch torch_cpu c10 torch_cuda c10_cuda)
        set(lrfinder_library
          ${lrfinder_torch_dir}/lib/${CMAKE_SHARED_LIBRARY_PREFIX}${lrfinder_library}${CMAKE_SHARED_LIBRARY_SUFFIX})
        if(EXISTS "${lrfinder_library}")
          target_link_libraries(lrfinder_torch INTERFACE ${lrfinder_library})
        endif()
      endforeach()
      if(UNIX AND NOT APPLE)
        # The linker would drop libtorch_cuda, which only registers itself when it is loaded.
        target_link_options(lrfinder_torch INTERFACE LINKER:--no-as-needed)
      endif()
      set(lrfinder_torch_found "${lrfinder_torch_version} (${lrfinder_torch_dir})")
    endif()
  endif()
endif()

if(NOT TARGET lrfinder_torch)
  string(CONCAT lrfinder_torch_missing
    "lrfinder: LibTorch was not found. Any of these brings it:\n"
    "  - Debian, Ubuntu: apt-get install libtorch-dev libopenblas0-pthread\n"
    "  - Python's torch: pip install torch (found by itself when python3 can import it)\n"
    "  - an unpacked LibTorch: cmake -DCMAKE_PREFIX_PATH=/path/to/libtorch\n"
    "What needs no LibTorch is lrfinder::curve: -DLRFINDER_TRAINING=OFF builds that alone, "
    "find_package(lrfinder COMPONENTS curve) finds it.")
  return()
endif()

# C++17 serves, unless torch/all.h asks for C++20, as that of newer versions does.
set(lrfinder_cxx_standard 17)
foreach(lrfinder_torch_include_dir IN LISTS lrfinder_torch_include_dirs)
  if(EXISTS "${lrfinder_torch_include_dir}/torch/all.h")
    file(STRINGS "${lrfinder_torch_include_dir}/torch/all.h" lrfinder_torch_asks
      REGEX "__cplusplus < 202002L")
    if(lrfinder_torch_asks)
      set(lrfinder_cxx_standard 20)
    endif()
  endif()
endforeach()
target_compile_features(lrfinder_torch INTERFACE cxx_std_${lrfinder_cxx_standard})
message(STATUS "lrfinder: LibTorch ${lrfinder_torch_found}, C++${lrfinder_cxx_standard}")
