# SPDX-License-Identifier: GPL-2.0-only
# What `cmake --install` puts where, and the Debian package: `cpack -G DEB` in the build folder. /usr/bin, because report
# and doctor are for anybody.
set(TCPWHY_MAINTAINER "tcpwhy maintainers <maintainers@tcpwhy.invalid>" CACHE STRING "Who makes the Debian package")
find_program(TCPWHY_GZIP gzip REQUIRED)

# The date of the package is that of its sources.
execute_process(COMMAND git -c safe.directory=* -C ${PROJECT_SOURCE_DIR} log -1 --format=%aD
                OUTPUT_VARIABLE package_date OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT package_date)
  string(TIMESTAMP package_date "%a, %d %b %Y %H:%M:%S +0000" UTC)
endif()
string(REGEX REPLACE "^([A-Z][a-z][a-z], )([0-9] )" "\\10\\2" package_date "${package_date}")

set(package_dir ${CMAKE_BINARY_DIR}/package)
file(CONFIGURE OUTPUT ${package_dir}/changelog @ONLY CONTENT
"tcpwhy (@PROJECT_VERSION@) unstable; urgency=medium

  * What changed stands in CHANGELOG.md.

 -- @TCPWHY_MAINTAINER@  @package_date@
")

# tcpwhy_gzip(SOURCE NAME): NAME.gz, the same bytes from the same source.
function(tcpwhy_gzip source name)
  add_custom_command(OUTPUT ${package_dir}/${name}.gz
    COMMAND ${TCPWHY_GZIP} -9nc ${source} > ${package_dir}/${name}.gz
    DEPENDS ${source} COMMENT "gzip ${name}" VERBATIM)
endfunction()
tcpwhy_gzip(${package_dir}/changelog changelog)
tcpwhy_gzip(${PROJECT_SOURCE_DIR}/doc/man/tcpwhy.1 tcpwhy.1)
add_custom_target(package_texts ALL DEPENDS ${package_dir}/changelog.gz ${package_dir}/tcpwhy.1.gz)

if(TARGET tcpwhy)
  install(TARGETS tcpwhy RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(FILES ${package_dir}/tcpwhy.1.gz DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
install(FILES scripts/completion/tcpwhy.bash RENAME tcpwhy DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions)
install(FILES scripts/completion/_tcpwhy DESTINATION ${CMAKE_INSTALL_DATADIR}/zsh/vendor-completions)
install(FILES scripts/systemd/tcpwhy-flight-recorder.service DESTINATION lib/systemd/system)
install(FILES scripts/debian/copyright ${package_dir}/changelog.gz DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/tcpwhy)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_STRIP_FILES ON)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ
    WORLD_EXECUTE)
set(CPACK_PACKAGE_CONTACT ${TCPWHY_MAINTAINER})
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION net)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_EXTRA ${PROJECT_SOURCE_DIR}/scripts/debian/prerm ${PROJECT_SOURCE_DIR}/scripts/debian/postrm)
set(CPACK_PACKAGE_DESCRIPTION_SUMMARY "tells why TCP connections are stuck")
set(CPACK_DEBIAN_PACKAGE_DESCRIPTION
"Follows the TCP connections of a host by BPF programs on the kernel's own
tracepoints, and says for each problem what is wrong, who is at fault, what
it costs, how it knows, and what to do next: stalls, unexpected SYN-ACK
retransmits, resets.

It captures no packets, and nothing of it stays loaded when it ends. The
systemd service of its flight recorder is installed disabled.")
include(CPack)
