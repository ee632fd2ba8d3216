#!/bin/sh
# A CA for development: device identities as IEEE 802.1AR has them and EST servers, judged by openssl.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need openssl
ca=$work/ca

# says LINE COMMAND...: the command succeeds, and tells its user LINE.
says() {
    line=$1
    shift
    "$@" >"$work/said" 2>&1 && grep -qF -- "$line" "$work/said" && return
    cat "$work/said"
    return 1
}

# ---- made once ----

check "a CA is made, and says what it is for" says 'a CA for development, with its keys in files: rely on it for nothing else' "$T2C" ca init "$ca"
check_equal "its keys are its owner's alone" "700 ca
600 issuing.key
600 root.key" "$(cd "$work" && stat -c '%a %n' ca && cd ca && stat -c '%a %n' ./*.key | sed 's,\./,,')"
check "openssl verifies it as a CA that never ends" sh -c "openssl verify -x509_strict -purpose any -CAfile '$ca/root.pem' '$ca/issuing.pem' &&
    openssl x509 -in '$ca/root.pem' -noout -enddate | grep -qF 'Dec 31 23:59:59 9999'"
check_equal "every issuer says that it is for development" \
    "subject=O = tpm2cloud, OU = for development only, CN = tpm2cloud issuing CA" "$(openssl x509 -in "$ca/issuing.pem" -noout -subject -nameopt oneline)"
check_equal "which issues no other CA" "CA:TRUE, pathlen:0" "$(openssl x509 -in "$ca/issuing.pem" -noout -ext basicConstraints | sed -n 's/^ *CA/CA/p')"
check_equal "its key is of P-256" "prime256v1" "$(openssl pkey -in "$ca/issuing.key" -noout -text | sed -n 's/^ASN1 OID: //p')"
before=$(cd "$ca" && sha256sum ./*)
check "again: it stays, and that is said" says 'this CA was there before, and is unchanged' "$T2C" ca init "$ca"
check "the same by its name and algorithm" "$T2C" ca init "$ca" --name tpm2cloud --alg ec-p256
check_fails "another name is another CA" 'has another CA, "O = tpm2cloud, OU = for development only, CN = tpm2cloud root CA", and stays as it is' "$T2C" ca init "$ca" --name factory
check_fails "another algorithm, too" "whose keys are not rsa-2048, and stays as it is" "$T2C" ca init "$ca" --alg rsa-2048
check_equal "nothing was written" "$before" "$(cd "$ca" && sha256sum ./*)"
"$T2C" ca init "$ca" --json >"$work/json"
check "for programs" grep -qF '{"directory": "'"$ca"'", "made": false, "root": {"subject": "O = tpm2cloud' "$work/json"
check "one of RSA, by its name, where no directory was" "$T2C" ca init "$work/new/rsa" --name Factory --alg rsa-2048
check "openssl verifies it" openssl verify -x509_strict -CAfile "$work/new/rsa/root.pem" "$work/new/rsa/issuing.pem"
for lost in "root.pem issuing.key issuing.pem" "issuing.key issuing.pem" issuing.pem; do
    half=$work/half.${lost%% *}
    cp -r "$ca" "$half"
    # shellcheck disable=SC2086
    (cd "$half" && rm $lost && touch .issuing.key.AbCdEf)
    check "one that lost its maker before $lost is finished" "$T2C" ca init "$half"
    check_equal "with what was there, and nothing else" "issuing.key issuing.pem root.key root.pem" "$(cd "$half" && cmp root.key "$ca/root.key" && find . -type f -printf '%P\n' | sort | paste -sd' ')"
    check "openssl verifies it" openssl verify -x509_strict -CAfile "$half/root.pem" "$half/issuing.pem"
done
rm "$half/root.key"
check "the root's key may lie elsewhere" "$T2C" ca init "$half"
rm "$half/root.pem"
check_fails "its certificate not" "has an issuing CA, but its root.pem is gone: bring it back" "$T2C" ca init "$half"
check_fails "an algorithm that is none" "--alg rsa-1024 is none of ec-p256," "$T2C" ca init "$work/none" --alg rsa-1024
cp "$ca/issuing.pem" "$work/new/rsa/issuing.pem"
check_fails "a CA with another's certificate" "is damaged: issuing.pem certifies another key than issuing.key" "$T2C" ca init "$work/new/rsa"

# ---- requests of others' making ----

request() { # NAME SUBJECT [ARGUMENTS of openssl req]...
    name=$1 subject=$2
    shift 2
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/$name.key" -subj "$subject" -out "$work/$name.csr" "$@" 2>/dev/null
}
sign() { # NAME PROFILE ARGUMENTS...
    name=$1 profile=$2
    shift 2
    "$T2C" ca sign "$ca" --csr "$work/$name.csr" --profile "$profile" --out "$work/$name.crt" "$@"
}
verify() { # NAME ARGUMENTS of openssl verify
    name=$1
    shift
    openssl verify -x509_strict -CAfile "$ca/root.pem" -untrusted "$work/$name.crt" "$@" "$work/$name.crt"
}
shown() { # NAME: extensions as openssl has them, in one line each
    openssl x509 -in "$work/$1.crt" -noout -ext basicConstraints,keyUsage,extendedKeyUsage,subjectAltName 2>/dev/null |
        sed 's/^X509v3 //; s/ *$//' | awk '/^ / { sub(/^ */, ""); print; next } { printf "%s ", $0 }'
}

