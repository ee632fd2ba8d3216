#!/bin/sh
# Every fault of the test server once, and what estd does about it, as test/faults.tsv says; docs/est.md shows that table.
# The certificates live for ten days, of which one is left, so that the time until the next try tells the reaction.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/estd.sh"
. "$srcdir/test/faults.sh"
document=$srcdir/docs/est.md

# pause NUMBER: the seconds from the first try to the next
pause() {
    said "$1" | sed -n 's/.*\(next try\|goes out again\) in \([0-9]*\) s.*/\2/p' | head -n 1
}
# within LOW HIGH: about the pause of the row that is looked at
within() {
    if [ "${in_s:-0}" -lt "$1" ] || [ "${in_s:-0}" -gt "$2" ]; then
        problem "the next try is in ${in_s:-no} s, and should be in $1 to $2"
    fi
}
# judge NUMBER OP FAULTS REACTION N SAYS
judge() {
    number=$1 op=$2 reaction=$4 n=$5 says=$6 problems='' in_s=$(pause "$1")
    case $op in
    basic | digest) soon="5 10" late="1800 3600" ;; # there is no certificate whose end would press
    *) soon="216 432" late="3600 21600" ;;
    esac
    case $reaction in
    accept)
        said "$number" "renewed, " || said "$number" "enrolled, " || problem "it has no new certificate"
        openssl x509 -in "$work/installed/f$number.pem" -noout -pubkey 2>"$work/err" | cmp -s - "$work/dev.pub" ||
            problem "the installed certificate is not that of the key"
        ;;
    retry | down) within "${soon% *}" "${soon#* }" ;;
    slow) within "${late% *}" "${late#* }" ;;
    wait=*) within $((${reaction#wait=} - 30)) "${reaction#wait=}" ;;
    esac
    [ "$reaction" = accept ] || untouched "$number" "$op" "$work/long.pem"
    [ "$n" = - ] || [ "$n" -eq "$(tries "$number" "$op")" ] || problem "the server was asked $(tries "$number" "$op") times"
    [ "$says" = - ] || said "$number" "$says" || problem "it does not say: $says"
}
# rendered: docs/est.md, which is what was written by hand, up to a mark, and then the table as people read it
rendered() {
    sed '/^<!-- made by /q' "$document" && awk -f "$srcdir/test/faults.awk" "$table"
}

if [ "${1:-}" = --write ]; then
    rendered >"$work/est.md" && cp "$work/est.md" "$document"
    exit
fi
fault_pki
openssl pkey -in "$work/dev.key" -pubout -out "$work/dev.pub"
"$ESTCA" sign "$work/ca" --csr "$work/dev.csr" --not-before -794880 --lifetime 864000 --out "$work/long.pem"
rows accept retry slow down wait >"$work/rows"
while IFS='	' read -r number _ op faults reaction n says _; do
    fault_serve "$number" "$op" "$faults"
done <"$work/rows"
while IFS='	' read -r number _ op faults reaction n says _; do
    fault_conf "$number" "$op" "$faults" "$work/long.pem"
done <"$work/rows"
"$ESTD" -c "$work/est.conf" 2>"$work/estd.err" &
pids="$pids $!"
all_settled() {
    while read -r number _; do
        settled "$number" || return 1
    done <"$work/rows"
}
wait_for 40 all_settled
while IFS='	' read -r number _ op faults reaction n says _; do
    judge "$number" "$op" "$faults" "$reaction" "$n" "$says"
    verdict "$number" "$op: $faults: $reaction"
done <"$work/rows"
# every fault that there is has a row
"$ESTCA" help serve | sed -n '/^    faults,/,$ s/^      \([0-9a-z-]*\).*/\1/p' | sort >"$work/faults"
cut -f 3 "$table" | tr ' ' '\n' | sed 's/[=@].*//' | sort -u >"$work/tried"
check_equal "each fault of estca is tried" "" "$(comm -23 "$work/faults" "$work/tried")"
rendered >"$work/est.md"
check "docs/est.md shows test/faults.tsv" diff "$document" "$work/est.md"
finish
