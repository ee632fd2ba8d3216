#!/bin/sh
# estd and a clock that is not set yet, set forwards and backwards, or that went on while the machine slept. The clock is
# test/clockshim.c's, in estd alone; the CA has the real one.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need openssl
shim=$BUILD/.libs/clockshim.so
[ -e "$shim" ] || skip_all "clockshim is not built"
[ -z "$PRELOAD" ] || skip_all "a sanitizer's library and the clock cannot both be preloaded"
cd "$work" || exit 99
unset TPM2CLOUD_ESTD_CONF TPM2CLOUD_CONF NOTIFY_SOCKET OPENSSL_CONF
mkdir certs.d installed

lifetime=100000
"$ESTCA" init "$work/ca" --name ca --server-days 30 >/dev/null
estca_start ca --lifetime $lifetime
for name in dev idevid; do
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout $name.key -subj /CN=$name -out $name.csr 2>req.err
done
"$ESTCA" sign ca --csr idevid.csr --out idevid.pem --lifetime 1000000000 --not-before -100000000
cat >estd.conf <<END
[estd]
certs_d = $work/certs.d
state_dir = $work/state
socket = none
END
cat >certs.d/dev.conf <<END
[certificate]
url = https://localhost:$port/.well-known/est
trust = $work/ca/root.pem
key = $work/dev.key
subject = /CN=dev
[auth]
key = $work/idevid.key
cert = $work/idevid.pem
[install]
file = $work/installed/dev.pem
END

# clock SECONDS set|slept: what estd's clock is ahead of the real one
clock() {
    echo "$1 $2" >clock.new
    mv clock.new clock
}
# requests OP: how many the CA has granted
requests() { grep -c "op=$1 status=200" ca.log; }
said() { [ "$(grep -c -- "$2" log)" -ge "$1" ]; }
granted() { [ "$(requests "$1")" -ge "$2" ]; }
refused() { [ "$(grep -c 'op=tls .*certificate expired' ca.log)" -ge "$1" ]; }
asked_all() { grep -c op= ca.log; }
# quiet WHAT: for a second, estd asks nobody
quiet() {
    before=$(asked_all)
    sleep 1
    check_equal "$1" "$before" "$(asked_all)"
}

clock "-$(($(date +%s) - 86400))" set
: >ca.log
CLOCKSHIM=$work/clock LD_PRELOAD=$shim "$ESTD" -c estd.conf 2>log &
daemon=$!
pids="$pids $daemon"
check "1970: it is told that this cannot be" wait_for 10 said 1 ' dev: the clock says 1970-01-0[0-9T:]*Z, which cannot be; waiting until it is set'
quiet "1970: nothing is asked for"
clock 0 set
check "the clock is set: enrolled at once" wait_for 10 said 1 '^estd: dev: enrolled'
check_equal "by one request" 1 "$(requests simpleenroll)"
quiet "and that is all"

clock $((lifetime * 81 / 100)) set
check "set forwards, behind the window: it renews itself" wait_for 10 granted simplereenroll 1
check "and installs it" wait_for 10 said 1 '^estd: dev: renewed'
quiet "what the CA issues is as old again, but not asked for in a circle"
clock 0 set
quiet "set back: there is time again"

clock -31536000 set
check "set back by a year: it is told that this cannot be" wait_for 10 said 2 ' dev: the clock says .*, which cannot be; waiting'
quiet "and nothing is asked for"
clock 0 set
quiet "set again: nothing is due"

clock $((lifetime * 81 / 100)) slept
check "after a long sleep it renews itself" wait_for 10 said 2 '^estd: dev: renewed'
clock 0 set
quiet "back in time"

clock 31536000 set
check "set a year ahead: the certificate seems to be over" wait_for 10 said 1 ' dev: the installed certificate has expired'
check "and the server's as well" wait_for 10 said 1 ' dev: cannot enrol: .*expired'
# A day has passed, too: the CA certificates are asked for anew. Both conversations are over before the clock is set.
check "for the CA certificates, too" wait_for 10 said 1 ' dev: the CA certificates are not known anew: .*expired'
check "which the CA has seen" wait_for 10 refused 2
clock 0 set
quiet "set right: neither was"
check_equal "all in all: one enrolment, two renewals" "1 2" "$(requests simpleenroll) $(requests simplereenroll)"
check "the certificate is in force" openssl x509 -in installed/dev.pem -noout -checkend 3600

kill "$daemon"
check "SIGTERM ends it" wait "$daemon"
check_equal "nothing else was told" "" "$(grep -v ' dev: \|started with\|stopping' log)"
finish
