# SPDX-License-Identifier: GPL-2.0-only
# What the fuzzers run is watched by them; none of it is a cold layer.
set(TCPWHY_FUZZED "")
if(TCPWHY_SANITIZE AND CMAKE_CXX_COMPILER_ID STREQUAL Clang)
  set(TCPWHY_FUZZED -fsanitize=fuzzer-no-link)
endif()

option(TCPWHY_PCH "Parse the standard headers once, not once a file" ON)
if(TCPWHY_PCH)
  file(WRITE ${CMAKE_BINARY_DIR}/generated/std_pch.cpp "// what the precompiled header hangs on\n")
  add_library(tcpwhy_std_pch OBJECT ${CMAKE_BINARY_DIR}/generated/std_pch.cpp)
  target_link_libraries(tcpwhy_std_pch PRIVATE tcpwhy_options fmt::fmt)
  target_compile_options(tcpwhy_std_pch PRIVATE ${TCPWHY_FUZZED})
  set(TCPWHY_STD_HEADERS
    <algorithm> <array> <chrono> <functional> <map> <memory> <optional> <set> <span> <string> <string_view> <utility> <variant>
    <vector> <fmt/format.h>)
  target_precompile_headers(tcpwhy_std_pch PRIVATE ${TCPWHY_STD_HEADERS})
endif()

# tcpwhy_layer(NAME [COLD] [NO_PCH] [LAYERS ...] [EXTERNAL ...] [PRIVATE_EXTERNAL ...] [PARSED_ONCE <header> ...])
#
# The static library tcpwhy_NAME of every .cpp in user/NAME (main.cpp excepted). LAYERS are the layers below that it may
# use, EXTERNAL the dependencies whose headers its own headers include, PRIVATE_EXTERNAL those that it keeps to itself.
# COLD: it runs once, or waits for people; its code is to be small rather than fast.
# NO_PCH: a library of it defines macros that change the standard headers.
# PARSED_ONCE: large headers of it that most of its files include.
# A folder without a .cpp is an interface library, so that headers alone are a layer, too.
function(tcpwhy_layer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "COLD;NO_PCH" "" "LAYERS;EXTERNAL;PRIVATE_EXTERNAL;PARSED_ONCE")
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/user/${name}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  list(TRANSFORM arg_LAYERS PREPEND tcpwhy_ OUTPUT_VARIABLE layers)

  if(sources)
    add_library(tcpwhy_${name} STATIC ${sources})
    target_include_directories(tcpwhy_${name} PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(tcpwhy_${name} PUBLIC ${layers} ${arg_EXTERNAL} PRIVATE tcpwhy_options ${arg_PRIVATE_EXTERNAL})
    if(arg_COLD)
      # gcc says the second falsely of optionals at -Os. Under the sanitizers it is compiled more often than it runs.
      target_compile_options(tcpwhy_${name} PRIVATE "$<$<CONFIG:Release>:-Os;-Wno-maybe-uninitialized>$<$<CONFIG:Debug>:-O0>")
    else()
      target_compile_options(tcpwhy_${name} PRIVATE ${TCPWHY_FUZZED})
    endif()
    if(TCPWHY_PCH AND arg_COLD AND NOT arg_NO_PCH)  # by its own options
      target_precompile_headers(tcpwhy_${name} PRIVATE ${TCPWHY_STD_HEADERS} ${arg_PARSED_ONCE})
    elseif(TCPWHY_PCH AND NOT arg_NO_PCH)
      target_precompile_headers(tcpwhy_${name} REUSE_FROM tcpwhy_std_pch)
    endif()
  else()
    add_library(tcpwhy_${name} INTERFACE)
    target_include_directories(tcpwhy_${name} INTERFACE ${PROJECT_SOURCE_DIR})
    target_link_libraries(tcpwhy_${name} INTERFACE ${layers} ${arg_EXTERNAL})
  endif()
  set_property(GLOBAL APPEND PROPERTY TCPWHY_LAYERS ${name})
  set_property(GLOBAL PROPERTY TCPWHY_LAYERS_OF_${name} ${arg_LAYERS})
endfunction()