# ---- an IDevID ----

request idevid /O=Maker/CN=gateway-7
check "an IDevID" sign idevid idevid --serial-number SN-0042
check "openssl verifies it, as of a client of TLS" verify idevid -purpose sslclient
check_equal "its owner's name, with the product's serial number" "subject=O = Maker, CN = gateway-7, serialNumber = SN-0042" \
    "$(openssl x509 -in "$work/idevid.crt" -noout -subject -nameopt oneline)"
before=$(cat "$work/idevid.crt")
check "an identity for life is given once" says 'idevid.crt has that certificate already, and keeps it' sign idevid idevid --serial-number SN-0042
check_equal "so it is the same" "$before" "$(cat "$work/idevid.crt")"
at=$(openssl asn1parse -in "$work/idevid.crt" | sed -n '/X509v3 Subject Alternative Name/{n;s/^ *\([0-9]*\):.*/\1/p}')
check "whose end is the one of 802.1AR" sh -c "openssl asn1parse -in '$work/idevid.crt' | grep -q 'GENERALIZEDTIME *:99991231235959Z'"
check_equal "uses and nothing more" "Basic Constraints: critical CA:FALSE
Key Usage: critical Digital Signature" "$(shown idevid | grep -v Alternative)"
san() { # DER of the names of the IDevID
    openssl asn1parse -in "$work/idevid.crt" -strparse "$at" -noout -out "$work/san" && od -An -v -tx1 "$work/san" | tr -d ' \n'
}
# [0] { 1.3.6.1.5.5.7.8.4, [0] { { 2.23.133.1.2, "SN-0042" } } }
check_equal "a HardwareModuleName: a TPM 2.0, and that number" 3020a01e06082b06010505070804a0123010060567810501020407534e2d30303432 "$(san)"
sign idevid idevid --serial-number SN-0042 --hardware-type 1.3.6.1.4.1.99999.7 --hardware-serial board-9
openssl asn1parse -in "$work/idevid.crt" -strparse "$at" >"$work/san"
check "of another type and number" sh -c "grep -q ':1.3.6.1.4.1.99999.7' '$work/san' && grep -q 'OCTET STRING *:board-9' '$work/san'"
request own /CN=gateway-8/serialNumber=SN-0043
check "a serial number that the request has" sign own idevid
check "and the same twice" sign own idevid --serial-number SN-0043
check_fails "another one" "the subject has another serialNumber than --serial-number SN-1" sign own idevid --serial-number SN-1
check_fails "an IDevID without" "an idevid certificate has the product's serial number in its subject (IEEE 802.1AR)" sign idevid idevid
check_fails "one that ends" "--days: an idevid certificate never expires" sign idevid idevid --serial-number 1 --days 3
check_fails "a type that is none" "--hardware-type board is no OID" sign idevid idevid --serial-number 1 --hardware-type board

