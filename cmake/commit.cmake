# SPDX-License-Identifier: GPL-2.0-only
# cmake -DROOT=DIR -DCOMMIT=HASH -DOUT=FILE -P commit.cmake
#
# Writes the commit that is being built into a header, which is touched only where it changed. COMMIT, where it is not
# empty, is for sources without git.
cmake_minimum_required(VERSION 3.25)
if(NOT COMMIT)
  # Built by another user than the clone's: git describes it all the same.
  execute_process(COMMAND git -c safe.directory=* -C ${ROOT} describe --always --dirty --abbrev=12 --exclude=*
                  OUTPUT_VARIABLE COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT COMMIT)
  set(COMMIT unknown)
endif()
file(CONFIGURE OUTPUT ${OUT} CONTENT "#define TCPWHY_COMMIT \"@COMMIT@\"\n" @ONLY)
