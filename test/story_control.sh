#!/bin/sh
# What a running estd is asked: status, renew, enroll, watch, reload by the command line, and anything at all by a client that
# shares no code with us (test/control.py, after docs/control.cddl). Nobody on the socket may stop estd, or make it grow.
# shellcheck disable=SC1091,SC2154,SC2016
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/estd.sh"
need openssl curl /usr/bin/python3

printf 'secret\n' >"$work/password"
ca_make ca || skip_all "no CA"
ca_serve ca --auth any --user dev:secret || skip_all "no EST server"
estd_conf "$work/ca/root.pem" "user = dev" "password_file = $work/password"
sock=$work/run/estd.sock
sed -i "s|^socket = none|socket = $sock|" "$work/est.conf"
cert_conf a
cert_conf b
export TPM2CLOUD_ESTD_CONF="$work/est.conf" TPM2CLOUD_TCTI="swtpm:path=$work/nobody"

estd_start() { # ENVIRONMENT...: sets $estd
    env "$@" "$ESTD" -c "$work/est.conf" 2>>"$work/estd.log" &
    estd=$!
    pids="$pids $estd"
}
estd_stop() {
    end_process "$estd"
}
client() {
    /usr/bin/python3 "$srcdir/test/control.py" "$sock" "$@"
}
serial() {
    openssl x509 -in "$work/installed/$1.pem" -noout -serial
}
row() { # NAME: its row of the table
    "$T2C" status | sed -n "s/^$1  *//p" | head -n 1
}
waits() {
    "$T2C" status | grep -qE "^$1 .* [0-9TZ:-]{20} "
}
says() { # PATTERN FILE
    grep -qE -- "$1" "$2"
}
with_path() { # as where estd is installed
    (
        PATH=$BUILD/estd:$PATH
        t2c "$@"
    )
}
t2c() { # what it says stays in $work/said
    "$T2C" "$@" >"$work/said" 2>&1
    code=$?
    cat "$work/said" >&2
    return "$code"
}
not_running="no estd is running: nobody listens at $sock"

# ---- without a running estd ----

check_fails "renew wants a running estd" "$not_running" "$T2C" renew a
check_fails "watch wants a running estd" "$not_running" "$T2C" watch
check "status does not" t2c status
check "but says that there is none" says "^estd: $not_running; what is known of its certificates is from $work/state/state.cbor" "$work/said"
check "enroll starts one for the step" with_path enroll a
check "which says what it installed" says '^a: subject "CN = a"' "$work/said"
ends=$(date -u -d "$(openssl x509 -in "$work/installed/a.pem" -noout -enddate | cut -d= -f2)" +%Y-%m-%dT%H:%M:%SZ)
check_equal "status knows it from the state file: when it ends, and no renewal" "$ends 0" "$(row a | awk '{print $2, $4}')"
check_fails "an empty variable names no configuration" "nobody listens at /run/tpm2cloud/estd.sock" env TPM2CLOUD_ESTD_CONF= "$T2C" renew a
check_fails "a configuration that is not there" "cannot open $work/none.conf" "$T2C" status --config "$work/none.conf"

# ---- with one ----

estd_start
check "estd listens" wait_for 10 test -S "$sock"
check "it enrols the other certificate" wait_for 10 test -s "$work/installed/b.pem"
check_equal "its socket is for user and group" "660" "$(stat -c %a "$sock")"
check_equal "nothing is left beside it" "estd.sock" "$(ls -A "$work/run")"
check "status says that it runs" sh -c "'$T2C' status | grep -qE '^estd: version [0-9.]+, running since 2'"
check "and what it waits for" wait_for 10 waits a
before=$(serial a)
check "renew" t2c renew a
check "it says how that went" says "^a: renewed, issuer \"CN = ca issuing CA\", notAfter 2.*, next renewal 2" "$work/said"
check "there is another certificate" [ "$before" != "$(serial a)" ]
check "which renewed itself" says "op=simplereenroll status=200" "$log"
check "who asked is in the log" says "^estd: renewal of a is asked for by user $(id -u), process [0-9]+\$" "$work/estd.log"
check_equal "status counts it" 1 "$(row a | awk '{print $4}')"
: >"$log"
check "enroll" t2c enroll a
check "it is a first enrolment, by the password" says "op=simpleenroll status=200 auth=basic" "$log"
check "and told so" says "^a: enrolled" "$work/said"
check "enroll, for programs" t2c enroll a --json
check "tells the same" says '^\{"name": "a", "outcome": "enrolled, issuer ' "$work/said"
openssl x509 -in "$work/installed/a.pem" -noout -enddate | cut -d= -f2 >"$work/ends"
check_equal "--json has the same times as the certificate" "$(date -u -d "$(cat "$work/ends")" +%s)" \
    "$("$T2C" status --json | sed -n 's/.*"name": "a", .*"not_after_s": \([0-9]*\), "issuer": "CN = ca.*/\1/p' | head -n 1)"
