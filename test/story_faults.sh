#!/bin/sh
# Every fault of the test server, and what estd does about it: test/faults.tsv, which docs/est.md shows.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/estd.sh"
table=$srcdir/test/faults.tsv

# rows: the table, a number in front of each row
rows() {
    awk -F '\t' -v OFS='\t' 'NR > 1 && ('"${SECTIONS:-1}"') { print NR - 1, $0 }' "$table"
}
# arguments FAULTS: of estca, for what the table says
arguments() {
    for word in $1; do
        case $word in
        --down) ;;
        --*) echo "$word" ;;
        *) echo "--fault=$word" ;;
        esac
    done
}
# start NUMBER OP FAULTS: a server for the row
start() {
    name=f$1 op=$2 words=$3
    log=$work/$name.log
    : >"$log"
    case $op in
    any | enrol) set -- ;;
    *) set -- --fault-op "$op" ;;
    esac
    # shellcheck disable=SC2046
    "$ESTCA" serve "$work/ca" --port-file "$work/$name.port" --log "$log" --client-ca "$work/factory/root.pem" "$@" \
        $(arguments "$words") >/dev/null 2>"$work/$name.err" &
    pids="$pids $!"
    echo $! >"$work/$name.pid"
}
# configure NUMBER: its certificate, of which nine tenths are over, so that it is renewed at once
configure() {
    name=f$1
    cp "$work/$2.pem" "$work/installed/$name.pem"
    cat >"$work/certs.d/$name.conf" <<END
[certificate]
url = https://localhost:$(cat "$work/$name.port")/.well-known/est
key = $work/dev.key
subject = /CN=dev
san = DNS:dev.example
[auth]
key = $work/idevid.key
cert = $work/idevid.pem
[install]
file = $work/installed/$name.pem
END
}

new_key dev
ca_make ca
ca_make factory
factory idevid factory
openssl req -new -key "$work/dev.key" -subj /CN=dev -addext subjectAltName=DNS:dev.example -addext extendedKeyUsage=clientAuth \
    -out "$work/dev.csr"
"$ESTCA" sign "$work/ca" --csr "$work/dev.csr" --not-before -794880 --lifetime 864000 --out "$work/long.pem"
port=1 estd_conf "$work/ca/root.pem"

rows >"$work/rows"
while IFS='	' read -r number section op faults reaction n says what; do
    start "$number" "$op" "$faults"
done <"$work/rows"
while IFS='	' read -r number section op faults reaction n says what; do
    [ "$reaction" != timeout ] || continue
    wait_for 10 test -s "$work/f$number.port"
    configure "$number" long
    case $faults in *--down*) kill "$(cat "$work/f$number.pid")" ;; esac
done <"$work/rows"

"$ESTD" -c "$work/est.conf" 2>"$work/estd.err" &
estd=$!
pids="$pids $estd"
sleep 15
kill $estd; wait $estd
while IFS='	' read -r number section op faults reaction n says what; do
   echo "== $faults [$reaction $n] $(grep -c 'op=simple' $work/f$number.log) of $(wc -l < $work/f$number.log)"
   grep "f$number: " $work/estd.err | grep -v "found a cert" | sed "s|$work||g; s/^.*f$number: //"
done <"$work/rows"
