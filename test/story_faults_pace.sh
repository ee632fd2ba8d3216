#!/bin/sh
# Every fault of the test server that keeps a certificate from being renewed, again and again, for certificates of 30 seconds:
# estd comes back, and never without a pause. test/faults.tsv is the table.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/estd.sh"
. "$srcdir/test/faults.sh"
lifetime_s=30

fault_pki
rows retry timeout late slow down wait | awk -F '\t' '$3 != "basic" && $3 != "digest"' >"$work/rows"
while IFS='	' read -r number _ op faults reaction n says _; do
    fault_serve "$number" "$op" "$faults"
done <"$work/rows"
"$ESTCA" sign "$work/ca" --csr "$work/dev.csr" --lifetime $lifetime_s --out "$work/short.pem"
while IFS='	' read -r number _ op faults reaction n says _; do
    fault_conf "$number" "$op" "$faults" "$work/short.pem"
    printf '[renew]\nwindow = 1-10\n' >>"$work/certs.d/f$number.conf"
done <"$work/rows"
begun_s=$(date +%s)
"$ESTD" -c "$work/est.conf" 2>"$work/estd.err" &
estd=$!
pids="$pids $estd"
wait_for 10 test -s "$work/estd.err"

# counted: for each row how often estd failed, stepped down, waits, and succeeded
counted() {
    awk -F '\t' -v OFS='\t' '
        FNR == NR { row[NR] = $1; n = NR; next }
        match($0, /f[0-9]+: /) {
            at = substr($0, RSTART + 1, RLENGTH - 3)
            failed[at] += /cannot (renew|enrol): /
            down[at] += /the next try is by the key and cert of \[auth\]/
            waits[at] += /next try in|goes out again in/
            renewed[at] += /: renewed, /
        }
        END { for (i = 1; i <= n; i++) print row[i], failed[row[i]] + 0, down[row[i]] + 0, waits[row[i]] + 0, renewed[row[i]] + 0 }
    ' "$work/rows" "$work/estd.err" >"$work/counted"
}
# seen: of each row, what is to be seen
seen() {
    counted
    paste "$work/rows" "$work/counted" | awk -F '\t' '
        $5 == "down" ? $11 < 1 : $5 == "late" ? $13 < 1 : $5 ~ /^wait/ ? $12 < 1 : $10 < 2 { print $1; bad = 1 }
        END { exit bad }' >"$work/unseen"
}
until seen || [ $(($(date +%s) - begun_s)) -ge 50 ]; do
    sleep 0.2
done
kill "$estd"
wait "$estd"
check_equal "estd ends well" 0 $?
ran_s=$(($(date +%s) - begun_s))

# judge NUMBER OP REACTION N: the shortest pause is a second, and one try costs N requests.
judge() {
    number=$1 reaction=$3 problems='' asked=$(tries "$1" "$2")
    [ "$4" = - ] && most=$((ran_s + 2)) || most=$(($4 * (ran_s + 2)))
    ! grep -qx "$number" "$work/unseen" || problem "it did not come that far"
    [ "$asked" -le "$most" ] || problem "$asked requests in $ran_s s, and $most may be"
    down=$(said "$number" | grep -cF 'the next try is by the key and cert of [auth]')
    case $reaction in
    down) [ "$down" -eq 1 ] || problem "it steps down $down times" ;;
    *) [ "$down" -eq 0 ] || problem "it steps down" ;;
    esac
    [ "$reaction" = late ] || untouched "$number" "$2" "$work/short.pem"
}
while IFS='	' read -r number _ op faults reaction n says _; do
    judge "$number" "$op" "$reaction" "$n"
    case $reaction in
    timeout | late) said "$number" "$says" || problem "it does not say: $says" ;;
    esac
    verdict "$number" "$op: $faults: $reaction"
done <"$work/rows"
finish
