#!/bin/sh
# strongSwan's pki, a client that nobody here has written, at the test server; and what it has enrolled is renewed by estd.
# Its version 5.9 (Debian 12) reads base64 in one line alone, which is what --wrap 0 is for; 6.0 (Debian 13) reads all.
# (A third client, libest, is in no package of Debian.)
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need pki openssl
version=$(pki --help 2>/dev/null | sed -n 's/.*strongSwan \([0-9]*\.[0-9]*\).*/\1/p')

# pki_quiet ARGUMENTS...: pki without its complaints about plugins that are not installed
pki_quiet() {
    pki "$@" 2>"$work/pki.err"
    code=$?
    grep -v "failed to load" "$work/pki.err" >&2
    return "$code"
}
# est OUT ARGUMENTS...: a certificate from the server at $port
est() {
    out=$1
    shift
    pki_quiet --est --url "https://localhost:$port" --cacert "$work/ca/root.pem" --cacert "$work/ca/ca.pem" \
        --outform pem "$@" >"$out"
}
serial() {
    openssl x509 -in "$1" -noout -serial
}
fingerprints() {
    for file in "$@"; do openssl x509 -in "$file" -noout -fingerprint -sha256; done | sort
}
requests() { # TEXT: how many
    grep -c -- "$1" "$work/ca.log"
}

openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/dev.key" 2>"$work/err"
estca_start ca --auth any --user dev:secret --wrap 0 || skip_all "estca does not start"
check "a request" sh -c "pki --req --type ecdsa --in '$work/dev.key' --dn 'CN=dev-1, O=Example' --san dev-1.example >'$work/dev.csr' 2>'$work/err'"
check "the CA's certificates" pki_quiet --estca --url "https://localhost:$port" --cacert "$work/ca/root.pem" --caout "$work/got.pem" \
    --outform pem
check_equal "root and issuing CA" "$(fingerprints "$work/ca/root.pem" "$work/ca/ca.pem")" "$(fingerprints "$work"/got*.pem)"
check_fails "a wrong password" "" est "$work/no.pem" --in "$work/dev.csr" --userpass dev:wrong
check "it is asked for" grep -q "op=simpleenroll status=401" "$work/ca.log"
check "enrolled by a password" est "$work/dev.pem" --in "$work/dev.csr" --userpass dev:secret
check "openssl verifies it" openssl verify -CAfile "$work/ca/root.pem" -untrusted "$work/ca/ca.pem" "$work/dev.pem"
check_equal "of the key" "$(openssl pkey -in "$work/dev.key" -pubout)" "$(openssl x509 -in "$work/dev.pem" -noout -pubkey)"
check "renewed by itself" est "$work/new.pem" --in "$work/dev.csr" --cert "$work/dev.pem" --key "$work/dev.key"
check "as a renewal" grep -q "op=simplereenroll status=200 auth=mtls" "$work/ca.log"
check "another certificate" test "$(serial "$work/dev.pem")" != "$(serial "$work/new.pem")"
estca_stop

estca_start ca --auth any --user dev:secret --wrap 0 --fault status=202@2 --fault retry-after=1
: >"$work/ca.log"
check "accepted and not issued: it asks until it is" est "$work/dev.pem" --in "$work/dev.csr" --userpass dev:secret --interval 1
check_equal "two answers 202, then a certificate" "2 1" "$(requests status=202) $(requests "op=simpleenroll status=200")"
estca_stop

# ---- by the same server, estd goes on with what strongSwan began
estca_start ca --auth mtls
mkdir "$work/certs.d"
cat >"$work/estd.conf" <<END
[estd]
certs_d = $work/certs.d
state_dir = $work/state
socket = none
[defaults]
url = https://localhost:$port/.well-known/est
trust = $work/ca/root.pem
END
printf '[certificate]\nkey = %s\nsubject = /CN=dev-1/O=Example\n[install]\nfile = %s\n' "$work/dev.key" "$work/dev.pem" \
    >"$work/certs.d/dev.conf"
before=$(serial "$work/dev.pem")
check "estd renews the certificate" "$ESTD" -c "$work/estd.conf" --once dev
check "another certificate" test "$before" != "$(serial "$work/dev.pem")"
check_equal "with strongSwan's names" "subject=O=Example,CN=dev-1 DNS:dev-1.example" \
    "$(openssl x509 -in "$work/dev.pem" -noout -subject -nameopt RFC2253 -ext subjectAltName | sed '/Alternative/d; s/^ *//' | paste -sd' ')"
if [ "$version" = 5.9 ]; then
    check_fails "strongSwan 5.9 does not read base64 of several lines" "" est "$work/new.pem" --in "$work/dev.csr" \
        --cert "$work/dev.pem" --key "$work/dev.key"
else
    check "strongSwan $version reads base64 of several lines" est "$work/new.pem" --in "$work/dev.csr" --cert "$work/dev.pem" \
        --key "$work/dev.key"
fi
finish
