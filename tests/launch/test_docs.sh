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
case $(complete_words ipmpi status --wa) in
*" --watch "*) ;;
*) fail "completion: no option --watch" ;;
esac
case $(complete_words ipmpi submit sl) in
*" slurm "*) ;;
*) fail "completion: no slurm" ;;
esac
exit $bad
