#!/bin/sh
# TLS by openssl and curl with a TPM key, by URI and by the PEM file that stands for it: versions and groups. Other programs are
# in story_servers.sh and story_clients.sh.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/servers.sh"
need swtpm openssl curl tpm2_create
pki_make

# server_start ARGUMENTS...: openssl s_server with a software key; sets $port.
port_of() { # LOG
    sed -n 's/^ACCEPT .*:\([0-9]*\)$/\1/p' "$1"
}
server_start() {
    : >"$work/server.log"
    in_background openssl s_server -accept 127.0.0.1:0 -cert "$work/pki/server.pem" -key "$work/pki/server.key" \
        -cert_chain "$work/pki/ca.pem" -www "$@" >"$work/server.log" 2>&1
    wait_for 10 grep -q '^ACCEPT' "$work/server.log" || return 1
    port=$(port_of "$work/server.log")
}
s_client() { # NAME HOW
    "$2" s_client -connect "127.0.0.1:$port" -key "tpm2cloud:$1" -cert "tpm2cloud:$1" -cert_chain "$work/pki/ca.pem" \
        -CAfile "$work/pki/root.pem" -verify_return_error -brief </dev/null 2>&1 | grep -q 'Verification: OK'
}
curl_file() { # NAME
    [ "$(with_conf curl -sS -o "$work/page" \
        -w '%{http_code}' --cacert "$work/pki/root.pem" --cert "$work/$1.crt" --key "$work/$1.key" \
        "https://127.0.0.1:$port/")" = 200 ] && grep -q "Subject:.*CN *= *$1" "$work/page"
}
clients() { # ALGORITHM
    for version in tls1_2 tls1_3; do
        for groups in P-256 P-256:X25519; do
            server_start -$version -groups $groups -Verify 5 -CAfile "$work/pki/root.pem" -verify_return_error
            for name in ldevid idevid; do
                check "$1 $name: s_client by URI, $version, server with $groups" s_client $name ssl
                check "$1 $name: and by OPENSSL_CONF, $version, server with $groups" s_client $name conf_ssl
                check "$1 $name: curl with the wrapped key, $version, server with $groups" curl_file $name
            done
            server_stop
        done
    done
}

# TPM keys on the server's side.
s_server() { # VERSION, then what runs openssl
    version=$1
    shift
    : >"$work/tpm-server.log"
    in_background "$@" -accept 127.0.0.1:0 -key tpm2cloud:ldevid -cert tpm2cloud:ldevid -cert_chain "$work/pki/ca.pem" \
        "-$version" -www >"$work/tpm-server.log" 2>&1
}
s_servers() { # ALGORITHM
    for version in tls1_2 tls1_3 conf; do
        if [ $version = conf ]; then
            s_server tls1_3 env OPENSSL_CONF="$srcdir/packaging/openssl.cnf" openssl s_server
        else
            s_server $version openssl s_server -provider default -provider tpm2cloud
        fi
        wait_for 10 grep -q '^ACCEPT' "$work/tpm-server.log"
        port=$(port_of "$work/tpm-server.log")
        check "$1: s_server, $version" get
        server_stop
    done
}

# What older peers want, and what a key with a scheme of its own cannot do.
s_client_says() { # WHAT ARGUMENTS...
    wanted=$1
    shift
    echo Q | openssl s_client -connect "127.0.0.1:$port" -CAfile "$work/pki/root.pem" -cipher DEFAULT@SECLEVEL=0 -brief "$@" 2>&1 |
        grep -q "$wanted"
}
serve() { # ARGUMENTS...
    : >"$work/tpm-server.log"
    in_background openssl s_server -provider default -provider tpm2cloud -accept 127.0.0.1:0 -key tpm2cloud:ldevid \
        -cert tpm2cloud:ldevid -cert_chain "$work/pki/ca.pem" -cipher DEFAULT@SECLEVEL=0 -www "$@" >"$work/tpm-server.log" 2>&1
    wait_for 10 grep -q '^ACCEPT' "$work/tpm-server.log"
    port=$(port_of "$work/tpm-server.log")
}
older_peers() {
    serve -tls1_1
    check "TLS 1.1, whose RSA signatures are of MD5 and SHA-1 together" s_client_says "Verification: OK" -tls1_1
    server_stop
    tpm2_create -Q -C 0x81000001 -G rsa2048:rsassa-sha384 -u "$work/k.pub" -r "$work/k.priv" \
        -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign|noda'
    tpm2_load -Q -C 0x81000001 -u "$work/k.pub" -r "$work/k.priv" -c "$work/k.ctx"
    tpm2_flushcontext -t
    tpm2_evictcontrol -Q -C o -c 0x81000002
    tpm2_evictcontrol -Q -C o -c "$work/k.ctx" 0x81000002
    tpm2_flushcontext -t
    "$T2C" key pin ldevid --replace >/dev/null
    "$T2C" csr ldevid --subject /CN=localhost --san DNS:localhost --eku serverAuth --out "$work/fixed.csr"
    "$ESTCA" sign "$work/pki" --csr "$work/fixed.csr" --out "$work/fixed.crt"
    check "the certificate of a key with the scheme rsassa-sha384" "$T2C" cert import ldevid "$work/fixed.crt"
    serve -tls1_2 -sigalgs RSA+SHA256:RSA+SHA384:RSA+SHA512
    check "libssl takes the signature that such a key makes" s_client_says "Hash used: SHA384" -tls1_2
    server_stop
}
for algorithm in rsa-2048 ec-p256; do
    identities $algorithm
    clients $algorithm
    s_servers $algorithm
    tpm_clean "$algorithm"
    [ $algorithm = ec-p256 ] || older_peers
    [ $algorithm = ec-p256 ] || tpm_stop
done
finish
