# SPDX-License-Identifier: GPL-2.0-only
# tcpwhy_skeleton: every bpf/*.bpf.c compiled, linked into one object and turned into ${CMAKE_BINARY_DIR}/generated/tcpwhy.skel.h.
# An interface library with only that folder as (system) include path; `source` alone links it.
if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|amd64|AMD64)$")
  set(TCPWHY_BPF_ARCH x86)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64)$")
  set(TCPWHY_BPF_ARCH arm64)
else()
  message(FATAL_ERROR "no BPF architecture is known for ${CMAKE_SYSTEM_PROCESSOR}: add it to cmake/bpf.cmake")
endif()

set(TCPWHY_BPF_FLAGS -g -O2 -target bpf -mcpu=v2 -D__TARGET_ARCH_${TCPWHY_BPF_ARCH}
    -I${PROJECT_SOURCE_DIR}/vmlinux -I${PROJECT_SOURCE_DIR}/bpf
    -Wall -Wextra -Werror -Wno-unused-parameter -Wno-missing-declarations)

set(bpf_dir ${CMAKE_BINARY_DIR}/bpf)
set(generated_dir ${CMAKE_BINARY_DIR}/generated)
file(MAKE_DIRECTORY ${bpf_dir} ${generated_dir})

add_library(tcpwhy_skeleton INTERFACE)
target_include_directories(tcpwhy_skeleton SYSTEM INTERFACE ${generated_dir})

file(GLOB bpf_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/bpf/*.bpf.c)
foreach(source IN LISTS bpf_sources)
  cmake_path(GET source STEM LAST_ONLY stem)
  set(object ${bpf_dir}/${stem}.o)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${TCPWHY_BPF_CLANG} ${TCPWHY_BPF_FLAGS} -MD -MT ${object} -MF ${object}.d -c ${source} -o ${object}
    DEPENDS ${source}
    DEPFILE ${object}.d
    COMMENT "BPF ${stem}.c"
    VERBATIM)
  list(APPEND bpf_objects ${object})
endforeach()

if(bpf_objects)
  set(linked ${bpf_dir}/tcpwhy.linked.o)
  set(skeleton ${generated_dir}/tcpwhy.skel.h)
  add_custom_command(
    OUTPUT ${linked}
    COMMAND ${TCPWHY_BPFTOOL} gen object ${linked} ${bpf_objects}
    DEPENDS ${bpf_objects}
    COMMENT "BPF link"
    VERBATIM)
  # Through a temporary file: a failed bpftool must not leave an empty header behind.
  add_custom_command(
    OUTPUT ${skeleton}
    COMMAND ${TCPWHY_BPFTOOL} gen skeleton ${linked} name tcpwhy_bpf > ${skeleton}.new
    COMMAND ${CMAKE_COMMAND} -E rename ${skeleton}.new ${skeleton}
    DEPENDS ${linked}
    COMMENT "BPF skeleton"
    VERBATIM)
  add_custom_target(bpf DEPENDS ${skeleton})
  add_dependencies(tcpwhy_skeleton bpf)
endif()
