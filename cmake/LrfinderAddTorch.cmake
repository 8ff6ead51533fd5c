# Adds LibTorch to this build: the target lrfinder_torch, seen by all of the project that lrfinder
# is a part of.

set(lrfinder_imported lrfinder_torch)
if(NOT TARGET torch)
  # Unless the project has found them itself, LibTorch's own targets have to be seen as widely:
  # their properties name each other.
  foreach(name IN ITEMS torch torch_cpu torch_cuda torch_hip torch_xpu)
    list(APPEND lrfinder_imported ${name} ${name}_library)
  endforeach()
  list(APPEND lrfinder_imported headeronly c10 c10_cuda c10_hip c10_xpu)
endif()

include(${CMAKE_CURRENT_LIST_DIR}/LrfinderTorch.cmake)
if(NOT TARGET lrfinder_torch)
  message(FATAL_ERROR "${lrfinder_torch_missing}")
endif()

foreach(target IN LISTS lrfinder_imported)
  if(TARGET ${target})
    set_target_properties(${target} PROPERTIES IMPORTED_GLOBAL TRUE)
  endif()
endforeach()
