ipmpi_test(runtime/process/test_link.c LIBS ipmpi_process)
ipmpi_test(runtime/process/test_account.c LIBS ipmpi_process)
ipmpi_test(runtime/process/test_vigil.c LIBS ipmpi_process)
ipmpi_test(runtime/process/test_interfaces.c LIBS ipmpi_process)
ipmpi_test(runtime/process/test_interpreter.c LIBS ipmpi_process)
ipmpi_test(runtime/process/test_place.c LIBS ipmpi_process)
ipmpi_test(runtime/process/test_verdict.c LIBS ipmpi_process)

# Nannies whose ranks are stand-ins: an installation of its own.
set(standin ${CMAKE_BINARY_DIR}/tests/standin)
add_executable(standin_controller runtime/process/standin/controller.c)
target_link_libraries(standin_controller PRIVATE ipmpi_flags ipmpi_process)
set_target_properties(standin_controller PROPERTIES
    OUTPUT_NAME ipmpi-controller RUNTIME_OUTPUT_DIRECTORY ${standin})
add_library(standin_embed MODULE runtime/process/standin/embed.c)
set_target_properties(standin_embed PROPERTIES PREFIX ""
    OUTPUT_NAME ipmpi_embed LIBRARY_OUTPUT_DIRECTORY ${standin})
add_test(NAME nanny COMMAND /usr/bin/python3 -m pytest -q -p no:cacheprovider
         runtime/process WORKING_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR})
# A Python that ends keeps memory; that is no leak of ours.
set_tests_properties(nanny PROPERTIES TIMEOUT 300 ENVIRONMENT
    "PYTHONDONTWRITEBYTECODE=1;IPMPI_BUILD=${CMAKE_BINARY_DIR};ASAN_OPTIONS=detect_leaks=0")
