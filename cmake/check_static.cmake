# SPDX-License-Identifier: GPL-2.0-only
# cmake -DFILE=PROGRAM -DLIMIT_MIB=6 -DREADELF=readelf -P check_static.cmake
#
# A test: the program needs no interpreter and no shared library, is stripped, finds its exceptions' handlers,
# and is not larger than the limit.
cmake_minimum_required(VERSION 3.25)

execute_process(COMMAND ${READELF} --program-headers --dynamic --section-headers --wide ${FILE}
                OUTPUT_VARIABLE headers COMMAND_ERROR_IS_FATAL ANY)
set(wrong "")
foreach(sign IN ITEMS "INTERP:an interpreter" "\\(NEEDED\\):a shared library" " SYMTAB :symbols that strip would take")
  string(REGEX MATCH "^(.+):(.+)$" matched "${sign}")
  set(what ${CMAKE_MATCH_2})
  if(headers MATCHES "${CMAKE_MATCH_1}")
    string(APPEND wrong "${FILE} has ${what}\n")
  endif()
endforeach()
if(NOT headers MATCHES "GNU_EH_FRAME")
  string(APPEND wrong "${FILE} has no table of unwind entries: an exception may end it\n")
endif()
if(NOT headers MATCHES "LOAD")
  string(APPEND wrong "${FILE} has nothing to load: is it a program?\n")
endif()

file(SIZE ${FILE} bytes)
math(EXPR limit "${LIMIT_MIB} * 1024 * 1024")
if(bytes GREATER limit)
  string(APPEND wrong "${FILE} has ${bytes} bytes, more than ${LIMIT_MIB} MiB\n")
endif()
if(wrong)
  message(FATAL_ERROR "${wrong}")
endif()
message(STATUS "${FILE}: static, ${bytes} bytes")
