#!/bin/sh
# The server's own wish for a renewal: GET renewal-info/ID, of a server that has it, one that has not, one that talks
# nonsense, and where nobody asked estd to ask.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need openssl
cd "$work" || exit 99
unset TPM2CLOUD_ESTD_CONF TPM2CLOUD_CONF NOTIFY_SOCKET OPENSSL_CONF
mkdir certs.d installed

estca_start ca --lifetime 1200 --renewal-info hint.json
with=$port
"$ESTCA" serve ca --port-file bare.port --log bare.log >/dev/null 2>&1 &
pids="$pids $!"
echo '{"suggestedWindow":"now"}' >nonsense.json
"$ESTCA" serve ca --port-file odd.port --log odd.log --renewal-info nonsense.json >/dev/null 2>&1 &
pids="$pids $!"
wait_for 10 test -s bare.port && wait_for 10 test -s odd.port
bare=$(cat bare.port) odd=$(cat odd.port)

# configure NAME PORT LINE-OF-RENEW: a certificate of 1000 s, 100 s old
configure() {
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$1.key" -subj "/CN=$1" -out "$1.csr" 2>req.err
    "$ESTCA" sign ca --csr "$1.csr" --out "installed/$1.pem" --lifetime 1000 --not-before -100
    cat >"certs.d/$1.conf" <<END
[certificate]
url = https://localhost:$2/.well-known/est
trust = $work/ca/root.pem
key = $work/$1.key
subject = /CN=$1
[renew]
$3
[install]
file = $work/installed/$1.pem
END
}
cat >estd.conf <<END
[estd]
certs_d = $work/certs.d
state_dir = $work/state
socket = none
END
# id FILE: of renewal-info, from what openssl says
id() {
    for field in "$(openssl x509 -in "$1" -noout -ext authorityKeyIdentifier | sed -n 's/^ *//; s/keyid://; s/://g; /^[0-9A-F]*$/p' | head -1)" \
        "$(openssl x509 -in "$1" -noout -serial | sed 's/serial=//')"; do
        openssl asn1parse -genstr "FORMAT:HEX,OCT:$field" -noout -out octets
        tail -c +3 octets | openssl base64 -A | tr '+/' '-_' | tr -d '='
        printf .
    done | sed 's/\.$//'
}
# utc SECONDS: that far from now
utc() { date -u -d "@$(($(date +%s) + $1))" +%Y-%m-%dT%H:%M:%SZ; }
said() { [ "$(grep -c -- "$2" log)" -ge "$1" ]; }
asked() { grep -c "op=renewal-info" "$1"; }

configure soon "$with" 'hint = yes'
configure silent "$with" 'hint = no'
configure none "$bare" 'hint = yes'
configure odd "$odd" 'hint = yes'
cp installed/soon.pem old.pem
printf '{"suggestedWindow":{"start":"%s","end":"%s"},"explanationURL":"https://ca.example/why"}' "$(utc 14)" "$(utc 16)" >hint.json
due=$(($(date +%s) + 13))
"$ESTD" -c estd.conf 2>log &
daemon=$!
pids="$pids $daemon"

check "the wish is told" wait_for 15 said 1 '^estd: soon: the server would like a renewal from 2.*Z to 2.*Z, next renewal 2.*Z$'
check "it was asked for by name, without an identity" grep -q "op=renewal-info status=200 auth=none peer=\"\"" ca.log
check "the ID is that of the certificate" grep -q "op=renewal-info .*reason=\"$(id old.pem)\"" ca.log
printf '{"suggestedWindow":{"start":"%s","end":"%s"}}' "$(utc 500)" "$(utc 501)" >later.json
mv later.json hint.json
check "the renewal comes as the server wished" wait_for 20 said 1 '^estd: soon: renewed'
check "not sooner" [ "$(date +%s)" -ge "$due" ]
check "its successor is asked about, too" wait_for 20 said 2 '^estd: soon: the server would like a renewal'
check "by its own ID" grep -q "op=renewal-info .*reason=\"$(id installed/soon.pem)\"" ca.log
check "a server without it: told" wait_for 15 said 1 ' none: no wish of the server for a renewal: .*does not offer this'
check "a server that talks nonsense: told" wait_for 15 said 1 ' odd: no wish of the server for a renewal: '
check_equal "each is asked once" "2 1 1" "$(asked ca.log) $(asked bare.log) $(asked odd.log)"
check_equal "none of them renews for that" 0 "$(grep -c 'odd: renewed\|none: renewed\|silent: renewed' log)"
kill "$daemon"
check "SIGTERM ends it" wait "$daemon"
finish
