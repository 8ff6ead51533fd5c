# cpack: what cmake --install installs, as .tar.gz and, where there is dpkg, as .deb.

set(CPACK_GENERATOR TGZ)
set(CPACK_PACKAGE_CONTACT "the lrfinder authors")
set(CPACK_PACKAGE_VENDOR "the lrfinder authors")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGE_FILE_NAME lrfinder-${PROJECT_VERSION})
if(LRFINDER_BUILD_CLI)
  string(APPEND CPACK_PACKAGE_FILE_NAME -${CMAKE_SYSTEM_NAME}-${CMAKE_SYSTEM_PROCESSOR})
endif()

find_program(LRFINDER_DPKG dpkg)
mark_as_advanced(LRFINDER_DPKG)
if(LRFINDER_DPKG)
  list(APPEND CPACK_GENERATOR DEB)
  set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
  set(CPACK_DEBIAN_PACKAGE_SECTION libdevel)
  set(CPACK_DEBIAN_PACKAGE_RECOMMENDS libtorch-dev)
  set(CPACK_DEBIAN_PACKAGE_SUGGESTS "cmake, gnuplot-nox, libopenblas0-pthread")
  if(LRFINDER_BUILD_CLI)
    set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)  # the libraries of the command
    set(CPACK_STRIP_FILES ON)
  else()
    set(CPACK_DEBIAN_PACKAGE_ARCHITECTURE all)
  endif()
endif()

# Of all targets only the command is installed. Without this, cpack and `make install` would build the tests
# and the examples first.
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)
if(LRFINDER_BUILD_CLI)
  set(CPACK_INSTALL_COMMANDS
    "\"${CMAKE_COMMAND}\" --build \"${PROJECT_BINARY_DIR}\" --target lrfinder_command")
  set(CPACK_VERBATIM_VARIABLES ON)
endif()
include(CPack)
