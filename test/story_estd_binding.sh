#!/bin/sh
# A request that is tied to its TLS connection (RFC 7030 3.5, RFC 9266) cannot be sent on by who sits between. estd ties its
# requests when the server wants that, both versions of TLS; who checks it: estca, a server of Python's, openssl s_client.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/estd.sh"
need openssl curl nginx swtpm tpm2_getcap
python=/usr/bin/python3
need $python
ca_make ca
echo secret >"$work/password"
cert_conf dev '[auth]' 'user = dev' "password_file = $work/password"

# serve ARGUMENTS...: estca with a password
serve() {
    ca_serve ca --auth basic --user dev:secret "$@"
}
# mode CHANNEL_BINDING
mode() {
    estd_conf "$work/ca/root.pem" "channel_binding = $1"
}

# ---- by the server's version of TLS ----

for version in 1.2 1.3; do
    serve --tls $version --binding require
    mode always
    check "TLS $version: a request that is always tied to its connection" enrolled dev
    check_equal "TLS $version: estca found the binding" "1 1" \
        "$(requests 'op=simpleenroll ') $(requests "op=simpleenroll status=200 .*bound=$([ $version = 1.2 ] && echo tls-unique || echo tls-exporter)")"
    mode auto
    check "TLS $version: estd learns from a refusal that the server wants it" enrolled dev
    check_equal "TLS $version: by one refusal, over the same connection" "401 200" \
        "$(grep 'op=simpleenroll' "$log" | tail -n 2 | sed 's/.*status=\([0-9]*\).*/\1/' | tr '\n' ' ' | sed 's/ $//')"
    check_equal "TLS $version: one connection without an identity, one with" 2 \
        "$(tail -n 4 "$log" | sed 's/.*conn=\([0-9]*\).*/\1/' | sort -u | wc -l)"
    mode never
    : >"$log"
    refused "TLS $version: never" 'set channel_binding = auto in' dev
    check_equal "TLS $version: and it is not tried again" 1 "$(requests 'op=simpleenroll')"
    ca_stop
done

# ---- when the server says so before ----

challenge_password=MAsGCSqGSIb3DQEJBw==
serve --tls 1.3 --binding require --csrattrs $challenge_password
mode auto
check "the CSR attributes ask for it" enrolled dev
check_equal "so that the first request is tied" "1 1" \
    "$(requests 'op=simpleenroll') $(requests 'op=simpleenroll status=200 .*bound=tls-exporter')"
printf '[renew]\nwindow = 1-1\n' >>"$work/certs.d/dev.conf"
check "and the renewal" once dev
check_equal "by the certificate itself" 1 "$(requests 'op=simplereenroll status=200 .*peer="CN=dev".*bound=tls-exporter')"
ca_stop
serve
mode auto
check "a server that does not ask gets a request for any connection" enrolled dev
check_equal "unbound" "1 0" "$(requests 'op=simpleenroll status=200') $(requests 'bound=')"
ca_stop

# RFC 7894: estIdentityLinking in place of the password
openssl asn1parse -genstr 'SEQUENCE:a' -genconf /dev/stdin -noout -out "$work/linking" <<'END_ASN1'
asn1 = SEQUENCE:a
[a]
o = OID:1.2.840.113549.1.9.16.2.58
END_ASN1
serve --tls 1.3 --binding require --csrattrs "$(openssl base64 -A -in "$work/linking")"
mode auto
check "estIdentityLinking" enrolled dev
check_equal "is tied as well" 1 "$(requests 'op=simpleenroll status=200 .*bound=tls-exporter')"
ca_stop

# ---- by a certificate ----

factory idevid ca
cert_conf mtls '[auth]' "key = $work/idevid.key" "cert = $work/idevid.pem"
for options in '--tls 1.2 --renegotiation' '--tls 1.3' '--tls 1.3 --tickets' '--tls 1.3 --client-cert-late'; do
    # shellcheck disable=SC2086
    ca_serve ca --binding require $options
    mode auto
    check "by a certificate, $options" enrolled mtls
    check_equal "by a certificate, $options: refused once, then tied, over one connection" '401,200 1' \
        "$(sed -n 's/.*op=simpleenroll status=\([0-9]*\).*/\1/p' "$log" | paste -sd,) $(sed -n 's/.*op=simpleenroll .* conn=\([0-9]*\) .*/\1/p' "$log" | sort -u | wc -l)"
    ca_stop
done

# ---- by keys in the TPM ----

# The server knows the root of the factory alone, so the IDevID's chain must come from the TPM, too.
tpm_start
ca_make factory
for name in idevid dev-tpm; do
    "$T2C" key create $name >/dev/null
done
"$T2C" csr idevid --subject /CN=factory-device --out "$work/idevid-tpm.csr"
"$ESTCA" sign "$work/factory" --csr "$work/idevid-tpm.csr" --out "$work/idevid-tpm.pem"
check "an IDevID in the TPM" "$T2C" cert import idevid "$work/idevid-tpm.pem"
cert_conf tpm '[auth]' 'key = tpm2cloud:idevid' 'cert = tpm2cloud:idevid' '[renew]' 'window = 1-1'
sed -i 's|^key = /.*|key = tpm2cloud:dev-tpm|' "$work/certs.d/tpm.conf"
ca_serve ca --binding require --client-ca "$work/factory/root.pem"
mode always
check "enrols a key in the TPM" once tpm
check "which renews its certificate" once tpm
check_equal "both by requests that are tied to their connection" \
    'simpleenroll peer="CN=factory-device" tls-exporter,simplereenroll peer="CN=tpm" tls-exporter' \
    "$(sed -n 's/.*op=\(simple[a-z]*\) .*\(peer="[^"]*"\).*bound=\([a-z-]*\).*/\1 \2 \3/p' "$log" | paste -sd,)"
