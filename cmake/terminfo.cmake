# SPDX-License-Identifier: GPL-2.0-only
# tcpwhy_terminfo: an interface library with terminfo_built_in.h, the terminals that tcpwhy knows by itself. A host may have
# no terminfo at all (a container, a rescue system), and the one binary brings no files along. ncurses reads a description
# that stands in TERMINFO itself ("hex:..."), which infocmp of the build machine writes.
find_program(TCPWHY_INFOCMP infocmp REQUIRED DOC "infocmp: writes terminal descriptions")

set(TCPWHY_TERMINALS linux rxvt-unicode-256color screen screen-256color tmux tmux-256color vt100 vt220 xterm xterm-256color)
set(terminfo_dir ${CMAKE_BINARY_DIR}/generated/terminfo)
set(text "// Made by cmake/terminfo.cmake.\n#pragma once\n\nnamespace tcpwhy::screen {\n\nstruct BuiltIn {\n  const char* name;\n  const char* description;\n};\ninline constexpr BuiltIn kBuiltIn[] = {\n")
foreach(terminal IN LISTS TCPWHY_TERMINALS)
  execute_process(COMMAND ${TCPWHY_INFOCMP} -x -Q1 ${terminal} OUTPUT_VARIABLE description COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX REPLACE "(^|\n)#[^\n]*" "" description "${description}")
  string(REGEX REPLACE "[ \t\n]" "" description "${description}")
  if(NOT description MATCHES "^hex:[0-9A-F]+$")
    message(FATAL_ERROR "infocmp gave no description of ${terminal}")
  endif()
  string(APPEND text "    {\"${terminal}\", \"${description}\"},\n")
endforeach()
string(APPEND text "};\n\n}  // namespace tcpwhy::screen\n")
file(CONFIGURE OUTPUT ${terminfo_dir}/terminfo_built_in.h CONTENT "${text}" @ONLY)

add_library(tcpwhy_terminfo INTERFACE)
target_include_directories(tcpwhy_terminfo SYSTEM INTERFACE ${terminfo_dir})
