# Builds misuses.cpp, and fails unless the compiler says of each misuse what the comment before it says,
# in one error of few lines.
#
#   cmake -DBUILD=FOLDER -DSOURCE=misuses.cpp -P check_messages.cmake

cmake_minimum_required(VERSION 3.18)
set(most_lines 14)  # 9 by GCC 12, 12 by clang 14, 13.4 by GCC 16

set(ENV{LC_ALL} C)  # the compiler's own language
execute_process(COMMAND ${CMAKE_COMMAND} --build ${BUILD} --target misuses
  RESULT_VARIABLE status OUTPUT_VARIABLE said ERROR_VARIABLE said)
if(status EQUAL 0)
  message(FATAL_ERROR "the misuses compile")
endif()
string(REGEX REPLACE "[][;]" " " said "${said}")  # which lists of CMake cannot hold

file(STRINGS ${SOURCE} expected REGEX "^// says: ")
list(LENGTH expected misuses)
foreach(line IN LISTS expected)
  string(REGEX REPLACE "^// says: |[][]" "" text "${line}")
  string(REPLACE "${text}" "" without "${said}")
  string(LENGTH "${text}" length)
  string(LENGTH "${said}" before)
  string(LENGTH "${without}" after)
  math(EXPR times "(${before} - ${after}) / ${length}")
  if(NOT times EQUAL 1)
    message(SEND_ERROR "said ${times} times instead of once: ${text}")
  endif()
endforeach()

string(REPLACE "\n" ";" lines "${said}")
list(FILTER lines INCLUDE REGEX "^ |[.][ch]pp")
list(FILTER lines EXCLUDE REGEX "^FAILED|CMakeFiles")
list(LENGTH lines count)
list(FILTER lines INCLUDE REGEX "error: ")
list(LENGTH lines errors)
math(EXPR allowed "${misuses} * ${most_lines}")
message(STATUS "${misuses} misuses, ${errors} errors, ${count} lines")
if(NOT errors EQUAL misuses OR count GREATER allowed)
  message(SEND_ERROR "expected one error for each misuse, and at most ${allowed} lines:\n${said}")
endif()
