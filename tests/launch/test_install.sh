#!/bin/bash
# test_install.sh BUILD: an installed tree is whole, wherever it is put, and
# the doctor sees when it is not.
build=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "$1"; exit 1; }

cmake --install "$build" --prefix "$work/first" >"$work/log" 2>&1 ||
    fail "$(cat "$work/log")"
mv "$work/first" "$work/tree"
programs() { # what the doctor says of them
    IPYTHONDIR=$work/ipython "$work/tree/bin/ipmpi" doctor |
        grep -A1 ' programs '
}
case $(programs) in
"ok "*"$work/tree/bin/ipmpi-engine"*) ;;
*) fail "moved: $(programs)" ;;
esac
for file in share/man/man1/ipmpi.1 share/man/man1/ipmpi-engine.1 \
    share/bash-completion/completions/ipmpi share/doc/ipmpi/ipmpi.sbatch; do
    [ -s "$work/tree/$file" ] || fail "not installed: $file"
done
controller=$(find "$work/tree" -name ipmpi-controller)
mv "$controller" "$work"
case $(programs) in
"broken "*"ipmpi-controller is missing"*"-> install ipmpi whole"*) ;;
*) fail "without a controller: $(programs)" ;;
esac
