#!/bin/sh
# What a certificate is for: clients, servers, or the CA that IoT Edge is to its modules. openssl reads the requests' result.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/estd.sh"
need openssl
ca_make ca --sub-ca
factory idevid ca
ca_serve ca --sub-ca
estd_conf "$work/ca/root.pem"
device() { # NAME LINE...: a certificate that the IDevID asks for, once in a certificate's life and always renewed
    name=$1
    shift
    cert_conf "$name" "$@" '[auth]' "key = $work/idevid.key" "cert = $work/idevid.pem" '[renew]' 'window = 1-1'
}
says() { # NAME: what openssl says of the extensions that a profile is about
    openssl x509 -in "$work/installed/$1.pem" -noout -ext basicConstraints,keyUsage,extendedKeyUsage,subjectAltName 2>/dev/null |
        sed 's/^ *//; s/ *$//' | paste -sd' '
}

# ---- client, server ----

device client
check "a client, which is the default" enrolled client
check_equal "is for TLS clients" "X509v3 Extended Key Usage: TLS Web Client Authentication X509v3 Basic Constraints: critical CA:FALSE" \
    "$(says client)"
device server 'profile = server' 'san = DNS:server.example'
check "a server" enrolled server
check_equal "is for TLS servers and signs" "X509v3 Key Usage: critical Digital Signature X509v3 Extended Key Usage: \
TLS Web Server Authentication X509v3 Subject Alternative Name: DNS:server.example X509v3 Basic Constraints: critical CA:FALSE" \
    "$(says server)"
device both 'profile = server' 'eku = serverAuth,clientAuth'
check "a server that is a client, too" enrolled both
check_equal "is for both" "X509v3 Key Usage: critical Digital Signature X509v3 Extended Key Usage: \
TLS Web Server Authentication, TLS Web Client Authentication X509v3 Basic Constraints: critical CA:FALSE" "$(says both)"
device wrong 'profile = root'
check_fails "a profile that is none" 'wrong.conf: [certificate] profile: "root" is none of: client, server, edge-ca' once wrong
rm "$work/certs.d/wrong.conf"

# ---- the CA of IoT Edge ----

edge="X509v3 Basic Constraints: critical CA:TRUE, pathlen:0 X509v3 Key Usage: critical Digital Signature, Certificate Sign, CRL Sign"
device edge 'profile = edge-ca'
check "an edge CA" enrolled edge
check_equal "is a CA for end entities" "$edge" "$(says edge)"
module() { # the edge CA certifies a module, as IoT Edge does
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/module.key" -subj /CN=module \
        -out "$work/module.csr" 2>/dev/null
    printf 'authorityKeyIdentifier = keyid:always\n' >"$work/module.ext"
    openssl x509 -req -in "$work/module.csr" -CA "$work/installed/edge.pem" -CAkey "$work/edge.key" -CAcreateserial -days 1 \
        -extfile "$work/module.ext" -out "$work/module.pem" 2>/dev/null
}
verified() { # FILE: with the edge CA's certificates in it alone
    openssl verify -CAfile "$work/ca/root.pem" -untrusted "$1" "$work/module.pem"
}
signer() { # what a verifier knows it by
    openssl x509 -in "$1" -noout -subject -issuer -pubkey -ext subjectKeyIdentifier
}
module
check "what it issues verifies" verified "$work/installed/edge.pem"
before=$(openssl x509 -in "$work/installed/edge.pem" -noout -serial)
cp "$work/installed/edge.pem" "$work/edge.before.pem"
check "it is renewed" once edge
check_equal "by itself" 1 "$(requests 'op=simplereenroll .*peer="CN=edge"')"
check "to another certificate" test "$before" != "$(openssl x509 -in "$work/installed/edge.pem" -noout -serial)"
check_equal "for the same" "$edge" "$(says edge)"
check_equal "by the same name and key" "$(signer "$work/edge.before.pem")" "$(signer "$work/installed/edge.pem")"
check "what it issued before verifies still, by the renewed one alone" verified "$work/installed/edge.pem"
check "and by the old one, which modules send with it" verified "$work/edge.before.pem"
ca_stop

# ---- a CA where none was asked for, and none where one was ----

ca_serve ca --fault ca-true
estd_conf "$work/ca/root.pem"
refused "a client is no CA" "is that of a CA (CA:TRUE), which was not asked for" client
refused "a server neither" "is that of a CA (CA:TRUE), which was not asked for" server
ca_stop
ca_serve ca
estd_conf "$work/ca/root.pem"
refused "a CA that the server does not allow" "is not that of a CA (no CA:TRUE), which the profile asks for" edge
ca_stop
ca_make short
ca_serve short --sub-ca --client-ca "$work/ca/root.pem"
estd_conf "$work/short/root.pem"
refused "a CA below one that may have none" 'may have no CA below it (its path length is 0)' edge
finish