tpm_clean "after that"
ca_stop

# ---- a challenge in between, which libcurl answers with the request once more ----

ca_serve ca --auth digest --user dev:secret --binding require --tls 1.2
cert_conf dig '[auth]' 'user = dev' "password_file = $work/password" 'method = digest'
mode always
check "Digest" enrolled dig
check_equal "with a request tied to the connection that carried it" 1 \
    "$(requests 'op=simpleenroll status=200 auth=digest .*bound=tls-unique')"
ca_stop
ca_serve ca --auth digest --user dev:secret --binding require --fault hang-up@1
mode always
check "Digest, and the server hangs up in between" enrolled dig
ca_stop

# ---- where it cannot be done ----

serve --tls 1.2 --no-ems --binding require
mode always
refused "TLS 1.2 without extended master secret" "without extended master secret (RFC 7627)" dev
check_equal "sends nothing" 0 "$(requests 'op=simpleenroll')"
ca_stop

# ---- who sits between ----

serve --binding check
tls_port=$port port=$($python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
cat >"$work/nginx.conf" <<CONF
daemon off; worker_processes 1; pid $work/nginx.pid; error_log $work/nginx.log;
events {}
http {
    access_log off;
    client_body_temp_path $work/n1; proxy_temp_path $work/n2; fastcgi_temp_path $work/n3; uwsgi_temp_path $work/n4;
    scgi_temp_path $work/n5;
    server {
        listen 127.0.0.1:$port ssl;
        ssl_certificate $work/ca/server.pem; ssl_certificate_key $work/ca/server.key;
        location / { proxy_pass https://127.0.0.1:$tls_port; }
    }
}
CONF
estca=$server
in_background nginx -p "$work" -c "$work/nginx.conf" 2>"$work/nginx.err"
wait_for 10 curl -s --cacert "$work/ca/root.pem" "https://localhost:$port/" || skip_all "nginx does not start"
mode always
refused "a proxy that ends TLS: the request is tied to the wrong connection" "Proof of Possession Mismatch" dev
mode never
check "which only 'never' lets through" enrolled dev
kill "$server" "$estca"

# ---- the numbers by others ----

rm -f "$work/py.port"
$python "$srcdir/test/est_unique.py" "$work/ca" "$ESTCA" "$work/py.port" "$work/py.log" 2>"$work/py.err" &
pids="$pids $!"
wait_for 10 test -s "$work/py.port" || skip_all "est_unique.py does not start: $(cat "$work/py.err")"
port=$(cat "$work/py.port")
mode always
check "Python's tls-unique is estd's" enrolled dev
mode auto
check "Python's server refuses a request that is not tied, then takes one that is" enrolled dev
check_equal "in that order" "cacerts 200,csrattrs 404,simpleenroll 401,simpleenroll 200" "$(tail -n 4 "$work/py.log" | paste -sd,)"

# openssl s_client sends a request with the exporter's value of its own connection; estca takes it, and no other.
serve --tls 1.3 --binding require
mkfifo "$work/talk"
openssl s_client -nocommands -connect "localhost:$port" -CAfile "$work/ca/root.pem" -keymatexport EXPORTER-Channel-Binding \
    -keymatexportlen 32 <"$work/talk" >"$work/talked" 2>&1 &
pids="$pids $!"
exec 3>"$work/talk"
wait_for 10 grep -q 'Keying material: [0-9A-F]' "$work/talked"
hex=$(sed -n 's/.*Keying material: //p' "$work/talked")
binding=$(printf '%s' "$hex" | $python -c 'import base64, sys; print(base64.b64encode(bytes.fromhex(sys.stdin.read())).decode())')
# post BINDING: an HTTP request
post() {
    printf '[req]\nprompt = no\ndistinguished_name = d\nattributes = a\n[d]\nCN = dev\n[a]\nchallengePassword = %s\n' "$1" >"$work/req.cnf"
    openssl req -new -config "$work/req.cnf" -key "$work/dev.key" -outform DER 2>/dev/null | openssl base64 >"$work/body"
    printf 'POST /.well-known/est/simpleenroll HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/pkcs10\r\n'
    printf 'Authorization: Basic %s\r\nContent-Length: %s\r\n\r\n' "$(printf dev:secret | openssl base64 -A)" "$(wc -c <"$work/body")"
    cat "$work/body"
}
post "$(printf '%s' "$binding" | tr 'A-Za-z' 'B-ZAb-za')" >&3
check "estca refuses another value" wait_for 10 grep -q 'op=simpleenroll status=401 .*Proof of Possession Mismatch' "$log"
post "$binding" >&3
check "openssl's tls-exporter is estca's" wait_for 10 grep -q 'op=simpleenroll status=200 .*bound=tls-exporter' "$log"
exec 3>&-
finish
