# ipyparallel's SQLiteDB on our files; IPMPI_TEST_PYTHONS names the
# interpreters, as for the engine's package.
add_executable(taskdb_tool bridge/hub/taskdb_tool.c)
set_target_properties(taskdb_tool PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(taskdb_tool PRIVATE ipmpi_flags ipmpi_taskdb
                      PkgConfig::CMOCKA)
set(pythons $ENV{IPMPI_TEST_PYTHONS})
if(NOT pythons)
    set(pythons /usr/bin/python3)
endif()
foreach(python ${pythons})
    execute_process(COMMAND ${python} -c "import ipyparallel, pytest"
        RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
    string(MAKE_C_IDENTIFIER "taskdb_upstream_${python}" name)
    if(failed)
        continue()
    endif()
    add_test(NAME ${name} COMMAND ${python} -m pytest -q
        -p no:cacheprovider bridge/hub/test_upstream_sqlite.py
        WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
    set_tests_properties(${name} PROPERTIES TIMEOUT 120 ENVIRONMENT
        "PYTHONDONTWRITEBYTECODE=1;IPMPI_TASKDB_TOOL=$<TARGET_FILE:taskdb_tool>")
endforeach()