# ---- an LDevID ----

request ldevid /CN=device-1 -addext subjectAltName=DNS:device-1.example -addext extendedKeyUsage=clientAuth
check "an LDevID" sign ldevid ldevid
check "openssl verifies it, as of a client of TLS" verify ldevid -purpose sslclient
check "and not of a server" sh -c "! openssl verify -CAfile '$ca/root.pem' -untrusted '$work/ldevid.crt' -purpose sslserver '$work/ldevid.crt'"
check_equal "with its names and uses" "Basic Constraints: critical CA:FALSE
Key Usage: critical Digital Signature
Extended Key Usage: TLS Web Client Authentication
Subject Alternative Name: DNS:device-1.example" "$(shown ldevid)"
check "for a year" sh -c "openssl x509 -in '$work/ldevid.crt' -noout -checkend 31449600 && ! openssl x509 -in '$work/ldevid.crt' -noout -checkend 31622400"
check "for two days" sign ldevid ldevid --days 2
check "which it is" sh -c "openssl x509 -in '$work/ldevid.crt' -noout -checkend 172000 && ! openssl x509 -in '$work/ldevid.crt' -noout -checkend 173000"
first=$(openssl x509 -in "$work/ldevid.crt" -noout -serial)
sign ldevid ldevid
check "its serial number is of 16 bytes" sh -c "openssl x509 -in '$work/ldevid.crt' -noout -serial | grep -qE '^serial=[4-7][0-9A-F]{31}$'"
check "and another each time" test "$first" != "$(openssl x509 -in "$work/ldevid.crt" -noout -serial)"
sign ldevid ldevid --json >"$work/json"
check "for programs" grep -qF '{"out": "'"$work/ldevid.crt"'", "chain": [' "$work/json"
check "with both certificates" test "$(grep -c '"not_after_s":' "$work/json")" = 2
check "from standard input, in DER, to standard output" sh -c "openssl req -in '$work/ldevid.csr' -outform DER |
    '$T2C' ca sign '$ca' --csr - --profile ldevid | openssl verify -CAfile '$ca/root.pem' -untrusted '$ca/issuing.pem'"

check "with a HardwareModuleName beside a name of its operator" sign ldevid ldevid --hardware-serial board-9 --san DNS:b.example
check_equal "one of each" "DNS:b.example,othername:" "$(openssl x509 -in "$work/ldevid.crt" -noout -ext subjectAltName | tr ',' '\n' |
    sed -n 's/.*\(DNS:.*\)/\1/p; s/.*\(othername:\).*/\1/p' | sort | paste -sd,)"

# ---- an EST server ----

request server /CN=est.example -addext subjectAltName=DNS:est.example,IP:127.0.0.1
check "an EST server" sign server est-server
check "openssl verifies it, as of a server, by each name" sh -c "openssl verify -x509_strict -CAfile '$ca/root.pem' -untrusted '$work/server.crt' -purpose sslserver -verify_hostname est.example '$work/server.crt' &&
    openssl verify -CAfile '$ca/root.pem' -untrusted '$work/server.crt' -purpose sslserver -verify_ip 127.0.0.1 '$work/server.crt'"