if /usr/bin/python3 -c 'import json' 2>/dev/null; then
    check "--json is JSON" sh -c "'$T2C' status --json | /usr/bin/python3 -c '
import json, sys
s = json.load(sys.stdin)
assert s[\"estd\"][\"running\"] and s[\"names\"][0][\"estd\"][\"renewals\"] == 1 and s[\"names\"][1][\"estd\"][\"doing\"] == \"waiting\"'"
else
    skip "--json is JSON" "this Python has no json"
fi
check "at a terminal there are bars" sh -c "script -qec '$T2C status' /dev/null </dev/null | grep -qE '^a .* \[[.#]*\|[.#]*\] [0-9]+ d '"
check_fails "in a file there are none" "" sh -c "'$T2C' status | grep -q '\[#'"

check "renew --json" t2c renew b --json
check "is the event" says '^\{"type": "renewed", .*"name": "b"|^\{.*"name": "b".*"type": "renewed"' "$work/said"
check_equal "reload --json" '{"reloaded": true}' "$("$T2C" reload --json)"

# ---- mistakes ----

check_fails "a certificate that is not configured" 'no certificate "c" is configured; tpm2cloud status lists what there is' "$T2C" renew c
check_fails "enroll one" 'no certificate "c" is configured' "$T2C" enroll c
check_fails "a name with control characters" 'is not the name of a certificate' "$T2C" renew "$(printf 'a\033')"
check_fails "no name" "an argument is missing" "$T2C" renew
check_fails "two names" 'unexpected "b"' "$T2C" renew a b
check_fails "an unknown option" "unknown option --soon" "$T2C" renew a --soon
check_fails "an option without a value" "option --config wants a value" "$T2C" renew a --config
printf '[estd]\nsocket = /%0110d\n' 7 >"$work/long.conf"
check_fails "a socket whose path is too long" "is too long" "$T2C" renew a --config "$work/long.conf"
printf '[estd]\nsocket = none\n' >"$work/mute.conf"
check_fails "an estd without a socket" "gives estd no socket to be asked by" "$T2C" renew a --config "$work/mute.conf"
/usr/bin/python3 -c "
import socket, sys
s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM); s.bind('$work/odd.sock'); s.listen(1)
while True: c, _ = s.accept(); c.recv(99); c.sendall(b'HTTP/1.1 400 Bad Request'); c.close()" &
pids="$pids $!"
check "something else listens" wait_for 15 test -S "$work/odd.sock"
printf '[estd]\nsocket = %s\n' "$work/odd.sock" >"$work/odd.conf"
check_fails "it is not taken for estd" "answers what this program does not understand" "$T2C" renew a --config "$work/odd.conf"
if [ "$(id -u)" -eq 0 ]; then
    chmod 711 "$work" && chmod 644 "$work/est.conf"
    check_fails "a stranger may not ask" "cannot ask estd at $sock: Permission denied" \
        setpriv --reuid 65534 --regid 65534 --clear-groups "$T2C" renew a
else
    skip "a stranger may not ask" "needs root to become one"
fi

# ---- failures ----

ca_stop
check_fails "a server that is down: renew tells why" "no way to the server" "$T2C" renew a
check_fails "a second time it waits" "a waits after a failure, until 2" "$T2C" renew a
check_fails "--now does not" "a: cannot renew: https://localhost" "$T2C" renew a --now
check "status has the failures and the last error" sh -c "'$T2C' status | grep -qE '^a: failed 2 time\(s\) in a row, last at 2.*: no way to the server.*; next try 2'"
ca_serve ca --auth any --user dev:secret
sed -i "s|https://localhost:[0-9]*/|https://localhost:$port/|" "$work/est.conf"
: >"$work/estd.log"
check "reload, with the server's new place" "$T2C" reload
check "it is said" says "configuration read again: 2 certificate" "$work/estd.log"
check "what failed works again" "$T2C" renew a --now
check_fails "the failures are over" "" sh -c "'$T2C' status | grep -q '^a: failed'"
printf '[renew]\nwindow = 0-100\n' >>"$work/certs.d/b.conf"
check_fails "reload of a wrong configuration says where it is wrong" "$work/certs.d/b.conf: [renew] window" "$T2C" reload
check "the old one stays" says "the old configuration stays: $work/certs.d/b.conf: \[renew\] window" "$work/estd.log"
sed -i '/^\[renew\]/,$d' "$work/certs.d/b.conf"
sed -i "s|^socket = .*|socket = none|" "$work/est.conf"
check_fails "the socket cannot change" "[estd] socket cannot change while estd runs; restart it" \
    sh -c "printf '[estd]\nsocket = $sock\n' >'$work/old.conf'; '$T2C' reload --config '$work/old.conf'"
