#!/bin/sh
# What estd keeps and tells while it runs and over a restart: its state file, metrics for Prometheus, what systemd is told, a
# configuration that is read again in the middle of things, credentials.
# shellcheck disable=SC1091,SC2154,SC2016
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/estd.sh"
need openssl /usr/bin/python3

printf 'secret\n' >"$work/password"
ca_make ca || skip_all "no CA"
ca_serve ca --auth any --user dev:secret || skip_all "no EST server"
sock=$work/estd.sock metrics=$work/metrics.prom
configure() {
    estd_conf "$work/ca/root.pem" "user = dev" "password_file = $work/password"
    sed -i "s|^socket = none|socket = $sock\nmetrics = $metrics|" "$work/est.conf"
}
configure
cert_conf a
cert_conf b
export TPM2CLOUD_ESTD_CONF="$work/est.conf" TPM2CLOUD_TCTI="swtpm:path=$work/nobody"

estd_start() { # ENVIRONMENT...: sets $estd
    : >"$work/estd.log"
    env "$@" "$ESTD" -c "$work/est.conf" 2>>"$work/estd.log" &
    estd=$!
    pids="$pids $estd"
    wait_for 10 test -S "$sock"
}
estd_stop() {
    end_process "$estd"
}
says() { # PATTERN FILE
    grep -qE -- "$1" "$2"
}
field() { # NAME FIELD: of a certificate, as status has it
    "$T2C" status --json | sed -n "s/.*\"name\": \"$1\", .*\"estd\": {.*\"$2\": \"*\([^\",}]*\)\"*[,}].*/\1/p" | head -n 1
}
both_found() {
    [ "$(grep -cE '^estd: [ab]: found a certificate' "$work/estd.log")" -eq 2 ]
}
waits() {
    [ "$(field "$1" doing)" = waiting ]
}
asks() {
    [ "$(field "$1" doing)" = asking ]
}

# ---- the state file ----

estd_start
check "two certificates are enrolled" wait_for 10 sh -c "test -s '$work/installed/a.pem' && test -s '$work/installed/b.pem'"
check "status" wait_for 10 waits b
check "three renewals" sh -c "'$T2C' renew a && '$T2C' renew a && '$T2C' renew a"
check_equal "are counted" 3 "$(field a renewals)"
next=$(field a next_s)
begins=$(date -u -d "$(openssl x509 -in "$work/installed/a.pem" -noout -startdate | cut -d= -f2)" +%s)
ends=$(date -u -d "$(openssl x509 -in "$work/installed/a.pem" -noout -enddate | cut -d= -f2)" +%s)
check "the next is at $(((next - begins) * 100 / (ends - begins))) % of the lifetime, between 60 and 80" \
    sh -c "[ $((next - begins)) -ge $(((ends - begins) * 60 / 100)) ] && [ $((next - begins)) -le $(((ends - begins) * 80 / 100)) ]"
check "estd ends" estd_stop
check_equal "its state file is its user's and group's" 640 "$(stat -c %a "$work/state/state.cbor")"
check_equal "status reads it without estd" "3 $next" "$(field a renewals) $(field a next_s)"
requests_before=$(requests .)
estd_start
check "after a restart it finds both" wait_for 10 both_found
check_equal "and counts on" "3 $next" "$(field a renewals) $(field a next_s)"
check_equal "without a request" "$requests_before" "$(requests .)"
estd_stop

