#!/bin/sh
# Whom estd believes: roots in a file, the operating system when told to, a CA certificate by its SHA-256; registration
# authorities under any name; and what it does when the CA gets a new key.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/estd.sh"
need openssl
ca_make ca
ca_make other
ca_make elsewhere --server-name elsewhere.example
factory idevid ca
device() { # NAME: a certificate that the IDevID asks for
    cert_conf "$1" '[auth]' "key = $work/idevid.key" "cert = $work/idevid.pem" '[renew]' 'window = 1-1'
}
print_of() { # CERTIFICATE: as openssl writes its SHA-256
    openssl x509 -in "$1" -noout -fingerprint -sha256 | sed 's/.*=/sha256:/'
}
device dev

# ---- a file ----

ca_serve ca
estd_conf "$work/ca/root.pem"
check "the root in a file" enrolled dev
estd_conf "$work/ca/ca.pem"
refused "an intermediate alone ends no chain" "$work/ca/ca.pem has no root, which is a certificate that signed itself" dev
cat "$work/other/root.pem" "$work/ca/root.pem" >"$work/both.pem"
estd_conf "$work/both.pem"
check "one of two roots" enrolled dev
estd_conf "$work/other/root.pem"
refused "the root of another CA" "is not trusted (unable to get local issuer certificate" dev
check_equal "is told before anything is asked" 2 "$(requests 'op=cacerts')"
estd_conf system
refused "the operating system does not know this CA" "check trust = system in $work/certs.d/dev.conf" dev
ca_stop

# ---- names ----

ca_serve elsewhere --client-ca "$work/ca/root.pem"
estd_conf "$work/elsewhere/root.pem"
refused "a server for another name" 'is for another name ("CN = elsewhere.example" instead of localhost); check url' dev
sed -i "s|localhost:|127.0.0.1:|" "$work/est.conf"
refused "or an address" 'instead of 127.0.0.1)' dev
ca_stop
ca_make ra --server-name ra.example --server-is-ra
ca_serve ra --client-ca "$work/ca/root.pem"
estd_conf "$work/ra/root.pem"
check "a registration authority (id-kp-cmcRA) under any name" enrolled dev
estd_conf "$work/other/root.pem"
refused "that the anchors vouch for" "is not trusted" dev
if [ "$(id -u)" -eq 0 ] && unshare --mount true 2>/dev/null; then
    # The anchors of the operating system are another file for this process.
    # shellcheck disable=SC2016
    as_system() { # FILE COMMAND...
        unshare --mount sh -c 'mount --bind "$1" /etc/ssl/certs/ca-certificates.crt && shift && exec "$@"' sh "$@"
    }
    rm -rf "$work/installed/dev.pem" "$work/state"
    estd_conf system
    check_fails "by the operating system's anchors, its name counts" 'is for another name ("CN = ra.example" instead of localhost)' \
        as_system "$work/ra/root.pem" "$ESTD" -c "$work/est.conf" --once dev
    ca_stop
    ca_serve ca
    estd_conf system
    check "the operating system's anchors" as_system "$work/ca/root.pem" "$ESTD" -c "$work/est.conf" --once dev
    check "the certificate verifies by the root that /cacerts named" openssl verify -CAfile "$work/ca/root.pem" \
        -untrusted "$work/installed/dev.pem" "$work/installed/dev.pem"
else
    skip "the operating system's anchors" "no mount namespace here"
fi
ca_stop

# ---- a fingerprint ----

print=$(print_of "$work/ca/root.pem")
ca_serve ca
estd_conf '' "trust_fingerprint = $print"
check "a CA by the SHA-256 of its certificate" enrolled dev
check_equal "asked for it without an identity, then asks over a new connection" \
    'cacerts peer="" 1,csrattrs peer="" 2,simpleenroll peer="CN=idevid" 3' \
    "$(sed -n 's/.*op=\([a-z]*\) .*\(peer="[^"]*"\).* conn=\([0-9]*\).*/\1 \2 \3/p' "$log" | paste -sd,)"
check "the CA certificate is kept" sh -c "openssl x509 -in '$work/state/trust/dev.pem' | cmp - '$work/ca/root.pem'"
: >"$log"
check "the next time" once dev
check_equal "the server is judged at once" 'cacerts 4,csrattrs 4,simplereenroll 5' \
    "$(sed -n 's/.*op=\([a-z]*\) .* conn=\([0-9]*\).*/\1 \2/p' "$log" | paste -sd,)"
