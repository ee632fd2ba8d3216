#!/bin/sh
# Who asks for the next certificate: the installed one, then the pair of [auth], never a password by itself. A server that
# revokes, forbids, is busy or gone; estd with software keys, each case a certificate of its own in one daemon.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need openssl
cd "$work" || exit 99
unset TPM2CLOUD_ESTD_CONF TPM2CLOUD_CONF NOTIFY_SOCKET OPENSSL_CONF
mkdir certs.d installed

estca_start ca --refuse refused --lifetime 60 --auth any --user dev:secret
main=$port
"$ESTCA" init other >/dev/null
# serve_more NAME OPTIONS...: the same CA on another port, with a log of its own; sets $port
serve_more() {
    name=$1
    shift
    rm -f "$name.port"
    "$ESTCA" serve ca --port-file "$name.port" --log "$name.log" --refuse refused --lifetime 60 "$@" >/dev/null 2>&1 &
    server=$!
    pids="$pids $server"
    wait_for 10 test -s "$name.port"
    port=$(cat "$name.port")
}
serve_more old --tls 1.2
old=$port
serve_more busy --fault status=503@4
busy=$port
serve_more limited --fault status=429@4 --fault retry-after=1@4
limited=$port
serve_more late
late=$port
end_process "$server"

# signed NAME LIFETIME [NOT-BEFORE]: a key and its certificate, installed; sets $serial
signed() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -subj "/CN=$1" -out "$1.csr" 2>req.err
    "$ESTCA" sign ca --csr "$1.csr" --out "installed/$1.pem" --lifetime "$2" --not-before "${3:-0}"
    serial=$(openssl x509 -in "installed/$1.pem" -noout -serial | sed 's/serial=//')
}

# configure NAME PORT TRUST [LINE-OF-RENEW [WINDOW]]; [auth] on standard input
configure() {
    cat >"certs.d/$1.conf" <<END
[certificate]
url = https://localhost:$2/.well-known/est
trust = $work/$3/root.pem
key = $work/$1.key
subject = /CN=$1
[auth]
$(cat)
[renew]
window = ${5:-10-20}
${4:-}
[install]
file = $work/installed/$1.pem
END
}
by() { printf 'key = %s\ncert = %s\n' "$work/$1.key" "$work/installed/$1.pem"; }
password() { printf 'user = dev\npassword_file = %s\n' "$work/password"; }

echo secret >password
: >refused
cat >estd.conf <<END
[estd]
certs_d = $work/certs.d
state_dir = $work/state
socket = $work/socket
END
signed idevid 86400
signed factory 86400
echo "$serial 403" >>refused
signed ldevid 30
echo "$serial 403" >>refused
by idevid | configure ldevid "$main" ca

# Refused in five ways, and let in with the LDevID; two of them by TLS 1.2, where the alert comes in the handshake.
for case in revoked:44 unknown:48 unauthorized:401 forbidden:403; do
    signed "${case%:*}" 30
    echo "$serial ${case#*:}" >>refused
    by idevid | configure "${case%:*}" "$main" ca
done
signed oldrevoked 30
echo "$serial 44" >>refused
by idevid | configure oldrevoked "$old" ca
signed both 60
both=$serial
echo "$serial 403" >>refused
by factory | configure both "$main" ca "" 1-1
signed only 40
echo "$serial 403" >>refused
by idevid | configure only "$main" ca 'fallback = no'
signed password 40
echo "$serial 403" >>refused
password | configure password "$main" ca
signed over 10 -20
by idevid | configure over "$main" ca
signed lapsed 10 -20
password | configure lapsed "$main" ca
signed late 30
by idevid | configure late "$late" ca
signed busy 30
by idevid | configure busy "$busy" ca
signed limited 30
by idevid | configure limited "$limited" ca
signed distrust 30
by idevid | configure distrust "$main" other

"$ESTD" -c estd.conf 2>log &
daemon=$!
pids="$pids $daemon"

# said COUNT TEXT: estd has said it so many times, or more
said() { [ "$(grep -c -- "$2" log)" -ge "$1" ]; }
# asked OP STATUS PEER SUBJECT [LOG]: the number of such requests
asked() { grep -c "op=$1 status=$2 .*peer=\"CN=$3\" subject=\"$4\"" "${5:-ca.log}"; }
fallen() { "$T2C" status --config estd.conf 2>status.err | grep -q "^$1: the server refused its certificate, so that \[auth\] asks"; }
not_fallen() { ! fallen "$1"; }
down='the server refuses the installed certificate, so the next try is by the key and cert of'

