#!/bin/sh
# What estd asks for: a renewal has the names of the certificate, byte for byte (RFC 7030 4.2.2), whatever the configuration
# says meanwhile; CSR attributes of the server are followed as far as they can be.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/estd.sh"
need openssl
ca_make ca
factory idevid ca
cert_conf dev 'san = DNS:dev.example' '[auth]' "key = $work/idevid.key" "cert = $work/idevid.pem" '[renew]' 'window = 1-1'

# ---- names ----

# A certificate whose strings are of types that estd would not choose: PrintableString for O, an RDN of two parts, a SAN that is
# critical and has names of all kinds.
cat >"$work/names.cnf" <<'CONF'
[req]
prompt = no
distinguished_name = name
req_extensions = extensions
string_mask = nombstr
[name]
C = DE
O = Example GmbH
1.OU = pumps
+serialNumber = 0815/47-11
CN = Pumpe Nord
[extensions]
subjectAltName = critical,@san
[san]
DNS.1 = Pump-1.example
URI.1 = urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6
IP.1 = 2001:db8::1
otherName.1 = 1.3.6.1.5.5.7.8.4;UTF8:hardware
dirName.1 = other
[other]
O = Other
CONF
openssl req -new -key "$work/dev.key" -config "$work/names.cnf" -out "$work/odd.csr" 2>"$work/err"
"$ESTCA" sign "$work/ca" --csr "$work/odd.csr" --out "$work/installed/dev.pem"
cp "$work/installed/dev.pem" "$work/odd.pem"
# names FILE: subject and SAN as DER has them, types and all
names() {
    openssl asn1parse -in "$1" | sed 's/^[^:]*://' | sed -n '/UTCTIME\|GENERALIZEDTIME/,/BIT STRING/p' | grep -v TIME |
        sed 's/.*d=//; /SEQUENCE *$/d; /BIT STRING/d'
    openssl asn1parse -in "$1" | grep -A 2 'X509v3 Subject Alternative Name' | sed 's/^[^:]*://; s/.*d=//'
}
ca_serve ca
estd_conf "$work/ca/root.pem"
check "a certificate with odd names is renewed" once dev
check_equal "the server compares the names byte for byte" 1 "$(requests 'op=simplereenroll status=200')"
check_equal "as openssl asn1parse shows them" "$(names "$work/odd.pem")" "$(names "$work/installed/dev.pem")"
check "types that are not those of the configuration" sh -c "openssl asn1parse -in '$work/installed/dev.pem' | grep -q 'PRINTABLESTRING   :Example GmbH'"
check "the purpose is the configured one" sh -c "openssl x509 -in '$work/installed/dev.pem' -noout -ext extendedKeyUsage | grep -q 'TLS Web Client Authentication'"
sed -i 's|^subject = .*|subject = /O=Example GmbH/CN=another|; s|^san = .*|san = DNS:another.example|' "$work/certs.d/dev.conf"
check "with other names in the configuration" once dev
check_equal "a renewal keeps those of the certificate" "$(names "$work/odd.pem")" "$(names "$work/installed/dev.pem")"
check "an enrolment has the new ones" enrolled dev
check_equal "all of them" "subject=CN=another,O=Example GmbH DNS:another.example" \
    "$(openssl x509 -in "$work/installed/dev.pem" -noout -subject -nameopt RFC2253 -ext subjectAltName | sed -n '1p; s/^ *\(DNS.*\)/\1/p' | paste -sd' ')"
ca_stop

# ---- CSR attributes ----

attributes() { # LINE...: of openssl's ASN1_generate_nconf(3), as base64
    printf '%s\n' 'asn1 = SEQUENCE:all' '[all]' "$@" >"$work/attributes.cnf"
    openssl asn1parse -genconf "$work/attributes.cnf" -noout -out "$work/attributes.der" && openssl base64 -A -in "$work/attributes.der"
}
usage=$(attributes 'a = SEQUENCE:attribute' '[attribute]' 'type = OID:extReq' 'values = SET:values' '[values]' 'v = SEQUENCE:extensions' \
    '[extensions]' 'e = SEQUENCE:extension' '[extension]' 'id = OID:keyUsage' 'critical = BOOLEAN:true' 'value = OCTWRAP,FORMAT:BITLIST,BITSTRING:0,4')
ca_serve ca --csrattrs "$usage"
estd_conf "$work/ca/root.pem"
check "the server wants an extension" enrolled dev
check "and gets it" sh -c "openssl x509 -in '$work/installed/dev.pem' -noout -ext keyUsage | grep -q 'Digital Signature, Key Agreement'"
check "as well as what is configured" sh -c "openssl x509 -in '$work/installed/dev.pem' -noout -ext subjectAltName | grep -q another.example"
ca_stop
ca_serve ca --csrattrs "$(attributes 'a = SEQUENCE:key' '[key]' 'type = OID:id-ecPublicKey' 'values = SET:curve' '[curve]' 'c = OID:secp384r1')"
estd_conf "$work/ca/root.pem"
check "the server wants another key" enrolled dev
check "which is told" grep -q 'secp384r1' "$work/once.err"
ca_stop
# The example of RFC 7030 4.5.2: challengePassword, a key on P-384, a serial number, a digest.
ca_serve ca --csrattrs MEEGCSqGSIb3DQEJBzASBgcqhkjOPQIBMQcGBSuBBAAiMBYGCSqGSIb3DQEJDjEJBgcrBgEBAQEWBggqhkjOPQQDAw==
estd_conf "$work/ca/root.pem"
check "the RFC's example" enrolled dev
check_equal "is followed as far as it can be" 1 "$(requests 'op=simpleenroll status=200 .*bound=tls-exporter')"
: >"$log"
estd_conf "$work/ca/root.pem" 'csrattrs = never'
check "never" enrolled dev
check_equal "does not even ask" 0 "$(requests 'op=csrattrs')"
ca_stop
for fault in garbage html status=500 wrong-type; do
    ca_serve ca --fault $fault --fault-op csrattrs --csrattrs "$usage"
    estd_conf "$work/ca/root.pem"
    check "attributes that cannot be read, $fault" enrolled dev
    check "are told, $fault" grep -q 'without CSR attributes, because https' "$work/once.err"
    estd_conf "$work/ca/root.pem" 'csrattrs = require'
    refused "and end it for who insists on them, $fault" "csrattrs" dev
    check_equal "before the server is asked for a certificate, $fault" 1 "$(requests op=simpleenroll)"
    ca_stop
done
ca_serve ca --fault status=404 --fault-op csrattrs
estd_conf "$work/ca/root.pem"
check "a server that has none" enrolled dev
check_equal "is nothing to tell" "" "$(cat "$work/once.err")"
estd_conf "$work/ca/root.pem" 'csrattrs = require'
refused "who insists on them wants them" "the server does not offer this" dev
ca_stop
ca_serve ca
estd_conf "$work/ca/root.pem" 'csrattrs = require'
check "an empty answer (204) is one" enrolled dev
ca_stop

# ---- what EST could do and estd does not ----

for op in serverkeygen fullcmc; do
    sed -i "s|^url = .*|url = https://localhost:$port/.well-known/est/$op|" "$work/est.conf"
    check_fails "$op" "$op is not supported" "$ESTD" -c "$work/est.conf" --check-config
done
finish
