#!/bin/sh
# A CA that lets an operator decide answers 202 and Retry-After: estd asks once more, not before, whether it was restarted
# meanwhile or not; and at once when it wants something else by then.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/estd.sh"
need openssl
ca_make ca
echo secret >"$work/password"

# later NAME FAULT...: a certificate of a server of its own that answers 202 first; the server's log is $work/NAME.log
later() {
    name=$1
    shift
    ln -s ca "$work/$name.ca"
    rm -f "$work/$name.port"
    "$ESTCA" serve "$work/$name.ca" --port-file "$work/$name.port" --log "$work/$name.log" --auth any --user dev:secret \
        --fault status=202@1 "$@" >/dev/null 2>"$work/$name.err" &
    pids="$pids $!"
    wait_for 10 test -s "$work/$name.port"
    cert_conf "$name" "url = https://localhost:$(cat "$work/$name.port")/.well-known/est" '[auth]' 'user = dev' \
        "password_file = $work/password"
}
later soon --fault retry-after=11
later patient --fault retry-after=3600
later dated --fault retry-date=3600
later silent
later changed --fault retry-after=3600
port=1
estd_conf "$work/ca/root.pem"

start() {
    "$ESTD" -c "$work/est.conf" 2>>"$work/daemon.err" &
    daemon=$!
    pids="$pids $daemon"
}
stop() {
    kill "$daemon"
    wait "$daemon"
}
asked() { # NAME: how often
    grep -c 'op=simpleenroll' "$work/$1.log"
}
all_wait() {
    [ "$(grep -c 'not issued yet.*the same request goes out again in' "$work/daemon.err")" -ge 5 ]
}
start
check "five servers answer 202" wait_for 10 all_wait
seconds() { # NAME: how long it will wait
    sed -n "s/.*$1: .*goes out again in \([0-9]*\) s.*/\1/p" "$work/daemon.err" | head -n 1
}
check_equal "Retry-After in seconds" "11 3600" "$(seconds soon) $(seconds patient)"
check "as a date" test "$(seconds dated)" -gt 3500 -a "$(seconds dated)" -le 3600
check "or none, which is an hour" test "$(seconds silent)" -eq 3600
check_equal "none of them is a failure" "" "$(grep cannot "$work/daemon.err")"
check_equal "each was asked once" "1 1 1 1 1" "$(asked soon) $(asked patient) $(asked dated) $(asked silent) $(asked changed)"
stop

sed -i 's|^subject = .*|subject = /CN=another|' "$work/certs.d/changed.conf"
start
check "after a restart, what is another request goes out at once" wait_for 8 test -s "$work/installed/changed.pem"
check_equal "what waits, waits on" "1 1 1 1" "$(asked soon) $(asked patient) $(asked dated) $(asked silent)"
check "until its time" wait_for 20 test -s "$work/installed/soon.pem"
check_equal "when it went out once more" 2 "$(asked soon)"
grep 'op=simpleenroll' "$work/soon.log" | sed 's/^time=\([^ ]*\).*/\1/' | while read -r time; do date -d "$time" +%s; done >"$work/times"
check_equal "not before eleven seconds were over" "" "$(awk 'NR > 1 && $1 - last < 11 { print $1 - last } { last = $1 }' "$work/times")"
check_equal "the others wait" "1 1 1" "$(asked patient) $(asked dated) $(asked silent)"
kill -HUP "$daemon"
wait_for 15 grep -q 'configuration read again' "$work/daemon.err"
check "a reload" sleep 1
check_equal "does not hurry them" "1 1 1" "$(asked patient) $(asked dated) $(asked silent)"
stop
check "a human does" once patient
check_equal "by asking" 2 "$(asked patient)"

# The renewal of a certificate that stands meanwhile.
ca_serve ca --auth any --user dev:secret --lifetime 5000 --backdate 1000
cert_conf old '[auth]' 'user = dev' "password_file = $work/password" '[renew]' 'window = 1-1'
estd_conf "$work/ca/root.pem"
check "a certificate" once old
cp "$work/installed/old.pem" "$work/old.pem"
ca_stop
ca_serve ca --fault status=202@1 --fault retry-after=2000
estd_conf "$work/ca/root.pem"
check_fails "whose renewal waits" "HTTP 202: accepted, but not issued yet" once old
check "is the same as before" cmp "$work/old.pem" "$work/installed/old.pem"
rm "$work"/certs.d/[!o]*.conf
: >"$work/daemon.err"
start
check "estd finds it after a restart" wait_for 15 grep -q 'old: found a certificate' "$work/daemon.err"
next=$(sed -n 's/.*old: found a certificate, .*next renewal \(.*\)$/\1/p' "$work/daemon.err")
check "and knows that the renewal waits" test $(($(date -d "$next" +%s) - $(date +%s))) -gt 1900
stop
finish