for name in revoked unknown unauthorized forbidden oldrevoked ldevid; do
    check "$name: after a while it is enrolled by [auth]" wait_for 25 said 1 "^estd: $name: enrolled"
    check_equal "$name: three refusals before" 3 "$(sed "/ $name: enrolled/,\$d" log | grep -c " $name: cannot renew: .*refuse\| $name: cannot renew: .*HTTP 40[13]")"
    check_equal "$name: and one alert" 1 "$(grep -c " $name: $down \[auth\] in $work/certs.d/$name.conf" log)"
done
check "a certificate of TLS 1.3 is called revoked" grep -q ' revoked: cannot renew: .*certificate revoked' log
check "and one of TLS 1.2" grep -q ' oldrevoked: cannot renew: .*certificate revoked' log
check_equal "401: three requests were refused, and one granted" "3 1" \
    "$(asked simplereenroll 401 unauthorized '') $(asked simpleenroll 200 idevid CN=unauthorized)"
check_equal "403: likewise" "3 1" "$(asked simplereenroll 403 forbidden '') $(asked simpleenroll 200 idevid CN=forbidden)"
check_equal "the LDevID's own is by the IDevID" "3 1" "$(asked simplereenroll 403 ldevid '') $(asked simpleenroll 200 idevid CN=ldevid)"
check "the next one renews itself again" wait_for 25 said 1 "^estd: forbidden: renewed"
check_equal "by the certificate that it renews" 1 "$(asked simplereenroll 200 forbidden CN=forbidden)"

check "over: enrolled at once by [auth]" said 1 "^estd: over: enrolled"
check "over: which is told" said 1 " over: the installed certificate has expired and cannot renew itself any more"
check_equal "over: and is no alert" 0 "$(grep -c " over: $down\| over: .*refuses every" log)"
check_equal "over: by one request" 1 "$(asked simpleenroll 200 idevid CN=over)"

check "both: an alert for each" wait_for 20 said 1 " both: the server refuses every identity that may ask for this certificate"
check_equal "both: once" "1 1" "$(grep -c " both: $down" log) $(grep -c ' both: .*refuses every' log)"
check "both: after that each of them, in turn" wait_for 20 sh -c "sed '1,/ both: .*refuses every/d' log | grep -c ' both: cannot' | grep -q '^[3-9]'"
check "both: at the slowest pace" sh -c "! sed '1,/ both: .*refuses every/d' log | grep ' both: cannot' | head -2 | grep -v 'next try in [2-6] s'"
check "both: by itself" [ "$(asked simplereenroll 403 both '')" -ge 4 ]
check "both: and by the other" [ "$(asked simpleenroll 403 factory '')" -ge 2 ]
check "both: status tells" fallen both
grep -v "^$both" refused >refused.new && mv refused.new refused
check "both: let in again, it renews itself" wait_for 20 said 1 "^estd: both: renewed"

check "fallback = no: it says that it is refused" said 1 " only: the server refuses every identity"
check_equal "fallback = no: nobody else asks" "0 0" "$(grep -c " only: $down" log) $(asked simpleenroll '...' '.*' CN=only)"
check "password: it says that it is refused" said 1 " password: the server refuses every identity"
check "lapsed: it says what a human can do" said 1 " lapsed: cannot enrol: .*run: tpm2cloud enroll lapsed"
check_equal "no password went over the wire" 0 "$(grep -c 'auth=basic' ca.log)"

for name in busy limited; do
    check "$name: renewed in the end" wait_for 25 said 1 "^estd: $name: renewed"
    check_equal "$name: after four tries, none of them by another" "4 0" \
        "$(grep -c "op=simplereenroll status=[45]" $name.log) $(grep -c op=simpleenroll $name.log)"
done
check "distrust: it fails, again and again" wait_for 20 said 4 " distrust: cannot renew: .*not trusted"
check "late: a server that is down is tried, again and again" wait_for 20 said 4 " late: cannot renew: .*no way to the server"
serve_more late --port "$late"
check "late: renewed when it is there" wait_for 20 said 1 "^estd: late: renewed"
check_equal "neither steps down" 0 "$(grep -c " distrust: $down\| late: $down\| busy: $down\| limited: $down" log)"

check "status: nothing is left of a step down once the next has renewed itself" not_fallen forbidden
check "a human may use the password once more" "$T2C" enroll lapsed --config estd.conf
check_equal "which went out once" 1 "$(grep -c 'op=simpleenroll status=200 auth=basic peer="" subject="CN=lapsed"' ca.log)"
kill "$daemon"
check "SIGTERM ends it" wait "$daemon"
finish