sed -i "s|^socket = .*|socket = $sock|" "$work/est.conf"
check "and nothing has changed" "$T2C" renew b

# ---- as provision has a certificate enrolled, of whose file estd may not know ----

by_estd() { # NAME...: the answer stays in $work/said
    "$BUILD/by_estd" "$work/est.conf" "$@" >"$work/said"
}
granted() {
    requests 'op=simpleenroll status=200 .*"CN=c"'
}
cert_conf c
check "a new certificate" by_estd c reload
check_equal "is enrolled once, whether by itself or because it is asked for" 1 "$(granted)"
check "again" by_estd c reload
check "it is in force" says '^a certificate is in force until 2' "$work/said"
check "anew" by_estd c reload anew
check_equal "it is asked for" 2 "$(granted)"
refused_by_disk() { # NAME FILE
    cert_conf "$1"
    sed -i "s|^file = .*|file = $2|" "$work/certs.d/$1.conf"
    timeout 30 "$BUILD/by_estd" "$work/est.conf" "$1" reload
}
check_fails "one that cannot be installed" "d: cannot install the new certificate: " refused_by_disk d /proc/d.pem
echo "no key" >"$work/e.key"
cp "$work/installed/a.pem" "$work/e.pem"
check_fails "one that cannot be looked at" "e: cannot compare the certificate with its key: " refused_by_disk e "$work/e.pem"
rm "$work/certs.d/"[cde].conf
check_fails "one that is not configured any more" "estd keeps no certificate c" by_estd c reload

# ---- watch ----

"$T2C" watch >"$work/watched" 2>"$work/watch.err" &
watch=$!
"$T2C" watch --json >"$work/watched.json" 2>/dev/null &
json=$!
pids="$pids $watch $json"
for watcher in $watch $json; do
    wait_for 10 sh -c "ls -l /proc/$watcher/fd | grep -q socket:"
done
sleep 0.2
"$T2C" renew a >/dev/null && "$T2C" renew b >/dev/null
check "watch has a line for each event" wait_for 15 says "^2[0-9TZ:-]* b: renewed, issuer" "$work/watched"
check "in order" says "^requested requested renewed requested renewed" \
    "$(awk '/asked/ {printf "requested "} /renewed/ {printf "renewed "}' "$work/watched" >"$work/order"; sed -i 's/^/requested /' "$work/order"; echo "$work/order")"
check "with --json an object" wait_for 15 says '^\{"type": "renewed", "name": "a", "code": "", "alert": false, "at_s": [0-9]+, "next_s": [0-9]+, ' "$work/watched.json"

# ---- a client of another kind ----

check_equal "ping" "done" "$(client ask 826470696e67a0 | cut -d' ' -f1)"
check "status has each certificate and an end" sh -c "test \"\$(/usr/bin/python3 '$srcdir/test/control.py' '$sock' ask 8266737461747573a0 | sed 's/[ =].*//' | tr '\n' ' ')\" = 'certificate certificate done '"
check_equal "requests one behind the other are answered one behind the other" "done error done" \
    "$(client ask "826470696e67a0 826572656e6577a1646e616d656178 826470696e67a0" | cut -d' ' -f1 | tr '\n' ' ' | sed 's/ $//')"
check_equal "keys in another order are as good" "error" \
    "$(client ask "826572656e6577a2636e6f77f5646e616d656178" | cut -d' ' -f1)"
while read -r hex text; do
    check_equal "$hex: $text" "error code=invalid text=$text" "$(client ask "$hex")"