check_equal "with its names and uses" "Basic Constraints: critical CA:FALSE
Key Usage: critical Digital Signature
Extended Key Usage: TLS Web Server Authentication
Subject Alternative Name: DNS:est.example, IP Address:127.0.0.1" "$(shown server)"
check "by names of its operator, who is told what became of the others" says 'and it is left out: subjectAltName' sign server est-server --san DNS:localhost,IP:::1 --cmc-ra
check_equal "and for clients that know it by its role (RFC 7030 3.6.1)" "Extended Key Usage: TLS Web Server Authentication, CMC Registration Authority
Subject Alternative Name: DNS:localhost, IP Address:0:0:0:0:0:0:0:1" "$(shown server | tail -n 2 | sed 's/1.3.6.1.5.5.7.3.28/CMC Registration Authority/')"
request nameless /CN=est.example
check_fails "a server without a name" "needs the names that its clients use: give them as --san" sign nameless est-server

# ---- what is asked for beyond a profile ----

request wild /CN=x -addext 'subjectAltName=DNS:*.example'
check_fails "a wildcard" "the name DNS:*.example is refused: an est-server certificate has DNS names without wildcards, and IP addresses" sign wild est-server
request mail /CN=x -addext subjectAltName=email:root@example.org
check_fails "a mail address" "the name email:root@example.org is refused" sign mail ldevid
check_fails "a host's name for an IDevID" "is refused: an idevid certificate has no name but its HardwareModuleName" sign server idevid --serial-number 1
request sub /CN=x -addext basicConstraints=critical,CA:TRUE -addext keyUsage=keyCertSign
check_fails "a CA" "the request is one for a CA certificate, which no profile issues" sign sub ldevid
check_equal "nothing was written for them" "" "$(ls "$work"/wild.crt "$work"/mail.crt "$work"/sub.crt 2>/dev/null)"
request more /CN=x -addext keyUsage=keyCertSign,digitalSignature -addext extendedKeyUsage=codeSigning -addext 1.2.3.4=DER:0500
check "uses that it does not have are left out, and named" says 'and it is left out: keyUsage, extendedKeyUsage, 1.2.3.4' sign more ldevid
check_equal "so that they are not there" "Basic Constraints: critical CA:FALSE
Key Usage: critical Digital Signature
Extended Key Usage: TLS Web Client Authentication" "$(shown more)"
check "nor what is unknown" sh -c "! openssl x509 -in '$work/more.crt' -noout -text | grep -qF 1.2.3.4"
check_fails "an empty subject" "the request has an empty subject; give one: --subject" sh -c "openssl req -new -key '$work/more.key' -subj / -out '$work/empty.csr' && '$T2C' ca sign '$ca' --csr '$work/empty.csr' --profile ldevid"
check "a subject of its operator" sh -c "'$T2C' ca sign '$ca' --csr '$work/empty.csr' --profile ldevid --subject /CN=named | openssl x509 -noout -subject -nameopt oneline | grep -q 'CN = named'"
openssl req -in "$work/more.csr" -outform DER -out "$work/more.der"
size=$(wc -c <"$work/more.der")
{ head -c $((size - 1)) "$work/more.der" && printf '\377'; } >"$work/forged.csr"
check_fails "a request that another key signed" "the request is not signed by the key that it names" sign forged ldevid
openssl req -new -newkey rsa:1024 -nodes -keyout "$work/weak.key" -subj /CN=x -out "$work/weak.csr" 2>/dev/null
check_fails "a weak key" "the request's key is refused: RSA with 1024 bits" sign weak ldevid
check_fails "no request" "holds no request (PKCS#10) as PEM or DER" "$T2C" ca sign "$ca" --csr "$work/idevid.crt" --profile ldevid
check_fails "no CA" "holds no CA; make one: tpm2cloud ca init" "$T2C" ca sign "$work/none" --csr "$work/more.csr" --profile ldevid
check_fails "no such profile" "--profile root is unknown; it is idevid, ldevid or est-server" sign more root
chmod 644 "$ca/issuing.key"
check_fails "a key that others can read" "is open to other users" sign more ldevid
finish
