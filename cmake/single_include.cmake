# Writes a header with all headers of lrfinder that it includes put in their places.
#
#   cmake -DINCLUDE_DIR=CHECKOUT/include -DHEADER=lrfinder/curve.hpp -DVERSION=0.1.0
#         -DLICENSE=CHECKOUT/LICENSE -DOUTPUT=FILE -P single_include.cmake

cmake_minimum_required(VERSION 3.18)
set(seen "")

# Sets `variable` to the text of a header, with a guard of its own: a source may include several of
# the headers that this writes.
function(expand header variable)
  list(APPEND seen ${header})
  string(TOUPPER ${header} guard)
  string(MAKE_C_IDENTIFIER ${guard} guard)
  file(READ ${INCLUDE_DIR}/${header} rest)
  string(REGEX REPLACE "^#pragma once\n" "" rest "${rest}")
  set(text "#ifndef ${guard}\n#define ${guard}")
  while("\n${rest}" MATCHES "\n#include <(lrfinder/[^>]*)>\n")
    set(included ${CMAKE_MATCH_1})
    string(FIND "${rest}" "#include <${included}>\n" place)
    string(SUBSTRING "${rest}" 0 ${place} before)
    string(LENGTH "#include <${included}>\n" length)
    math(EXPR place "${place} + ${length}")
    string(SUBSTRING "${rest}" ${place} -1 rest)
    string(APPEND text "${before}")
    if(NOT included IN_LIST seen)
      expand(${included} inner)
      string(APPEND text "${inner}")
    endif()
  endwhile()
  set(seen ${seen} PARENT_SCOPE)
  set(${variable} "${text}${rest}#endif  // ${guard}\n" PARENT_SCOPE)
endfunction()

expand(${HEADER} text)
file(READ ${LICENSE} license)
string(STRIP "${license}" license)
string(REPLACE "\n" "\n// " license "// ${license}")
string(REPLACE "// \n" "//\n" license "${license}")
file(WRITE ${OUTPUT} "#pragma once

// <${HEADER}> of lrfinder ${VERSION} with all of its headers in one file, which the
// CMake target single_include wrote. Changes belong into those headers.
//
${license}

${text}")
