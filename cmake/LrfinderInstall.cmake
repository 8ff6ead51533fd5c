# cmake --install: the headers, and relocatable packages for find_package(lrfinder) and pkg-config.
# What is installed does not depend on LibTorch: it is looked for when the package is used.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(lrfinder_package_dir ${CMAKE_INSTALL_DATADIR}/cmake/lrfinder)

install(DIRECTORY include/lrfinder DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

install(TARGETS lrfinder_curve EXPORT lrfinderTargets
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT lrfinderTargets NAMESPACE lrfinder:: DESTINATION ${lrfinder_package_dir})

configure_package_config_file(cmake/lrfinderConfig.cmake.in
  ${PROJECT_BINARY_DIR}/lrfinderConfig.cmake INSTALL_DESTINATION ${lrfinder_package_dir}
  PATH_VARS CMAKE_INSTALL_INCLUDEDIR)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/lrfinderConfigVersion.cmake
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
install(FILES
  ${PROJECT_BINARY_DIR}/lrfinderConfig.cmake
  ${PROJECT_BINARY_DIR}/lrfinderConfigVersion.cmake
  cmake/LrfinderTorch.cmake
  src/lrfinder.cpp
  DESTINATION ${lrfinder_package_dir})

# The same for pkg-config. The whole library has none: LibTorch comes without.
set(lrfinder_pkgconfig_dir ${CMAKE_INSTALL_DATADIR}/pkgconfig)
file(RELATIVE_PATH lrfinder_prefix_from_pkgconfig /prefix/${lrfinder_pkgconfig_dir} /prefix)
configure_file(cmake/lrfinder-curve.pc.in ${PROJECT_BINARY_DIR}/lrfinder-curve.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/lrfinder-curve.pc DESTINATION ${lrfinder_pkgconfig_dir})
