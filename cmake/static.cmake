# SPDX-License-Identifier: GPL-2.0-only
# tcpwhy-static: the same objects as tcpwhy, with everything that they need in one file, for any host of the architecture.
#
# The layers are named as files, so that none of the shared libraries that they link comes along; their own order is left
# to the linker. glibc's name services (getaddrinfo, getpwnam, iconv) would load shared libraries of the build machine's
# version at run time: the linker warns where one is used, and here a warning is an error.
set(TCPWHY_STATIC_LIMIT_MIB 7 CACHE STRING "What tcpwhy-static may measure at most")

function(tcpwhy_static_archive variable file)
  find_library(${variable} NAMES ${file} REQUIRED)
  mark_as_advanced(${variable})
endfunction()
tcpwhy_static_archive(TCPWHY_STATIC_LIBBPF libbpf.a)
tcpwhy_static_archive(TCPWHY_STATIC_LIBELF libelf.a)
tcpwhy_static_archive(TCPWHY_STATIC_LIBZSTD libzstd.a)
tcpwhy_static_archive(TCPWHY_STATIC_LIBZ libz.a)
tcpwhy_static_archive(TCPWHY_STATIC_LIBNCURSES libncursesw.a)
tcpwhy_static_archive(TCPWHY_STATIC_LIBTINFO libtinfo.a)

# Debian has fmt and spdlog as shared libraries only.
set(shared_only ${PROJECT_SOURCE_DIR}/cmake/static/fmt.cpp ${PROJECT_SOURCE_DIR}/cmake/static/spdlog.cpp)
add_executable(tcpwhy-static $<TARGET_OBJECTS:tcpwhy_main> ${shared_only})
get_target_property(definitions spdlog::spdlog INTERFACE_COMPILE_DEFINITIONS)
list(REMOVE_ITEM definitions SPDLOG_SHARED_LIB)
set_source_files_properties(${shared_only} PROPERTIES
  COMPILE_DEFINITIONS "${definitions}"
  COMPILE_OPTIONS "-ffunction-sections;-fdata-sections"
  SKIP_LINTING ON)

get_property(layers GLOBAL PROPERTY TCPWHY_LAYERS)
set(archives "")
foreach(layer IN LISTS layers)
  get_target_property(type tcpwhy_${layer} TYPE)
  if(type STREQUAL STATIC_LIBRARY)
    list(APPEND archives $<TARGET_FILE:tcpwhy_${layer}>)
    add_dependencies(tcpwhy-static tcpwhy_${layer})
  endif()
endforeach()
target_link_libraries(tcpwhy-static PRIVATE
  -Wl,--start-group ${archives} ${TCPWHY_STATIC_LIBBPF} ${TCPWHY_STATIC_LIBELF} ${TCPWHY_STATIC_LIBZSTD} ${TCPWHY_STATIC_LIBZ}
  ${TCPWHY_STATIC_LIBNCURSES} ${TCPWHY_STATIC_LIBTINFO}
  -Wl,--end-group)
# gold folds functions that are the same bytes: templates leave many. Exceptions are found by .eh_frame_hdr, which gcc does
# not ask for in a static program; without it, what gold links for arm64 ends at the first one.
target_link_options(tcpwhy-static PRIVATE
  -static -s -fuse-ld=gold -Wl,--icf=safe -Wl,--gc-sections -Wl,--eh-frame-hdr -Wl,--fatal-warnings)

if(TCPWHY_TESTS)
  # The test builds it, so that it cannot pass on one of yesterday.
  add_test(NAME static.builds COMMAND ${CMAKE_COMMAND} --build ${CMAKE_BINARY_DIR} --target tcpwhy-static)
  set_tests_properties(static.builds PROPERTIES FIXTURES_SETUP static_binary RUN_SERIAL ON)
  add_test(NAME static.one_small_file
           COMMAND ${CMAKE_COMMAND} -DFILE=$<TARGET_FILE:tcpwhy-static> -DLIMIT_MIB=${TCPWHY_STATIC_LIMIT_MIB}
                   -DREADELF=${CMAKE_READELF} -P ${PROJECT_SOURCE_DIR}/cmake/check_static.cmake)
  set_tests_properties(static.one_small_file PROPERTIES FIXTURES_REQUIRED static_binary)
endif()
