# The target docs: the reference documentation, in docs/html of the build folder.

find_program(LRFINDER_DOXYGEN doxygen)
mark_as_advanced(LRFINDER_DOXYGEN)
if(LRFINDER_DOXYGEN)
  file(WRITE ${PROJECT_BINARY_DIR}/Doxyfile
    "@INCLUDE = docs/Doxyfile\nOUTPUT_DIRECTORY = \"${PROJECT_BINARY_DIR}/docs\"\n")
  add_custom_target(docs COMMAND ${LRFINDER_DOXYGEN} ${PROJECT_BINARY_DIR}/Doxyfile
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} VERBATIM)
endif()