estd_conf '' "trust_fingerprint = $(print_of "$work/other/root.pem"),$(echo "$print" | sed 's/://2g' | tr A-F a-f)"
check "one of two, written in another way" enrolled dev
: >"$log"
estd_conf '' "trust_fingerprint = $(print_of "$work/other/root.pem")"
refused "the fingerprint of another CA" "trust_fingerprint in $work/certs.d/dev.conf" dev
check_equal "ends after the first question" "cacerts" "$(sed -n 's/.*op=\([a-z]*\) .*/\1/p' "$log")"
estd_conf '' "trust_fingerprint = $(print_of "$work/ca/ca.pem")"
refused "the fingerprint of an intermediate" "self-signed" dev
estd_conf '' "trust_fingerprint = sha256:12ab"
check_fails "half a fingerprint" "is no list of SHA-256 fingerprints" "$ESTD" -c "$work/est.conf" --check-config
ca_stop
# Somebody else's server that shows the right CA certificates.
ca_serve other --cacerts "$work/ca/chain.pem" --auth none
estd_conf '' "trust_fingerprint = $print"
refused "a server that is not of this CA" "trust_fingerprint in $work/certs.d/dev.conf" dev
check_equal "hears nothing else" "cacerts" "$(sed -n 's/.*op=\([a-z]*\) .*/\1/p' "$log")"
check "nor is anything of it kept" test ! -e "$work/state/trust/dev.pem"
ca_stop
ca_serve ca --fault redirect-away=302 --fault-op cacerts
estd_conf '' "trust_fingerprint = $print"
refused "a redirect by a server that is not trusted yet" "that is not trusted yet redirects to another" dev
ca_stop
ca_serve ca --fault challenge --fault-op cacerts
estd_conf '' "trust_fingerprint = $print"
echo secret >"$work/password"
cert_conf pw '[auth]' 'user = dev' "password_file = $work/password"
refused "a challenge by such a server" "the server wants authentication for /cacerts" pw
check_equal "is not answered" 1 "$(requests 'op=cacerts')"
ca_stop

# The CA is replaced altogether, and its new fingerprint configured.
rm -rf "$work/state" "$work/installed/dev.pem"
ca_serve ca
estd_conf '' "trust_fingerprint = $print"
check "a device of the old CA" once dev
ca_stop
ca_serve other --client-ca "$work/ca/root.pem" --lax
estd_conf '' "trust_fingerprint = $print"
check_fails "does not follow to another" "trust_fingerprint" once dev
estd_conf '' "trust_fingerprint = $(print_of "$work/other/root.pem")"
check "unless it is told" once dev
check "and has its certificate" openssl verify -CAfile "$work/other/root.pem" -untrusted "$work/installed/dev.pem" \
    "$work/installed/dev.pem"
ca_stop

# ---- a new root ----

rm -rf "$work/state" "$work/installed/dev.pem"
cat "$work/ca/chain.pem" "$work/other/chain.pem" >"$work/bag.pem"
ca_serve ca --cacerts "$work/bag.pem"
estd_conf "$work/ca/root.pem"
check "the server announces its next root" once dev
check "which is told" grep -q 'dev: trusts other CAs than before.*: "CN = other root"$' "$work/once.err"
check_equal "and kept beside the configured one" "subject=CN=other root" \
    "$(openssl x509 -in "$work/state/trust/dev.pem" -noout -subject -nameopt RFC2253)"
: >"$log"
check "the next time" once dev
check_equal "there is nothing to tell" "" "$(cat "$work/once.err")"
ca_stop
ca_serve other --client-ca "$work/ca/root.pem" --lax
estd_conf "$work/ca/root.pem"
check "the new root has taken over" once dev
check "so is the certificate" openssl verify -CAfile "$work/other/root.pem" -untrusted "$work/installed/dev.pem" "$work/installed/dev.pem"
echo damage >>"$work/state/trust/dev.pem"
check_fails "a damaged cache is not used" "is not trusted" once dev
check "which is told" grep -q "$work/state/trust/dev.pem: .*fetched anew" "$work/once.err"
ca_stop
ca_serve ca --cacerts "$work/ca/ca.pem"
estd_conf "$work/ca/root.pem"
check "a server that keeps its root to itself" enrolled dev
check "is told" grep -q 'among the CA certificates that the server sent is no self-signed one' "$work/once.err"
ca_stop
finish