# state_is WHAT SUFFIX TEXT: estd set the state file aside, knows the certificates, and asked nobody
state_is() {
    estd_start
    check "$1: it is set aside" wait_for 10 test -e "$work/state/state.cbor.$2"
    check "$1: that is said" wait_for 10 says "^estd: $work/state/state.cbor is not readable \($3.*\); it is set aside as $work/state/state.cbor.$2" "$work/estd.log"
    check "$1: the certificates are found" wait_for 10 both_found
    check_equal "$1: nobody is asked" "$requests_before" "$(requests .)"
    check_equal "$1: only the numbers are lost" "0 $ends" "$(field a renewals) $(field a not_after_s)"
    estd_stop
    check "$1: there is a new one" test -s "$work/state/state.cbor"
    rm "$work/state/state.cbor.$2"
}
cp "$work/state/state.cbor" "$work/good.cbor"
head -c 100 "$work/good.cbor" >"$work/state/state.cbor"
state_is "a state file that is cut" damaged "cut off at byte"
printf '\242gversion\030\143lcertificates\240' >"$work/state/state.cbor"
state_is "one of version 99" newer "version 99, and this program knows 3"
dd if=/dev/urandom of="$work/state/state.cbor" bs=1000 count=1 2>/dev/null
state_is "random octets" damaged ".* (at|before) byte"
# {"version": 1, "certificates": {"a": {"renewals": 41, "last_success_s": 1, "failures": 0, "last_error": ""}}}
printf '\242gversion\001lcertificates\241aa\244hrenewals\030)nlast_success_s\001hfailures\000jlast_error`' >"$work/state/state.cbor"
estd_start
check "one of version 1 is read" wait_for 10 both_found
check_equal "with its numbers" 41 "$(field a renewals)"
check "and renewed on" sh -c "'$T2C' renew a"
check_equal "they go on" 42 "$(field a renewals)"
estd_stop
cp "$work/good.cbor" "$work/state/state.cbor"

# ---- metrics ----

estd_start
wait_for 10 both_found
check "there are metrics" wait_for 10 test -s "$metrics"
check "in Prometheus' format" awk -f "$srcdir/test/metrics.awk" "$metrics"
ends=$(date -u -d "$(openssl x509 -in "$work/installed/b.pem" -noout -enddate | cut -d= -f2)" +%s)
check "the end of a certificate" says "^tpm2cloud_certificate_not_after_timestamp_seconds\{name=\"b\"\} $ends\$" "$metrics"
check "the version" says '^tpm2cloud_build_info\{version="[0-9.]+"\} 1$' "$metrics"
check_equal "everybody may read them" 644 "$(stat -c %a "$metrics")"
inode=$(stat -c %i "$metrics")
ca_stop
"$T2C" renew b >/dev/null 2>&1
check "a failure is counted" wait_for 10 says '^tpm2cloud_certificate_failures\{name="b"\} 1$' "$metrics"
check "and when the next try is" says "^tpm2cloud_certificate_next_step_timestamp_seconds\{name=\"b\"\} $(field b next_s)\$" "$metrics"
check "in a new file, so that nobody reads half of one" [ "$inode" != "$(stat -c %i "$metrics")" ]
check "still in Prometheus' format" awk -f "$srcdir/test/metrics.awk" "$metrics"
estd_stop
check_equal "nothing is left beside it" "" "$(find "$work" -maxdepth 1 -name '.metrics*')"
sed -i "s|^metrics = .*|metrics = $work/none/metrics.prom|" "$work/est.conf"
estd_start
check "a directory that is not there is told" wait_for 10 says "metrics are not written: cannot create a file in $work/none" "$work/estd.log"
check "and that is all" "$T2C" status
estd_stop
sed -i "s|^metrics = .*|metrics = $metrics|" "$work/est.conf"

# ---- systemd ----

/usr/bin/python3 "$srcdir/test/control.py" "$work/notify" datagrams >"$work/notified" 2>/dev/null &
pids="$pids $!"
wait_for 10 says listening "$work/notified"
ca_serve ca --auth any --user dev:secret
configure
estd_start NOTIFY_SOCKET="$work/notify" WATCHDOG_USEC=400000
check "systemd is told that estd is ready" wait_for 10 says "^READY=1" "$work/notified"
check "and what it does" wait_for 10 says "^STATUS=2 certificate\(s\), 1 failing, next step 2[0-9TZ:-]*\$" "$work/notified"
check "the watchdog is fed" wait_for 10 sh -c "[ \$(grep -c '^WATCHDOG=1' '$work/notified') -ge 3 ]"
kill -HUP "$estd"
check "that it reads its configuration" wait_for 10 says "^RELOADING=1 MONOTONIC_USEC=[0-9]+" "$work/notified"
check "and is ready again" wait_for 10 sh -c "[ \$(grep -c '^READY=1' '$work/notified') -eq 2 ]"
kill -STOP "$estd"
fed=$(grep -c '^WATCHDOG=1' "$work/notified")
sleep 1
check "an estd that hangs is not fed" [ "$(grep -c '^WATCHDOG=1' "$work/notified")" -le $((fed + 1)) ]
kill -CONT "$estd"
estd_stop
check "that it ends" wait_for 10 says "^STOPPING=1" "$work/notified"
: >"$work/notified"
estd_start NOTIFY_SOCKET="$work/notify" WATCHDOG_USEC=100000 WATCHDOG_PID=1
check "a watchdog of another process" wait_for 10 says "^READY=1" "$work/notified"
sleep 0.5
check_fails "is not ours to feed" "" grep -q WATCHDOG "$work/notified"
estd_stop

