# The transport's tests; included by tests/CMakeLists.txt.
ipmpi_test(runtime/comm/test_messages.c LIBS ipmpi_comm NP 1 2 3)
ipmpi_test(runtime/comm/test_fabric.c LIBS ipmpi_comm)
ipmpi_test(runtime/comm/test_packet.c LIBS ipmpi_comm)
ipmpi_test(runtime/comm/test_sleep.c LIBS ipmpi_comm MPI::MPI_C NP 1 2 3)
ipmpi_test(runtime/comm/test_threads.c LIBS ipmpi_comm MPI::MPI_C NP 1 2 3)
ipmpi_test(runtime/comm/test_remote.c LIBS ipmpi_comm MPI::MPI_C NP 2 3)
ipmpi_test(runtime/comm/test_corrupt.c LIBS ipmpi_comm MPI::MPI_C NP 2 3)
ipmpi_test(runtime/comm/test_memory.c LIBS ipmpi_comm NP 1 FAULT)
ipmpi_test(runtime/comm/test_version.c LIBS ipmpi_comm NP 1 2)
ipmpi_test(runtime/comm/test_spawn.c LIBS ipmpi_comm ipmpi_process MPI::MPI_C
           NP 1 2)
ipmpi_test(runtime/comm/test_dead.c LIBS ipmpi_comm NP 2 3)
set_tests_properties(runtime_comm_test_dead_np2 runtime_comm_test_dead_np3
    PROPERTIES PASS_REGULAR_EXPRESSION "survived"
               FAIL_REGULAR_EXPRESSION "FAILED") # mpirun's exit code is 1
ipmpi_test(runtime/comm/test_huge.c LIBS ipmpi_comm NP 2 LABEL slow
           TIMEOUT 300)

# Not a test: the transport beside bare MPI.
add_executable(bench_pingpong bench/bench_pingpong.c)
set_target_properties(bench_pingpong PROPERTIES
    RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(bench_pingpong PRIVATE ipmpi_comm MPI::MPI_C)
