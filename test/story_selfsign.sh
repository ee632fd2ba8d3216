#!/bin/sh
# A key of the TPM certifies itself, asks for DNS names in requests, and is openssl's own CA: judged by openssl.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl tpm2_getcap
tpm_start
cert=$work/cert.pem
"$T2C" key create device --alg ec-p256 >/dev/null
"$T2C" key create ldevid --alg rsa-2048 >/dev/null
"$T2C" key pem device --out "$work/device.key" >/dev/null
selfsign() { # NAME ARGUMENTS...
    "$T2C" cert selfsign "$@" --out "$cert"
}
field() { # OPTION of openssl x509
    openssl x509 -in "$cert" -noout "$@" -nameopt oneline
}
extension() { # NAME
    field -ext "$1" | sed -n 's/^ \{4\}//p'
}
public() { # NAME: of the key that the TPM has, by its request
    "$T2C" csr "$1" --subject /CN=x | openssl req -noout -pubkey
}

# ---- as it should be ----

for name in device ldevid; do
    check "$name certifies itself" selfsign $name
    check "openssl verifies it by itself" openssl verify -CAfile "$cert" -check_ss_sig -purpose sslclient "$cert"
    check_equal "it is of the TPM's key" "$(public $name)" "$(field -pubkey)"
    check_equal "and has its name" "subject=CN = $name
issuer=CN = $name" "$(field -subject -issuer)"
done
check "it is for a year" sh -c "openssl x509 -in '$cert' -noout -checkend 31449600 && ! openssl x509 -in '$cert' -noout -checkend 31622400"
check_equal "for a client of TLS, and no CA" "CA:FALSE
Digital Signature
TLS Web Client Authentication" "$(for e in basicConstraints keyUsage extendedKeyUsage; do extension $e; done)"
check "with a subject, names, uses and an end" selfsign device --subject /O=Example/CN=device-7 --days 2 \
    --san DNS:device-7.example,DNS:localhost,IP:127.0.0.1 --eku serverAuth,clientAuth
check_equal "as it was told" "subject=O = Example, CN = device-7
DNS:device-7.example, DNS:localhost, IP Address:127.0.0.1
TLS Web Server Authentication, TLS Web Client Authentication" "$(field -subject; extension subjectAltName; extension extendedKeyUsage)"
check "which openssl finds by name" openssl verify -CAfile "$cert" -check_ss_sig -purpose sslserver -verify_hostname localhost "$cert"
check "and which ends then" sh -c "openssl x509 -in '$cert' -noout -checkend 172000 && ! openssl x509 -in '$cert' -noout -checkend 173000"
"$T2C" cert selfsign device --json >"$work/json"
check "for programs" grep -qF '{"out": null, "chain": [' "$work/json"
check "on standard output" sh -c "'$T2C' cert selfsign device | openssl x509 -noout -subject -nameopt oneline | grep -q 'CN = device'"
selfsign device
check "it is taken as the key's certificate" sh -c "'$T2C' cert import device '$cert' && '$T2C' cert verify device --trust '$cert'"
tpm_clean "a certificate was signed"

# ---- names in requests ----

check "a request with DNS names" "$T2C" csr device --subject /CN=device-7 --san DNS:device-7.example,DNS:localhost --out "$work/device.csr"
check "openssl verifies it" sh -c "openssl req -in '$work/device.csr' -noout -verify 2>&1 | grep -q 'OK'"
check "and finds the names" sh -c "openssl req -in '$work/device.csr' -noout -text | grep -q 'DNS:device-7.example, DNS:localhost\$'"
"$T2C" ca init "$work/ca" >/dev/null
check "the development CA certifies them" "$T2C" ca sign "$work/ca" --csr "$work/device.csr" --profile ldevid --out "$cert"
check "for that key" sh -c "'$T2C' cert import device '$cert' && '$T2C' cert verify device --trust '$work/ca/root.pem'"
"$T2C" key create idevid >/dev/null
"$T2C" csr idevid --subject /CN=gateway-7 --out "$work/idevid.csr"
check "an IDevID of it" "$T2C" ca sign "$work/ca" --csr "$work/idevid.csr" --profile idevid --serial-number SN-7 --out "$work/idevid.crt"
check "goes into the TPM, and verifies there" sh -c "'$T2C' cert import idevid '$work/idevid.crt' && '$T2C' cert verify idevid --trust '$work/ca/root.pem'"

# ---- openssl's own CA, whose key is in the TPM ----

"$T2C" key create subca >/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/top.key" -subj "/CN=top" -out "$work/top.pem" \
    -addext keyUsage=critical,keyCertSign 2>/dev/null
printf 'basicConstraints = critical,CA:TRUE,pathlen:0\nkeyUsage = critical,keyCertSign,cRLSign\n' >"$work/subca.ext"
"$T2C" csr subca --subject /CN=subca --out "$work/subca.csr"
openssl x509 -req -in "$work/subca.csr" -CA "$work/top.pem" -CAkey "$work/top.key" -extfile "$work/subca.ext" -out "$work/subca.pem" 2>/dev/null
cat >"$work/subca.conf" <<CONF
[ca]
default_ca = subca
[subca]
database = $work/index.txt
new_certs_dir = $work
rand_serial = yes
default_md = sha256
default_days = 30
policy = any
copy_extensions = copy
[any]
commonName = supplied
CONF
: >"$work/index.txt"
check "it issues" ssl ca -batch -notext -config "$work/subca.conf" -cert "$work/subca.pem" -keyfile tpm2cloud:subca -in "$work/device.csr" -out "$work/issued.pem"
check "what openssl verifies, with the names of the request" openssl verify -x509_strict -CAfile "$work/top.pem" -untrusted "$work/subca.pem" \
    -purpose sslclient -verify_hostname device-7.example "$work/issued.pem"
check "it revokes that" ssl ca -batch -config "$work/subca.conf" -cert "$work/subca.pem" -keyfile tpm2cloud:subca -revoke "$work/issued.pem"
check "it signs the list" ssl ca -batch -config "$work/subca.conf" -cert "$work/subca.pem" -keyfile tpm2cloud:subca -gencrl -crldays 1 -out "$work/subca.crl"
check_fails "so that the certificate is no longer valid" "certificate revoked" openssl verify -CAfile "$work/top.pem" -untrusted "$work/subca.pem" \
    -crl_check -CRLfile "$work/subca.crl" "$work/issued.pem"
tpm_clean "a CA signed"

# ---- as it should not be ----

check_fails "a key that is not there" "cannot open the key none" "$T2C" cert selfsign none
check_fails "a subject that is none" 'subject "device" must begin with /' selfsign device --subject device
check_fails "names that are none" "cannot make the extension subjectAltName" selfsign device --san device.example
check_fails "no days" "--days 0 is no number from 1 to 36500" selfsign device --days 0
check_fails "days that are none" "--days 1y is no number from 1 to 36500" selfsign device --days 1y
check_fails "a place that is not there" "cannot create a file in $work/none: No such file" "$T2C" cert selfsign device --out "$work/none/cert.pem"
finish
