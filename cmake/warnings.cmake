# SPDX-License-Identifier: GPL-2.0-only
# tcpwhy_options: the compiler options of every target of ours. Link it PRIVATE.
add_library(tcpwhy_options INTERFACE)

target_compile_options(tcpwhy_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wnon-virtual-dtor -Woverloaded-virtual -Wold-style-cast
  -Wcast-align -Wcast-qual -Wformat=2 -Wimplicit-fallthrough -Wextra-semi
  # Designated initialisers may leave a member to its default.
  -Wno-missing-field-initializers
  # libbpf's option macros use both; gcc holds its peace in system headers.
  $<$<CXX_COMPILER_ID:Clang>:-Wno-c99-extensions -Wno-gnu-statement-expression>
  $<$<CXX_COMPILER_ID:GNU>:-Wduplicated-cond -Wduplicated-branches -Wlogical-op>
  $<$<BOOL:${TCPWHY_WERROR}>:-Werror>)

target_compile_options(tcpwhy_options INTERFACE -fstack-protector-strong)
# So that the linker can leave out of tcpwhy-static what nothing calls.
target_compile_options(tcpwhy_options INTERFACE "$<$<CONFIG:Release>:-ffunction-sections;-fdata-sections>")

if(TCPWHY_SANITIZE)
  set(sanitizers -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_compile_options(tcpwhy_options INTERFACE ${sanitizers})
  target_compile_definitions(tcpwhy_options INTERFACE _GLIBCXX_ASSERTIONS)
  target_link_options(tcpwhy_options INTERFACE ${sanitizers})
endif()
