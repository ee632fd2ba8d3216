#!/bin/sh
# Programs that speak TLS take a TPM key: by URI, and by the PEM file that stands for it.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl curl nginx /usr/bin/python3
"$ESTCA" init "$work/pki" >/dev/null

# identities ALGORITHM: a TPM whose ldevid and idevid have it, with certificates and wrapped key files.
identities() {
    tpm_start
    for name in ldevid idevid; do
        "$T2C" key create $name --alg "$1" >/dev/null
        "$T2C" csr $name --subject "/CN=$name" --san DNS:localhost,IP:127.0.0.1 --eku clientAuth,serverAuth \
            --out "$work/$name.csr"
        "$ESTCA" sign "$work/pki" --csr "$work/$name.csr" --out "$work/$name.crt"
        check "$1: certificate of $name" "$T2C" cert import $name "$work/$name.crt"
        "$T2C" key pem $name --out "$work/$name.key"
    done
}

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
server_stop() {
    kill "$server" && wait "$server" 2>/dev/null
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
get() { # a page from $port, verified
    [ "$(curl -sS -o "$work/page" -w '%{http_code}' --cacert "$work/pki/root.pem" "$@" "https://localhost:$port/")" = 200 ]
}
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

nginx_start() { # PORT
    cat >"$work/nginx.conf" <<END
user $(id -un);
daemon off; worker_processes 2; pid $work/nginx.pid; error_log $work/nginx.log;
env OPENSSL_CONF; env OPENSSL_MODULES; env TPM2CLOUD_TCTI; env TPM2CLOUD_CONF; env ASAN_OPTIONS; env LD_PRELOAD;
events {}
http {
    access_log off;
    client_body_temp_path $work/n1; proxy_temp_path $work/n2; fastcgi_temp_path $work/n3; uwsgi_temp_path $work/n4;
    scgi_temp_path $work/n5;
    server {
        listen 127.0.0.1:$1 ssl;
        ssl_certificate $work/ldevid.crt;
        ssl_certificate_key $work/ldevid.key;
        location / { return 200 "here"; }
    }
}
END
    in_background env OPENSSL_CONF="$srcdir/packaging/openssl.cnf" nginx -p "$work" -c "$work/nginx.conf" 2>"$work/nginx.err"
}
free_port() {
    /usr/bin/python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
nginx_serves() { # ALGORITHM
    port=$(free_port)
    nginx_start "$port"
    check "$1: nginx serves with the wrapped key" wait_for 5 get
    for i in 1 2 3 4; do
        check "$1: nginx, request $i" get
    done
    server_stop
    check_equal "$1: nginx logs no error" "" "$(cat "$work/nginx.log" "$work/nginx.err")"
}

load_in_python='
import ssl, sys
ssl.create_default_context().load_cert_chain(sys.argv[1], sys.argv[2])'
python() {
    with_conf /usr/bin/python3 -c "$load_in_python" "$@"
}
for algorithm in rsa-2048 ec-p256; do
    identities $algorithm
    clients $algorithm
    s_servers $algorithm
    nginx_serves $algorithm
    tpm_clean "$algorithm"
    [ $algorithm = ec-p256 ] || tpm_stop
done

check "python loads the wrapped key" python "$work/ldevid.crt" "$work/ldevid.key"
check_fails "python says that certificate and key differ" "key values mismatch" python "$work/idevid.crt" "$work/ldevid.key"
TPM2CLOUD_TCTI=swtpm:path=$work/nothing
rm "$work"/keys/*.record
check_fails "python fails when there is no TPM, and not for a missing file" "PEM lib" python "$work/ldevid.crt" "$work/ldevid.key"
TPM2CLOUD_TCTI=$TPM2TOOLS_TCTI
finish
