# SPDX-License-Identifier: GPL-2.0-only
# tcpwhy_html_page: user/html/web bundled by esbuild, with uPlot from npm, into one page, and that page as
# ${CMAKE_BINARY_DIR}/generated/html/html_page.h. An interface library with only that folder as include path; `html` alone
# links it. Without TCPWHY_HTML the page is empty, and the program says so when it is asked for one.

# tcpwhy_npm_packages(FROM TO VARIABLE): TO/node_modules holds what FROM/package-lock.json names, with the hashes that stand
# there; VARIABLE is the file to depend on. Fetched once, and anew when the lock file changes. No package's scripts are run.
function(tcpwhy_npm_packages from to variable)
  set(stamp ${to}/node_modules/.package-lock.json)
  add_custom_command(
    OUTPUT ${stamp}
    COMMAND ${CMAKE_COMMAND} -E copy ${from}/package.json ${from}/package-lock.json ${to}
    COMMAND ${TCPWHY_NPM} ci --ignore-scripts --no-audit --no-fund --loglevel=error
    COMMAND ${CMAKE_COMMAND} -E touch ${stamp}
    WORKING_DIRECTORY ${to}
    DEPENDS ${from}/package.json ${from}/package-lock.json
    COMMENT "npm packages of ${from}"
    VERBATIM)
  set(${variable} ${stamp} PARENT_SCOPE)
endfunction()

set(web ${PROJECT_SOURCE_DIR}/user/html/web)
set(web_dir ${CMAKE_BINARY_DIR}/web)
set(web_generated ${CMAKE_BINARY_DIR}/generated/html)
set(web_header ${web_generated}/html_page.h)
file(MAKE_DIRECTORY ${web_dir} ${web_generated})

add_library(tcpwhy_html_page INTERFACE)
target_include_directories(tcpwhy_html_page SYSTEM INTERFACE ${web_generated})

if(TCPWHY_HTML)
  find_program(TCPWHY_ESBUILD esbuild DOC "esbuild: bundles the page of report --format html")
  find_program(TCPWHY_NPM npm DOC "npm: fetches what the page is made of")
  foreach(tool TCPWHY_ESBUILD TCPWHY_NPM)
    if(NOT ${tool})
      message(FATAL_ERROR "${tool} was not found: run scripts/setup as root, or pass -DTCPWHY_HTML=OFF to do without "
                          "report --format html")
    endif()
  endforeach()
  file(GLOB web_sources CONFIGURE_DEPENDS ${web}/*.js ${web}/*.css)
  tcpwhy_npm_packages(${web} ${web_dir} web_modules)
  add_custom_command(
    OUTPUT ${web_dir}/page.js ${web_dir}/page.css
    COMMAND ${CMAKE_COMMAND} -E env NODE_PATH=${web_dir}/node_modules
            ${TCPWHY_ESBUILD} ${web}/page.js --bundle --minify --format=iife --target=chrome103,firefox113,safari16.4
            --legal-comments=inline --log-level=warning --outfile=${web_dir}/page.js
    DEPENDS ${web_sources} ${web_modules}
    COMMENT "HTML page"
    VERBATIM)
  add_custom_command(
    OUTPUT ${web_header}
    COMMAND ${CMAKE_COMMAND} -DTEMPLATE=${web}/page.html -DSCRIPT=${web_dir}/page.js -DSTYLE=${web_dir}/page.css
            -DLICENSE=${web_dir}/node_modules/uplot/LICENSE -DOUT=${web_header} -P ${PROJECT_SOURCE_DIR}/cmake/embed_page.cmake
    DEPENDS ${web}/page.html ${web_dir}/page.js ${web_dir}/page.css ${PROJECT_SOURCE_DIR}/cmake/embed_page.cmake
    COMMENT "HTML page, embedded"
    VERBATIM)
  add_custom_target(html_page DEPENDS ${web_header})
  add_dependencies(tcpwhy_html_page html_page)
else()
  file(CONFIGURE OUTPUT ${web_header} CONTENT "#pragma once

#include <string_view>

namespace tcpwhy::html {
inline constexpr std::string_view kPageHead{};
inline constexpr std::string_view kPageTail{};
}  // namespace tcpwhy::html
")
endif()
