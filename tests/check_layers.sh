#!/bin/sh
# Guards the directions of the architecture: each outside library has one
# door, and no room includes a room above it.
cd "$(dirname "$0")/.." || exit 2
bad=0

# only_in HEADER DIR...: the header is included nowhere else.
only_in() {
    header=$1
    shift
    found=$(grep -rlE "#include *[<\"]$header[>\"]" --include=*.[ch] \
        runtime bridge collectives launch tests/bench tests/model \
        2>/dev/null)
    for file in $found; do
        ok=0
        for dir in "$@"; do
            case "$file" in "$dir"*) ok=1 ;; esac
        done
        [ $ok = 1 ] || { echo "$file includes $header"; bad=1; }
    done
}

# never DIR ROOM...: nothing below DIR includes a header of these rooms.
never() {
    dir=$1
    shift
    for room in "$@"; do
        grep -rnE "#include *\"$room/" --include=*.[ch] "$dir" \
            2>/dev/null && bad=1
    done
}

only_in 'zmq\.h' bridge/ launch/ tests/bench/generator/
only_in 'Python\.h' runtime/python/
only_in 'mpi\.h' runtime/comm/ collectives/ tests/bench/
only_in 'jansson\.h' bridge/ launch/ tests/bench/generator/ tests/model/
only_in 'sqlite3\.h' bridge/hub/
only_in 'hwloc\.h' runtime/process/
only_in 'nettle/[a-z0-9-]+\.h' runtime/message/ launch/
never runtime bridge launch collectives
never runtime/base runtime/process runtime/comm runtime/tasks \
    runtime/engine runtime/python runtime/message
never runtime/tasks runtime/bell runtime/process runtime/comm runtime/engine \
    runtime/python runtime/message
never collectives bridge launch
never bridge launch
never launch bridge collectives
exit $bad
