# SPDX-License-Identifier: GPL-2.0-only
# tests/unit/<layer>/*.cpp is the program unit_<layer>, linked with that layer alone, so that a layer which uses
# something above itself does not link. tests/detect/*.cpp is one program with the detectors and the script source.

# gtest and gmock are parsed once, not once a file.
file(WRITE ${CMAKE_BINARY_DIR}/generated/gtest_pch.cpp "// what the precompiled header hangs on\n")
add_library(tcpwhy_gtest_pch OBJECT ${CMAKE_BINARY_DIR}/generated/gtest_pch.cpp)
target_link_libraries(tcpwhy_gtest_pch PRIVATE tcpwhy_options GTest::gmock GTest::gtest)
target_precompile_headers(tcpwhy_gtest_pch PRIVATE <gmock/gmock.h> <gtest/gtest.h>)
# What a test itself does takes no time; optimising it would take half of the sanitizers' build.
set(TCPWHY_TEST_OPTIONS "$<$<CONFIG:Debug>:-O0>")
target_compile_options(tcpwhy_gtest_pch PRIVATE ${TCPWHY_TEST_OPTIONS})

add_custom_target(tests COMMENT "The unit and detector tests")

function(tcpwhy_test_program program folder)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${folder}/*.cpp)
  if(NOT sources)
    return()
  endif()
  # Built for `tests` only: scripts/test runs them under the sanitizers, and does not compile them twice.
  add_executable(${program} EXCLUDE_FROM_ALL ${sources})
  target_link_libraries(${program} PRIVATE ${ARGN} tcpwhy_options GTest::gmock GTest::gtest GTest::gmock_main)
  target_precompile_headers(${program} REUSE_FROM tcpwhy_gtest_pch)
  target_compile_options(${program} PRIVATE ${TCPWHY_TEST_OPTIONS})
  set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  add_dependencies(tests ${program})
  tcpwhy_add_shards(${program})
endfunction()

# ctest runs a program in two halves, so that two processors have something to do, and not in a process for each of its tests:
# under the sanitizers a thousand processes take longer to begin than their tests to run. Each half leaves its report, in
# JUnit's form, as tests/reports/PROGRAM.HALF.xml; scripts/test counts the tests there.
function(tcpwhy_add_shards program)
  foreach(half IN ITEMS 0 1)
    add_test(NAME ${program}.${half} COMMAND ${program} --gtest_brief=1 WORKING_DIRECTORY ${PROJECT_SOURCE_DIR})
    set(report ${CMAKE_BINARY_DIR}/tests/reports/${program}.${half}.xml)
    set_tests_properties(${program}.${half} PROPERTIES
      LABELS gtest
      TIMEOUT 900 # of the wall clock, beside other tests that come first
      ENVIRONMENT "GTEST_TOTAL_SHARDS=2;GTEST_SHARD_INDEX=${half};GTEST_OUTPUT=xml:${report}")
  endforeach()
endfunction()

get_property(layers GLOBAL PROPERTY TCPWHY_LAYERS)
set(rows "")
foreach(layer IN LISTS layers)
  get_property(below GLOBAL PROPERTY TCPWHY_LAYERS_OF_${layer})
  list(JOIN below "+" below)
  list(APPEND rows "${layer}:${below}")
endforeach()
list(JOIN rows "," rows)
add_test(NAME layers COMMAND ${CMAKE_COMMAND} -DROOT=${PROJECT_SOURCE_DIR} -DROWS=${rows} -P ${PROJECT_SOURCE_DIR}/cmake/check_layers.cmake)

foreach(layer IN LISTS layers)
  tcpwhy_test_program(unit_${layer} ${PROJECT_SOURCE_DIR}/tests/unit/${layer} tcpwhy_${layer} fmt::fmt)
endforeach()
tcpwhy_test_program(detect_tests ${PROJECT_SOURCE_DIR}/tests/detect tcpwhy_detect tcpwhy_source tcpwhy_recording tcpwhy_top)
target_compile_definitions(detect_tests PRIVATE TCPWHY_SOURCE_DIR="${PROJECT_SOURCE_DIR}")

foreach(folder causes bench explain fuzz golden kernels man metrics page preload soak)
  if(EXISTS ${PROJECT_SOURCE_DIR}/tests/${folder}/CMakeLists.txt)
    add_subdirectory(${PROJECT_SOURCE_DIR}/tests/${folder})
  endif()
endforeach()
