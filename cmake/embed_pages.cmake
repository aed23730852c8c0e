# SPDX-License-Identifier: GPL-2.0-only
# cmake -DFOLDER=DIR -DOUT=FILE -P embed_pages.cmake
#
# Writes a header with the text of every .md file of the folder, in alphabetical order of their names.
cmake_minimum_required(VERSION 3.25)

file(GLOB pages ${FOLDER}/*.md)
list(SORT pages)
set(header "// Made from doc/findings by cmake/embed_pages.cmake.\n#pragma once\n\n#include <string_view>\n\n")
string(APPEND header "namespace tcpwhy::explain {\n\ninline constexpr std::string_view kPageTexts[] = {\n")
foreach(page IN LISTS pages)
  file(READ "${page}" text)
  string(FIND "${text}" ")page\"" end)
  if(NOT end EQUAL -1)
    message(FATAL_ERROR "${page} holds what would end it in the header")
  endif()
  string(APPEND header "R\"page(${text})page\",\n")
endforeach()
string(APPEND header "};\n\n}  // namespace tcpwhy::explain\n")
file(WRITE ${OUT} "${header}")
