# SPDX-License-Identifier: GPL-2.0-only
# Everything comes from the distribution; scripts/setup installs it.
find_package(PkgConfig REQUIRED)
pkg_check_modules(LIBBPF REQUIRED IMPORTED_TARGET libbpf>=1.0)

pkg_check_modules(NCURSES REQUIRED IMPORTED_TARGET ncursesw)
pkg_check_modules(ZSTD REQUIRED IMPORTED_TARGET libzstd>=1.4)
find_package(ZLIB REQUIRED)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(tsl-robin-map REQUIRED)

# Debian's CMake target links the shared library; the headers alone are enough, and leave nothing to be copied with us.
find_path(TCPWHY_TOMLPLUSPLUS_INCLUDE toml++/toml.h REQUIRED)
add_library(tcpwhy_tomlplusplus INTERFACE)
target_include_directories(tcpwhy_tomlplusplus SYSTEM INTERFACE ${TCPWHY_TOMLPLUSPLUS_INCLUDE})
target_compile_definitions(tcpwhy_tomlplusplus INTERFACE TOML_HEADER_ONLY=1 TOML_EXCEPTIONS=0)

# Of Boost.Beast the parser of HTTP alone, as headers: nothing is linked, so that tcpwhy-static stays one small file.
find_path(TCPWHY_BOOST_INCLUDE boost/beast/http.hpp REQUIRED)
add_library(tcpwhy_beast INTERFACE)
target_include_directories(tcpwhy_beast SYSTEM INTERFACE ${TCPWHY_BOOST_INCLUDE})
target_compile_definitions(tcpwhy_beast INTERFACE BOOST_ASIO_NO_DEPRECATED BOOST_ERROR_CODE_HEADER_ONLY)

if(TCPWHY_TESTS)
  find_package(GTest REQUIRED)
endif()

find_program(TCPWHY_BPF_CLANG NAMES clang clang-19 clang-18 clang-17 clang-16 clang-15 clang-14
             DOC "The clang that compiles the BPF programs")
find_program(TCPWHY_BPFTOOL NAMES bpftool PATHS /usr/sbin /sbin /usr/local/sbin DOC "bpftool: links objects, makes the skeleton")
foreach(tool TCPWHY_BPF_CLANG TCPWHY_BPFTOOL)
  if(NOT ${tool})
    message(FATAL_ERROR "${tool} was not found: run scripts/setup as root, or pass -D${tool}=PATH")
  endif()
endforeach()