done <<END
00 not what belongs there at byte 0
474554202f20485454502f312e310d0a not what belongs there at byte 0
9fff not what belongs there at byte 0
a0 not what belongs there at byte 0
8164 an array of another length at byte 1
826470696e67f6 not what belongs there at byte 6
8264504f4e47a0 "PONG" is not known
826470696e67a1646e616d656161 too many entries announced at byte 7
826572656e6577a0 a request without a name ends at byte 8
826572656e6577a1646e616d656100 a text that is not UTF-8, or has control characters, ends at byte 15
c1826470696e67a0 not what belongs there at byte 0
END
check_equal "what follows nonsense is not heard" "error" "$(client ask "00826470696e67a0" | cut -d' ' -f1)"
check_equal "half a request is none" "" "$(client ask 826470)"
check_equal "a text of 2^64 - 1 bytes is not waited for" "" "$(client ask "827bffffffffffffffff")"
check_equal "nor is a request longer than 1024 bytes" "error code=invalid text=cut off at byte 13" \
    "$(client ask "826572656e6577a1646e616d6579ffff$(printf '%02100d' 0)" 2>/dev/null)"

# ---- many clients, and bad ones ----

rss() {
    awk '/^VmRSS/ {print $2}' "/proc/$estd/status"
}
# A sanitizer keeps what was freed for a while.
allowed=1024
grep -q '^INSTRUMENT = .*-fsanitize' "$BUILD/Makefile" && allowed=32768
# busy WHAT ARGUMENTS...: a client that stays, until unbusy
busy() {
    mkfifo "$work/gate"
    client "$@" <"$work/gate" >"$work/busy" 2>"$work/busy.err" &
    busy=$!
    pids="$pids $busy"
    exec 3>"$work/gate"
    rm "$work/gate"
    wait_for 10 says held "$work/busy"
}
unbusy() {
    exec 3>&-
    wait "$busy"
}
check "a hundred connections that say nothing" busy hold 100
check "status is answered all the same" "$T2C" status
check "watchers stay" kill -0 "$watch"
unbusy
grown=$(rss)
check "one that asks for a hundred thousand lists and reads none" busy flood 100000
check "status is answered all the same" "$T2C" status
check "estd does not grow: $(($(rss) - grown)) kB" [ $(($(rss) - grown)) -lt $allowed ]
unbusy
check "a watcher that does not read" busy mute
i=0 many=
while [ $i -lt 40 ]; do
    many=${many}826572656e6577a1646e616d656178
    i=$((i + 1))
done
i=0
while [ $i -lt 60 ]; do
    client ask "$many" >/dev/null
    i=$((i + 1))
done
check "after 2400 events estd has not grown: $(($(rss) - grown)) kB" [ $(($(rss) - grown)) -lt $allowed ]
exec 3>&-
check "it gets those that there was room for" wait_for 10 says "type=requested" "$work/busy"
lost_is_told() {
    client ask 826572656e6577a1646e616d656178 >/dev/null
    says " lost=[0-9]+ " "$work/busy"
}
check "and is told how many it has missed" wait_for 10 lost_is_told
kill "$busy"
for seed in 1 2 3; do
    check "random and damaged requests, $seed" client fuzz $seed 200
done
check "estd is the same process" kill -0 "$estd"
read -r median longest <<END
$(client time 200)
END
check "200 pings: $median ms in the middle, $longest ms at most" [ "$median" -le 50 ]

# ---- beginning and end ----

check "ending estd" estd_stop
check "its socket is gone" [ ! -e "$sock" ]
wait "$watch"
check_equal "watch ends with it" 1 $?
check "having said so" says "^2[0-9TZ:-]* stopping" "$work/watched"
check "and why it ends" says "estd at $sock has ended the connection" "$work/watch.err"
estd_start
wait_for 10 test -S "$sock"
kill -9 "$estd"
wait "$estd" 2>/dev/null
check "a killed one leaves its socket" test -S "$sock"
check_fails "where nobody listens" "$not_running" "$T2C" renew a
estd_start
check "the next takes its place" wait_for 10 "$T2C" renew a
sed "s|^state_dir = .*|state_dir = $work/state2|" "$work/est.conf" >"$work/second.conf"
"$ESTD" -c "$work/second.conf" 2>"$work/second.log" &
second=$!
pids="$pids $second"
check "another estd does not take the socket of one that runs" wait_for 10 says "another process listens at $sock" "$work/second.log"
check "but does what it is for" wait_for 10 says "a: found a certificate" "$work/second.log"
end_process "$second"
check "and leaves the socket" "$T2C" renew a
estd_stop
echo precious >"$sock"
: >"$work/estd.log"
estd_start
check "a file in its place is no socket" wait_for 10 says "$sock is no socket; remove it, or name another" "$work/estd.log"
estd_stop
check_equal "and it is not touched" precious "$(cat "$sock")"
rm "$sock"
finish
