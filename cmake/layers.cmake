# SPDX-License-Identifier: GPL-2.0-only
# tcpwhy_layer(NAME [LAYERS ...] [EXTERNAL ...] [PRIVATE_EXTERNAL ...])
#
# The static library tcpwhy_NAME of every .cpp in user/NAME (main.cpp excepted). LAYERS are the layers below that it may
# use, EXTERNAL the dependencies whose headers its own headers include, PRIVATE_EXTERNAL those that it keeps to itself.
# A folder without a .cpp is an interface library, so that headers alone are a layer, too.
function(tcpwhy_layer name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "LAYERS;EXTERNAL;PRIVATE_EXTERNAL")
  file(GLOB sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/user/${name}/*.cpp)
  list(FILTER sources EXCLUDE REGEX "/main\\.cpp$")
  list(TRANSFORM arg_LAYERS PREPEND tcpwhy_ OUTPUT_VARIABLE layers)

  if(sources)
    add_library(tcpwhy_${name} STATIC ${sources})
    target_include_directories(tcpwhy_${name} PUBLIC ${PROJECT_SOURCE_DIR})
    target_link_libraries(tcpwhy_${name} PUBLIC ${layers} ${arg_EXTERNAL} PRIVATE tcpwhy_options ${arg_PRIVATE_EXTERNAL})
  else()
    add_library(tcpwhy_${name} INTERFACE)
    target_include_directories(tcpwhy_${name} INTERFACE ${PROJECT_SOURCE_DIR})
    target_link_libraries(tcpwhy_${name} INTERFACE ${layers} ${arg_EXTERNAL})
  endif()
  set_property(GLOBAL APPEND PROPERTY TCPWHY_LAYERS ${name})
  set_property(GLOBAL PROPERTY TCPWHY_LAYERS_OF_${name} ${arg_LAYERS})
endfunction()