# ---- the configuration, read again while things go on ----

ca_stop
ca_serve ca --auth any --user dev:secret --fault delay=5000@1 --fault-op simplereenroll
configure
estd_start
wait_for 10 both_found
wait_for 10 waits a
: >"$log"
"$T2C" renew a >"$work/renewed" 2>&1 &
renew=$!
wait_for 10 asks a
cert_conf c
check "reload in the middle of a transfer" "$T2C" reload
check "a new certificate is enrolled" wait_for 10 test -s "$work/installed/c.pem"
check "the transfer goes on to its end" wait "$renew"
check_equal "which came behind that" "read renewed" \
    "$(sed -n 's/.*configuration read again.*/read/p; s/.* a: renewed.*/renewed/p' "$work/estd.log" | tr '\n' ' ' | sed 's/ $//')"
check_equal "in one request" 1 "$(requests 'op=simplereenroll')"
kill -HUP "$estd"
wait_for 10 says "read again: 3" "$work/estd.log"
sleep 0.3
check_equal "certificates whose configuration did not change are left in peace" 2 "$(requests 'op=simple')"
rm "$work/installed/b.pem"
kill -HUP "$estd"
check "one that somebody removed is noticed" wait_for 10 says "b: cannot enrol: .* run: tpm2cloud enroll b" "$work/estd.log"
check "and enrolled as it says" "$T2C" enroll b
rm "$work/certs.d/c.conf"
"$T2C" reload
check_equal "one that is not configured any more is gone" "a b" "$("$T2C" status | sed -n 's/^\([a-c]\) .*/\1/p' | tr '\n' ' ' | sed 's/ $//')"
sed -i 's|/CN=b|/CN=b2|' "$work/certs.d/b.conf"
: >"$work/estd.log"
"$T2C" reload
check "one that is configured otherwise is looked at anew" wait_for 10 says "b: the certificate has other names than $work/certs.d/b.conf says" "$work/estd.log"
check "as it says, enroll gives it the new name" "$T2C" enroll b
check_equal "which it has" "subject=CN=b2" "$(openssl x509 -in "$work/installed/b.pem" -noout -subject -nameopt RFC2253)"
estd_stop

# ---- a request that the server has taken (202) ----

ca_stop
ca_serve ca --auth any --user dev:secret --fault status=202@1 --fault retry-after=600
configure
estd_start
wait_for 10 both_found
check_fails "a certificate that is issued later" "the same request goes out again in" "$T2C" renew a
until=$(field a pending_until_s)
check "status says when it is asked again" sh -c "'$T2C' status | grep -q '^a: the server has the request and issues later; it is asked again at 2'"
check_fails "until then it waits" "a waits for the server, which issues later, until 2" "$T2C" renew a
estd_stop
asked=$(requests 'op=simplereenroll')
estd_start
wait_for 10 both_found
wait_for 10 waits a
check_equal "a restart changes nothing" "$until" "$(field a pending_until_s)"
check_equal "nor does it ask" "$asked" "$(requests 'op=simplereenroll')"
check "--now does" "$T2C" renew a --now
check_equal "then it is over" 0 "$(field a pending_until_s)"
estd_stop

# ---- credentials ----

mkdir "$work/credentials"
printf 'secret' >"$work/credentials/est-password"
rm "$work/password"
sed -i "s|^password_file = .*|password_file = cred:est-password|" "$work/est.conf"
check_fails "a credential without systemd" "no credential est-password, since \$CREDENTIALS_DIRECTORY is not set" "$ESTD" -c "$work/est.conf" --enroll a
check "a password by LoadCredential" env CREDENTIALS_DIRECTORY="$work/credentials" "$ESTD" -c "$work/est.conf" --enroll a
check "was that password" says "op=simpleenroll status=200 auth=basic" "$log"
check_fails "it is in no file of ours" "" grep -rqF secret "$work/state" "$work/estd.log" "$metrics"
finish
