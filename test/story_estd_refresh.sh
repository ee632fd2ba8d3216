#!/bin/sh
# A certificate that lives for ten years: every other week estd asks for the CA certificates, and so learns in time that its CA
# gets a new key. The clock is test/clockshim.c's, in estd alone.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/estd.sh"
need openssl
shim=$BUILD/.libs/clockshim.so
[ -e "$shim" ] || skip_all "clockshim is not built"
[ -z "$PRELOAD" ] || skip_all "a sanitizer's library and the clock cannot both be preloaded"
ca_make ca
ca_make next
factory idevid ca
cert_conf dev '[auth]' "key = $work/idevid.key" "cert = $work/idevid.pem"
day=86400

# clock DAYS: what estd's clock is ahead
clock() {
    echo "$(($1 * day)) set" >"$work/clock.new"
    mv "$work/clock.new" "$work/clock"
}
start() {
    CLOCKSHIM=$work/clock LD_PRELOAD=$shim "$ESTD" -c "$work/est.conf" 2>>"$work/daemon.err" &
    daemon=$!
    pids="$pids $daemon"
}
asked() { # OP N: so often by now
    [ "$(requests "op=$1 status=200")" -eq "$2" ]
}
quiet() {
    before=$(wc -l <"$log")
    sleep 1
    check_equal "$1" "$before" "$(wc -l <"$log")"
}

ca_serve ca --lifetime $((3650 * day))
estd_conf "$work/ca/root.pem"
clock 0
start
check "enrolled" wait_for 10 test -s "$work/installed/dev.pem"
check "with the CA certificates of the day" asked cacerts 1
clock 9
quiet "nine days later nothing is asked"
clock 15
check "after two weeks the CA certificates are" wait_for 10 asked cacerts 2
check_equal "and nothing else" "1 0" "$(requests 'op=simpleenroll') $(requests 'op=simplereenroll')"
quiet "once"
check_equal "what has not changed is not told" "" "$(grep -i trust "$work/daemon.err")"
kill $daemon
wait $daemon
start
wait_for 10 sh -c "[ \$(grep -c 'found a certificate' '$work/daemon.err') -ge 1 ]"
quiet "a restart asks nothing again"

ca_stop
cat "$work/ca/chain.pem" "$work/next/chain.pem" >"$work/bag.pem"
ca_serve ca --port "$port" --cacerts "$work/bag.pem"
clock 30
check "two weeks later" wait_for 10 asked cacerts 1
check "the next root is there" wait_for 10 grep -q 'dev: trusts other CAs than before.*: "CN = next root"' "$work/daemon.err"
check_equal "and kept" "subject=CN=next root" "$(openssl x509 -in "$work/state/trust/dev.pem" -noout -subject -nameopt RFC2253)"

ca_stop
: >"$log"
clock 45
check "the server is down when it is to be asked" wait_for 10 \
    grep -q 'dev: the CA certificates are not known anew: .*no way to the server' "$work/daemon.err"
sleep 1
check_equal "which is told once" 1 "$(grep -c 'not known anew' "$work/daemon.err")"
ca_serve ca --port "$port" --cacerts "$work/bag.pem"
clock 47
check "and tried again the next day" wait_for 10 asked cacerts 1
kill $daemon
wait $daemon
check_equal "it ends well" 0 $?
finish
