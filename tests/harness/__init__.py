"""What the Python tests, the upstream suites and the benchmarks share."""
