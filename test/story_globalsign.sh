#!/bin/sh
# estd at GlobalSign's EST server, which nobody here has written: enrolment by a password and by the factory's certificate,
# renewal with keys in files and in the TPM, and what that server refuses. It is built from its sources once, by Go.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl tpm2_getcap curl
peers=$srcdir/build/peers
[ -w "$srcdir" ] || [ -x "$peers/estserver" ] || peers=$work/peers
"$srcdir/test/globalsign/build" "$peers" >"$work/build.log" 2>&1
case $? in
0) ;;
77) skip_all "Go is not installed, and GlobalSign's EST server is not built" ;;
*) skip_all "GlobalSign's EST server cannot be built: $(tail -n 1 "$work/build.log")" ;;
esac

# port_of PID: where that process listens
port_of() {
    for socket in "/proc/$1/fd"/*; do
        inode=$(readlink "$socket" | sed -n 's/^socket:\[\(.*\)\]$/\1/p')
        hex=$(awk -v inode="$inode" '$4 == "0A" && $10 == inode { split($2, at, ":"); print at[2] }' /proc/net/tcp)
        [ -z "$hex" ] || printf '%d\n' "0x$hex"
    done
}
listens() {
    [ -n "$(port_of "$server")" ]
}
# gs_start [LINE...]: the server, with more lines of its configuration; its client CAs are the factory's and its own. Sets $port.
gs_start() {
    cat >"$work/gs.json" <<END
{
    $*
    "mock_ca": {"certificates": "$work/gs/chain.pem", "private_key": "$work/gs/ca.key"},
    "tls": {
        "listen_address": "127.0.0.1:0",
        "certificates": "$work/gs/server.pem", "private_key": "$work/gs/server.key",
        "client_cas": ["$work/factory/root.pem", "$work/gs/root.pem"]
    },
    "healthcheck_password": "xyzzy",
    "log_file": "$work/gs.log"
}
END
    "$peers/estserver" -config "$work/gs.json" 2>"$work/gs.err" &
    server=$!
    pids="$pids $server"
    wait_for 10 listens || skip_all "GlobalSign's EST server does not start: $(cat "$work/gs.err" "$work/gs.log")"
    port=$(port_of "$server")
}
gs_stop() {
    end_process "$server"
}
# configure NAME LABEL KEY SUBJECT [LINE...]: LABEL is empty or begins with a slash; the lines are those of [auth].
configure() {
    name=$1 label=$2 key=$3 subject=$4
    shift 4
    cat >"$work/estd.conf" <<END
[estd]
certs_d = $work/certs.d
state_dir = $work/state
certs_dir = $work/certs
socket = none
[defaults]
trust = $work/gs/root.pem
END
    {
        printf '[certificate]\nurl = https://localhost:%s/.well-known/est%s\n' "$port" "$label"
        printf 'key = %s\nsubject = %s\nsan = DNS:%s.example\n[auth]\n' "$key" "$subject" "$name"
        printf '%s\n' "$@"
        printf '[install]\nfile = %s\n' "$work/$name.pem"
    } >"$work/certs.d/$name.conf"
}
once() {
    "$ESTD" -c "$work/estd.conf" --once "$1"
}
serial() {
    openssl x509 -in "$1" -noout -serial
}
key_of() {
    openssl x509 -in "$1" -noout -pubkey
}
# refused NAME WHAT TEXT: the step fails with TEXT, and what is installed stays.
refused() {
    name=$1
    cp "$work/$name.pem" "$work/before.pem"
    check_fails "$2" "$3" once "$name"
    check "$2: what is installed stays" cmp "$work/before.pem" "$work/$name.pem"
}
# post OPERATION CSR CURL-ARGUMENTS...: the status that curl gets for a request
post() {
    operation=$1 csr=$2
    shift 2
    openssl req -in "$csr" -outform DER | openssl base64 >"$work/csr.b64"
    curl -sS --cacert "$work/gs/root.pem" -o "$work/said" -w '%{http_code}' -H 'Content-Type: application/pkcs10' \
        -H 'Content-Transfer-Encoding: base64' --data-binary "@$work/csr.b64" "$@" "https://localhost:$port/.well-known/est/$operation"
}

mkdir "$work/certs.d"
"$ESTCA" init "$work/factory" --name factory >/dev/null
"$ESTCA" init "$work/gs" --name GlobalSign >/dev/null
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/dev.key" 2>"$work/err"
echo xyzzy >"$work/password"
echo wrong >"$work/wrong"
gs_start

# ---- a key in a file, a password the first time
configure dev /password "$work/dev.key" "/O=Example/CN=dev-1" "user = healthcheck" "password_file = $work/wrong"
check_fails "a wrong password" "HTTP 401" once dev
check "nothing is installed then" test ! -e "$work/dev.pem"
configure dev /password "$work/dev.key" "/O=Example/CN=dev-1" "user = healthcheck" "password_file = $work/password"
check "enrolled by the password" once dev
check "openssl verifies it" openssl verify -purpose sslclient -CAfile "$work/gs/root.pem" -untrusted "$work/dev.pem" "$work/dev.pem"
check_equal "of the key" "$(openssl pkey -in "$work/dev.key" -pubout)" "$(key_of "$work/dev.pem")"
check_equal "with the SAN" "DNS:dev.example" "$(openssl x509 -in "$work/dev.pem" -noout -ext subjectAltName | tail -n 1 | tr -d ' ')"
first=$(serial "$work/dev.pem")
configure dev /a-label "$work/dev.key" "/O=Example/CN=dev-1"
check "renewed by itself, with a label" once dev
check "another certificate" test "$first" != "$(serial "$work/dev.pem")"
check_equal "of the same key" "$(openssl pkey -in "$work/dev.key" -pubout)" "$(key_of "$work/dev.pem")"
configure dev "" "$work/dev.key" "/O=Example/CN=another name"
check "renewed under the old names, though others are configured: the server refuses a change" once dev
check_equal "they are the old ones" "subject=CN=dev-1,O=Example" "$(openssl x509 -in "$work/dev.pem" -noout -subject -nameopt RFC2253)"

# ---- keys in the TPM: the IDevID of the factory, an LDevID by it, and that by itself
tpm_start
check "an IDevID in the TPM" "$T2C" key create idevid
"$T2C" csr idevid --subject /serialNumber=7/CN=pump --out "$work/idevid.csr"
"$ESTCA" sign "$work/factory" --csr "$work/idevid.csr" --not-after 99991231235959Z --out "$work/idevid.pem"
check "its certificate" "$T2C" cert import idevid "$work/idevid.pem"
check "an LDevID in the TPM" "$T2C" key create ldevid
configure ldevid "" tpm2cloud:ldevid "/CN=ldevid-7" "key = tpm2cloud:idevid" "cert = tpm2cloud:idevid"
check "enrolled by the factory's certificate" once ldevid
check "openssl verifies it" openssl verify -purpose sslclient -CAfile "$work/gs/root.pem" -untrusted "$work/ldevid.pem" \
    "$work/ldevid.pem"
first=$(serial "$work/ldevid.pem")
check "renewed by itself" once ldevid
check "another certificate" test "$first" != "$(serial "$work/ldevid.pem")"
check_equal "of the key in the TPM" "$("$T2C" key show ldevid | sed -n '/BEGIN/,$p')" "$(key_of "$work/ldevid.pem")"
tpm_clean "after an enrolment and a renewal"

# ---- a new key with each renewal
cp "$work/dev.key" "$work/turn.key"
for pair in "turn file:$work/turn.key" "pump tpm2cloud:pump"; do
    name=${pair%% *}
    configure "$name" "" "${pair#* }" "/CN=$name" "key = tpm2cloud:ldevid" "cert = $work/ldevid.pem"
    printf '[renew]\nrotate = yes\n' >>"$work/certs.d/$name.conf"
    check "$name: enrolled" once "$name"
    first=$(key_of "$work/$name.pem")
    check "$name: renewed with another key" once "$name"
    check "$name: it is another" test "$first" != "$(key_of "$work/$name.pem")"
    check_equal "$name: the certificate's" "$(key_of "$work/$name.pem")" \
        "$(ssl pkey -in "$work/certs/$name/current/key.pem" -pubout 2>"$work/err")"
done

# ---- what it refuses
openssl req -new -key "$work/dev.key" -subj "/O=Example/CN=dev-2" -addext subjectAltName=DNS:dev.example -out "$work/other.csr"
check_equal "the server refuses a renewal under another subject" 403 \
    "$(post simplereenroll "$work/other.csr" --cert "$work/dev.pem" --key "$work/dev.key")"
check_equal "and one without a client's certificate" 403 "$(post simplereenroll "$work/other.csr")"
# Its label triggererrors goes by the name. /cacerts is an error there as well, so that what is known must do.
configure dev /triggererrors "$work/dev.key" "/O=Example/CN=dev-1"
refused dev "an error of the CA" "HTTP 500: the server is busy or broken"
configure Forbidden /triggererrors "$work/dev.key" "/CN=Trigger Error Forbidden" "key = tpm2cloud:ldevid" "cert = $work/ldevid.pem"
check_fails "forbidden" "HTTP 403: the server does not let this client have this certificate" once Forbidden
check "nothing is installed then" test ! -e "$work/Forbidden.pem"
configure Deferred /triggererrors "$work/dev.key" "/CN=Trigger Error Deferred" "key = tpm2cloud:ldevid" "cert = $work/ldevid.pem"
mv "$work/certs.d" "$work/all" && mkdir "$work/certs.d" && mv "$work/all/Deferred.conf" "$work/certs.d"
"$ESTD" -c "$work/estd.conf" 2>"$work/estd.log" &
daemon=$!
pids="$pids $daemon"
check "deferred: it waits as long as the server says" wait_for 10 grep -q "HTTP 202.*the same request goes out again in 600 s" "$work/estd.log"
sleep 2
end_process "$daemon"
check_equal "and does not ask again before" 1 "$(grep -c "HTTP 202" "$work/estd.log")"
rm -r "$work/certs.d" && mv "$work/all" "$work/certs.d"

gs_stop
configure dev "" "$work/dev.key" "/O=Example/CN=dev-1"
refused dev "a server that is down" "no way to the server"
gs_start '"rate_limit": 1,'
configure dev "" "$work/dev.key" "/O=Example/CN=dev-1"
for _ in 1 2 3; do post simplereenroll "$work/other.csr" >/dev/null; done
refused dev "too many requests" "HTTP 429"
gs_stop
gs_start '"allowed_hosts": ["est.example"],'
configure dev "" "$work/dev.key" "/O=Example/CN=dev-1"
refused dev "a host name that the server does not serve" "HTTP 4"
gs_stop
mv "$work/gs/root.pem" "$work/root.pem"
cp "$work/factory/root.pem" "$work/gs/root.pem" # what the server knows clients by
gs_start
mv "$work/root.pem" "$work/gs/root.pem"
configure dev "" "$work/dev.key" "/O=Example/CN=dev-1"
refused dev "a certificate whose CA the server does not know" "the server refuses the client's certificate"
gs_stop
finish
