#!/bin/bash
# test_docs.sh IPMPI: the manual and the completion know the program's verbs.
ipmpi=$1
launch=$(cd "$(dirname "$0")/../../launch" && pwd)
bad=0
fail() { echo "$1"; bad=1; }

PATH=$(dirname "$ipmpi"):$PATH
source "$launch/completion/ipmpi"
complete_words() {
    COMP_WORDS=("$@")
    COMP_CWORD=$(($# - 1))
    COMPREPLY=()
    _ipmpi
    echo " ${COMPREPLY[*]} "
}

verbs=$("$ipmpi" help | sed -n '/^Verbs/,/^$/s/^  \([a-z]*\) .*/\1/p')
[ -n "$verbs" ] || fail "no verbs"
for verb in $verbs; do
    [ "$verb" = help ] || grep -q "\"\? *$verb\b" "$launch/man/ipmpi.1" ||
        fail "man page: no verb $verb"
    case $(complete_words ipmpi "$verb") in
    *" $verb "*) ;;
    *) fail "completion: no verb $verb" ;;
    esac
done
# completes WANT WORD...: the last word can become WANT.
completes() {
    local want=$1
    shift
    case $(complete_words "$@") in
    *" $want "*) ;;
    *) fail "completion of \"$*\": no $want" ;;
    esac
}
completes --watch ipmpi status --wa
completes slurm ipmpi submit sl
completes doctor ipmpi help do
completes --prefetch ipmpi start -n 4 -- --pre

IPYTHONDIR=$(mktemp -d)
export IPYTHONDIR
trap 'rm -rf "$IPYTHONDIR"' EXIT
security=$IPYTHONDIR/profile_mine/security
mkdir -p "$security"
echo "$(uname -n) 999999999" >"$security/.ipmpi-abc.lock"
echo '{}' >"$security/ipcontroller-abc-client.json"
completes mine ipmpi stop --profile mi
completes abc ipmpi stop --cluster-id = a
completes abc ipmpi stop --cluster-id =

# Each option of a verb that the manual names is one.
for verb in start stop list status logs submit doctor; do
    options=$("$ipmpi" "$verb" --help)
    sed -n "/^\.BR $verb /,/^\.TP/p" "$launch/man/ipmpi.1" |
        sed 's/\\-/-/g' | grep -o -- '--[a-z][a-z-]*' | while read -r option; do
        case $options in
        *"$option"*) ;;
        *) echo "man page: $verb has no $option" ;;
        esac
    done | grep . && bad=1
done
exit $bad
