# SPDX-License-Identifier: GPL-2.0-only
# doc/findings/*.md as string literals in ${CMAKE_BINARY_DIR}/generated/explain/explain_pages.h, for user/explain alone.
file(GLOB explain_pages CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/doc/findings/*.md)
set(explain_dir ${CMAKE_BINARY_DIR}/generated/explain)
add_custom_command(
  OUTPUT ${explain_dir}/explain_pages.h
  COMMAND ${CMAKE_COMMAND} -DFOLDER=${PROJECT_SOURCE_DIR}/doc/findings -DOUT=${explain_dir}/explain_pages.h
          -P ${PROJECT_SOURCE_DIR}/cmake/embed_pages.cmake
  DEPENDS ${explain_pages} ${PROJECT_SOURCE_DIR}/cmake/embed_pages.cmake
  COMMENT "Pages of the findings" VERBATIM)
target_sources(tcpwhy_explain PRIVATE ${explain_dir}/explain_pages.h)
set_source_files_properties(user/explain/pages.cpp PROPERTIES INCLUDE_DIRECTORIES ${explain_dir})
