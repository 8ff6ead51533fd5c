# The target single_include: each header that users include, with all that it includes of lrfinder, as
# one file in single_include/lrfinder/ of the build folder.

set(lrfinder_single_include_dir ${PROJECT_BINARY_DIR}/single_include)
file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/include/lrfinder/*.hpp)
set(single_headers "")
foreach(name IN ITEMS curve lrfinder distributed parallel_trials)
  set(output ${lrfinder_single_include_dir}/lrfinder/${name}.hpp)
  add_custom_command(OUTPUT ${output}
    COMMAND ${CMAKE_COMMAND} -DINCLUDE_DIR=${PROJECT_SOURCE_DIR}/include
      -DHEADER=lrfinder/${name}.hpp -DVERSION=${PROJECT_VERSION}
      -DLICENSE=${PROJECT_SOURCE_DIR}/LICENSE -DOUTPUT=${output}
      -P ${PROJECT_SOURCE_DIR}/cmake/single_include.cmake
    DEPENDS ${headers} ${PROJECT_SOURCE_DIR}/cmake/single_include.cmake
      ${PROJECT_SOURCE_DIR}/LICENSE
    VERBATIM)
  list(APPEND single_headers ${output})
endforeach()
add_custom_target(single_include DEPENDS ${single_headers})
