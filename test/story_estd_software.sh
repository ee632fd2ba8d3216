#!/bin/sh
# estd with software keys against the test CA, as a user would run it: first enrolment, renewal, the daemon, and all
# that can go wrong on the way. Needs $ESTD and $ESTCA, the two programs; prints TAP.
# Every wrong turn must end with its own message, a non-zero exit and the old certificate untouched.
set -u

BUILD=${BUILD:-.}
ESTD=${ESTD:-$BUILD/estd/estd}
ESTCA=${ESTCA:-$BUILD/estca}
case $ESTD in /*) ;; *) ESTD=$PWD/$ESTD ;; esac
case $ESTCA in /*) ;; *) ESTCA=$PWD/$ESTCA ;; esac
for program in "$ESTD" "$ESTCA"; do
    [ -x "$program" ] || { echo "1..0 # SKIP $program is not built"; exit 0; }
done

dir=$(mktemp -d "${TMPDIR:-/tmp}/estd-story.XXXXXX") || exit 99
pids=
mounted=
clean_up() {
    for pid in $pids; do
        # A number may be another process's by now.
        grep -qs "^PPid:[[:space:]]*$$\$" "/proc/$pid/status" && kill "$pid" && wait "$pid" 2>/dev/null
    done
    [ -z "$mounted" ] || umount "$mounted"
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'exit 99' HUP INT TERM
cd "$dir" || exit 99
unset TPM2CLOUD_ESTD_CONF TPM2CLOUD_CONF JOURNAL_STREAM NOTIFY_SOCKET OPENSSL_MODULES OPENSSL_CONF

count=0
failed=0
# ok CONDITION-STATUS TEXT [FILE]: a test point; the file explains a failure
ok() {
    count=$((count + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $count - $2"
        return
    fi
    failed=$((failed + 1))
    echo "not ok $count - $2"
    [ -z "${3:-}" ] || sed 's/^/# /' "$3"
}
skip() {
    count=$((count + 1))
    echo "ok $count - $1 # SKIP $2"
}

server=
port=
# start_server NAME OPTION...: the CA in the directory NAME, on a port that the kernel chooses
start_server() {
    ca=$1
    shift
    rm -f port
    "$ESTCA" serve "$ca" --port 0 --port-file port --log ca.log "$@" >server.out 2>&1 &
    server=$!
    pids="$pids $server"
    tries=0
    while [ ! -s port ] && [ $tries -lt 100 ]; do
        sleep 0.05
        tries=$((tries + 1))
    done
    port=$(cat port)
}
stop_server() {
    kill "$server" && wait "$server"
    server=
}

# configure HOST TRUST PORT: estd.conf
configure() {
    cat >estd.conf <<END
[estd]
certs_d = $dir/certs.d
state_dir = $dir/state
socket = $dir/estd.sock
[defaults]
url = https://$1:$3/.well-known/est
trust = $dir/$2
END
}

# once NAME: a step; its output in out and err, its exit in status
once() {
    "$ESTD" -c estd.conf --once "$1" >out 2>err
    status=$?
}

same_key() {
    openssl x509 -in "$1" -noout -pubkey >seen.pub 2>/dev/null && cmp -s seen.pub "$2"
}

# refused TEXT MESSAGE: the last step failed as it should, and the certificate is the old one
refused() {
    [ "$status" -eq 1 ] && [ ! -s out ] && grep -qF -- "$2" err && cmp -s old.pem installed/dev.pem
    ok $? "$1: exit 1, old certificate kept, says \"$(echo "$2" | sed "s|$dir/||g")\"" err
}

mkdir certs.d installed
"$ESTCA" init ca && "$ESTCA" init other --name other &&
    "$ESTCA" init elsewhere --server-name elsewhere.example || exit 99
for key in dev other idevid; do
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out $key.key 2>/dev/null || exit 99
done
openssl pkey -in dev.key -pubout -out dev.pub
openssl req -new -key idevid.key -subj /CN=factory-1 -out idevid.csr 2>/dev/null
"$ESTCA" sign ca --csr idevid.csr --out idevid.pem || exit 99
echo secret >password
echo wrong >wrong-password
cat >certs.d/dev.conf <<END
[certificate]
key = $dir/dev.key
subject = /CN=device-1/O=Example
san = DNS:device-1.example
[auth]
user = dev
password_file = $dir/password
[renew]
window = 20-40
[install]
file = $dir/installed/dev.pem
END

# ---- first enrolment and renewal ----

start_server ca --auth any --user dev:secret
configure localhost ca/root.pem "$port"
"$ESTD" -c estd.conf --check-config >out 2>err
ok $? "--check-config accepts the configuration" err

sed 's/dev.pem/first.pem/; s/dev.key/first.key/' certs.d/dev.conf >certs.d/first.conf
cp dev.key first.key
"$ESTD" -c estd.conf --once first >out 2>err
status=$?
line='^first: subject "CN = device-1, O = Example", issuer ".*issuing CA", serial [0-9a-f]*, notAfter 2.*Z$'
[ $status -eq 0 ] && grep -q "$line" out
ok $? "first enrolment by Basic prints one line" err
[ "$(wc -l <out)" -eq 1 ] && [ ! -s err ]
ok $? "and nothing else" err
same_key installed/first.pem dev.pub
ok $? "the installed certificate is that of the key"
grep -q 'op=simpleenroll status=200 auth=basic' ca.log
ok $? "the CA saw Basic" ca.log
openssl verify -CAfile ca/root.pem -untrusted installed/first.pem installed/first.pem >out 2>&1
ok $? "openssl verifies the installed chain" out
grep -c 'BEGIN CERTIFICATE' installed/first.pem | grep -qx 2
ok $? "it is leaf and intermediate, without the root"
openssl x509 -in installed/first.pem -noout -ext subjectAltName,extendedKeyUsage >out 2>&1
grep -q 'DNS:device-1.example' out && grep -q 'TLS Web Client Authentication' out
ok $? "SAN and EKU are as asked" out
[ "$(stat -c %a installed/first.pem)" = 644 ]
ok $? "mode 0644 by default"

cp installed/first.pem before.pem
once first
[ $status -eq 0 ] && ! cmp -s before.pem installed/first.pem && grep -q 'op=simplereenroll status=200 auth=mtls' ca.log
ok $? "the second step is a re-enrolment by the certificate itself" err
openssl x509 -in before.pem -noout -subject -ext subjectAltName >a 2>&1
openssl x509 -in installed/first.pem -noout -subject -ext subjectAltName >b 2>&1
cmp -s a b
ok $? "subject and SAN are carried over" b

cp other.key first.key
once first
[ $status -eq 0 ] && grep -q 'is not that of the key' err &&
    tail -n 1 ca.log | grep -q 'op=simpleenroll status=200 auth=basic'
ok $? "after the key was replaced it enrols anew by [auth]" err
rm certs.d/first.conf

cat >certs.d/factory.conf <<END
[certificate]
key = file:$dir/dev.key
subject = /CN=device-1
[auth]
key = $dir/idevid.key
cert = $dir/idevid.pem
[install]
certd = $dir/certd
cert_id = device-id
END
mkdir certd
once factory
name=deviceid-bd732105ef89cf8edd2606a5309c8a26b7b5599a4e124a0fe6199b6b2f60e655.cer
[ $status -eq 0 ] && same_key "certd/certs/$name" dev.pub &&
    grep -q 'op=simpleenroll status=200 auth=mtls peer="CN=factory-1"' ca.log
ok $? "first enrolment by another certificate, installed under certd's name" err
rm certs.d/factory.conf

once nobody
[ $status -eq 1 ] && grep -q 'no certificate "nobody" is configured' err
ok $? "a name that is not configured" err
"$ESTD" --once dev extra >out 2>err
[ $? -eq 2 ] && grep -q 'no arguments' err
ok $? "wrong usage ends with 2" err

# ---- an installed certificate, and everything that may come instead of the next ----

once dev
[ $status -eq 0 ] && cp installed/dev.pem old.pem
ok $? "a certificate to lose" err
stop_server
once dev
refused "server down" "no way to the server"

# fault SPEC MESSAGE
fault() {
    start_server ca --auth any --user dev:secret --fault "$1"
    configure localhost ca/root.pem "$port"
    once dev
    refused "fault $1" "$2"
    stop_server
}
fault wrong-key "a certificate for another key than the request's"
fault expired "expired 8"
fault not-yet "is not valid for another 8"
fault garbage "not a PKCS#7 structure"
fault not-base64 "cannot be decoded: not base64 at byte 0"
fault html "Content-Type text/html instead of application/pkcs7-mime"
fault empty "the answer holds no certificate"
fault status=503 "HTTP 503: the server is busy or broken"
fault status=403 "HTTP 403: the server does not let this client have this certificate"
fault status=202 "HTTP 202: accepted, but not issued yet"
fault foreign-ca "does not verify: unable to get local issuer certificate"
fault short "the connection broke"
fault reset "the connection broke"

start_server ca --auth any --user dev:secret
configure localhost other/root.pem "$port"
once dev
refused "wrong CA in trust" "check trust = $dir/other/root.pem in $dir/certs.d/dev.conf"
configure localhost none.pem "$port"
once dev
refused "no file at trust" "$dir/none.pem: No such file or directory"
stop_server
start_server elsewhere
configure localhost elsewhere/root.pem "$port"
once dev
refused "wrong server name" "the server's certificate is for another name"
stop_server
for version in 1.2 1.3; do
    start_server ca --auth mtls --no-own-client-ca --client-ca other/root.pem --tls $version
    configure localhost ca/root.pem "$port"
    once dev
    refused "client certificate refused, TLS $version" "the server refuses the client's certificate"
    stop_server
done

start_server ca --auth basic --user dev:secret
configure localhost ca/root.pem "$port"
mv installed/dev.pem expired.pem
sed -i "s|$dir/password|$dir/wrong-password|" certs.d/dev.conf
cp expired.pem installed/dev.pem
openssl req -new -key dev.key -subj /CN=device-1 -out dev.csr 2>/dev/null
"$ESTCA" sign ca --csr dev.csr --out installed/dev.pem --lifetime 100 --not-before -1000
cp installed/dev.pem old.pem
once dev
refused "certificate expired, wrong password" "HTTP 401: not authenticated; check user and password_file"
sed -i "s|$dir/wrong-password|$dir/none|" certs.d/dev.conf
once dev
refused "no password file" "[auth] password_file: cannot open $dir/none"
cp certs.d/dev.conf dev.conf
sed -i '/auth/d; /user/d; /password_file/d' certs.d/dev.conf
once dev
refused "certificate expired, no [auth]" "no [auth] for a first enrolment"
sed "s|$dir/none|$dir/password|" dev.conf >certs.d/dev.conf
mv certs.d/dev.conf dev.conf
# with_key KEY: the same certificate with another key
with_key() { sed "s|$dir/dev.key|$1|" dev.conf >certs.d/dev.conf; }
with_key tpm2cloud:device
OPENSSL_MODULES=$dir/nowhere "$ESTD" -c estd.conf --once dev >out 2>err
status=$?
refused "provider missing" "needs the OpenSSL provider tpm2cloud, which cannot be loaded from $dir/nowhere"
with_key "$dir/none.key"
once dev
refused "key missing" "cannot open $dir/none.key: No such file or directory"
with_key "$dir/password"
once dev
refused "no key in the file" "no private key without a passphrase in $dir/password"
openssl pkey -in dev.key -aes256 -passout pass:x -out locked.key
with_key "$dir/locked.key"
once dev
refused "key with a passphrase" "no private key without a passphrase in $dir/locked.key"
mv dev.conf certs.d/dev.conf
echo 'no certificate' >installed/dev.pem
once dev
[ $status -eq 0 ] && grep -q 'no PEM certificate in it; it will be replaced' err && same_key installed/dev.pem dev.pub
ok $? "a damaged installed file is replaced, with a warning" err

echo damaged >state/state.cbor
once dev
[ -f state/state.cbor.damaged ] && grep -q 'set aside as .*state.cbor.damaged' err
ok $? "damaged statistics are set aside" err
stop_server

# ---- mistakes that must not cost a key, and what is left from before ----

start_server ca --auth any --user dev:secret
configure localhost ca/root.pem "$port"
once dev
cp installed/dev.pem old.pem
cp dev.key dev.key.old
sed "s|$dir/installed/dev.pem|$dir/dev.key|" certs.d/dev.conf >certs.d/key.conf
"$ESTD" -c estd.conf --check-config >out 2>err
[ $? -eq 1 ] && grep -qF "certs.d/key.conf: [install] file: $dir/dev.key is the file of [certificate] key, which" err
ok $? "a certificate that would be installed over its key is refused" err
sed "s|$dir/installed/dev.pem|$dir/locked.key|" certs.d/dev.conf >certs.d/key.conf
cp locked.key locked.key.old
requests=$(wc -l <ca.log)
once key
[ $status -eq 1 ] && grep -qF "$dir/locked.key holds a private key, which a certificate must not replace" err &&
    cmp -s locked.key locked.key.old && cmp -s dev.key dev.key.old && [ "$requests" -eq "$(wc -l <ca.log)" ]
ok $? "nor over any other key, and the CA is not asked" err
rm certs.d/key.conf

cp certs.d/dev.conf dev.conf
sed -i 's|/CN=device-1/O=Example|/CN=device-2/O=Example|' certs.d/dev.conf
once dev
[ $status -eq 0 ] && grep -qF 'its subject is "CN = device-1, O = Example" and the configured subject "CN = device-2, O =' err &&
    grep -qF "to enrol it anew with those configured, run: tpm2cloud enroll dev" err
ok $? "another subject in the configuration: both names and the remedy are said" err
sed 's|DNS:device-1.example|DNS:DEVICE-1.example,IP:192.0.2.1|' dev.conf >certs.d/dev.conf
once dev
[ $status -eq 0 ] &&
    grep -qF 'its SAN is "DNS:device-1.example" and the configured san "DNS:DEVICE-1.example, IP Address:192.0.2.1"' err
ok $? "another SAN in the configuration as well" err
mv dev.conf certs.d/dev.conf

: >installed/.dev.pem.x7Kq2Z && : >installed/.dev.pem.backup && : >state/.state.cbor.x7Kq2Z
SSLKEYLOGFILE=$dir/secrets once dev
[ $status -eq 0 ] && [ ! -e installed/.dev.pem.x7Kq2Z ] && [ ! -e state/.state.cbor.x7Kq2Z ] &&
    [ -e installed/.dev.pem.backup ]
ok $? "what a killed estd left behind is removed, and nothing else" err
rm installed/.dev.pem.backup
[ ! -e secrets ]
ok $? "SSLKEYLOGFILE gets no secrets"
[ "$(stat -c %a state/lock)" = 600 ]
ok $? "only its owner can open the lock"
cp installed/dev.pem old.pem
stop_server
start_server ca --auth any --user dev:secret --fault status=401 --fault-op cacerts
configure localhost ca/root.pem "$port"
once dev
[ $status -eq 0 ] && grep -q "without /cacerts, because .*wants authentication for /cacerts, which RFC 7030 4.1 says it should not" err
ok $? "/cacerts behind a password is warned about, and done without" err
cp installed/dev.pem old.pem
stop_server

# ---- a full disk ----

if mkdir full && mount -t tmpfs -o size=16k,mode=755 tmpfs full 2>/dev/null; then
    mounted=$dir/full
    start_server ca --auth any --user dev:secret
    configure localhost ca/root.pem "$port"
    sed "s|installed/dev.pem|full/dev.pem|" certs.d/dev.conf >certs.d/full.conf
    once full
    cp full/dev.pem old.pem
    dd if=/dev/zero of=full/rest bs=1k 2>/dev/null
    once full
    [ $status -eq 1 ] && grep -q 'full/dev.pem (what was there is unchanged): No space left on device' err &&
        cmp -s old.pem full/dev.pem && [ "$(find full -type f | wc -l)" -eq 2 ]
    ok $? "a full disk: exit 1, old certificate kept, nothing left behind" err
    rm full/rest certs.d/full.conf
    stop_server
else
    skip "a full disk" "no tmpfs can be mounted here"
fi

# ---- the daemon ----

rm -rf installed/dev.pem ca.log
start_server ca --auth any --user dev:secret --lifetime 20
configure localhost ca/root.pem "$port"
once dev
"$ESTD" -c estd.conf 2>daemon.err &
daemon=$!
pids="$pids $daemon"
# A reader that looks all the time: the file is there, whole, and of the key.
(
    looks=0
    while [ ! -e stop ]; do
        openssl x509 -in installed/dev.pem -noout -pubkey 2>/dev/null | cmp -s - dev.pub || echo "look $looks" >>torn
        [ "$(grep -c 'END CERTIFICATE' installed/dev.pem)" = 2 ] || echo "look $looks" >>torn
        looks=$((looks + 1))
        echo $looks >looks
    done
) &
reader=$!
pids="$pids $reader"
# seen COUNT TEXT FILE SECONDS: waits until TEXT stands COUNT times in FILE
seen() {
    tries=0
    # What writes FILE may not have begun.
    while
        n=$(grep -c -- "$2" "$3" 2>/dev/null)
        [ "${n:-0}" -lt "$1" ]
    do
        [ $tries -lt $(($4 * 10)) ] || return 1
        sleep 0.1
        tries=$((tries + 1))
    done
}
seen 1 'found a certificate' daemon.err 10
ok $? "the daemon finds the installed certificate" daemon.err
"$ESTD" -c estd.conf --once dev >out 2>err
[ $? -eq 1 ] && grep -q "another estd (process $daemon) works on this state" err
ok $? "--once beside the daemon is refused and names it" err
switches() { cat /proc/$daemon/task/*/status | awk '/ctxt_switches/ {n += $2} END {print n}'; }
# sleeps WHAT: no thread of the daemon wakes for a second, once what it last did is written down.
sleeps() {
    if grep -q '^INSTRUMENT = .*-fsanitize=thread' "$BUILD/Makefile"; then
        skip "$1" "the thread sanitizer has a thread of its own, which wakes"
        return
    fi
    for i in 1 2 3 4; do
        before=$(switches)
        sleep 1
        [ "$before" != "$(switches)" ] || break
    done
    [ "$before" = "$(switches)" ]
    ok $? "$1"
}
sleeps "idle, no thread of it wakes"
seen 3 'dev: renewed, issuer ".*issuing CA", notAfter 2.*Z, next renewal 2.*Z$' daemon.err 40
ok $? "the daemon renews a certificate of 20 s three times" daemon.err
touch stop
wait $reader
[ ! -e torn ] && [ "$(cat looks)" -gt 50 ]
ok $? "a reader that looks all the time never sees a torn file" looks
# 20-40 % of 20 s: each renewal comes 4 to 8 s behind the one before, and what it takes to do it; at 60 % it would be 12
awk -F'[T:Z]' '/op=simple/ && /status=200/ {
    s = $2 * 3600 + $3 * 60 + $4
    if (n++ > 0) print (s - last + 86400) % 86400
    last = s
}' ca.log >gaps
awk 'NR > 0 && ($1 < 3 || $1 > 11) { bad = 1 } END { exit bad || NR < 3 }' gaps
ok $? "each renewal lies in its window" gaps

cp certs.d/dev.conf dev.conf
echo 'mistake = 1' >>certs.d/dev.conf
kill -HUP $daemon
seen 1 'the old configuration stays: .*unknown key "mistake" in section \[install\]' daemon.err 10
ok $? "SIGHUP with a mistake in the configuration keeps the old one" daemon.err
cp dev.conf certs.d/dev.conf
kill -HUP $daemon
seen 1 'configuration read again: 1 certificate' daemon.err 10
ok $? "SIGHUP reads the configuration again" daemon.err
stop_server
seen 1 'dev: cannot renew: .*no way to the server.*next try in 1 s' daemon.err 12
ok $? "a failure says what, why and when the next try is" daemon.err
kill -TERM $daemon
wait $daemon
ok $? "SIGTERM ends it with 0" daemon.err

rm installed/dev.pem
start_server ca --auth any --user dev:secret --lifetime 20 --fault status=503@3
configure localhost ca/root.pem "$port"
"$ESTD" -c estd.conf --once dev >out 2>err
[ ! -e installed/dev.pem ]
ok $? "a first enrolment that fails installs nothing"
stop_server
start_server ca --auth any --user dev:secret --lifetime 20
configure localhost ca/root.pem "$port"
once dev
stop_server
start_server ca --auth any --user dev:secret --lifetime 20 --fault status=503@3 --fault retry-after=600
configure localhost ca/root.pem "$port"
"$ESTD" -c estd.conf 2>daemon.err &
daemon=$!
pids="$pids $daemon"
seen 3 'dev: cannot renew: .*HTTP 503: the server is busy or broken.*; next try in [1-4] s' daemon.err 15 &&
    seen 1 'dev: renewed' daemon.err 8
ok $? "three refusals within 20 s of lifetime, then it renews all the same" daemon.err
kill -TERM $daemon
wait $daemon
stop_server

# A certificate of 200 years, renewed in 40 to 80: behind the end of a time_t of 32 bits.
mv installed/dev.pem short.pem
start_server ca --auth any --user dev:secret --lifetime 6311520000
configure localhost ca/root.pem "$port"
once dev
"$ESTD" -c estd.conf 2>daemon.err &
daemon=$!
pids="$pids $daemon"
seen 1 'found a certificate, notAfter 22..-.*Z, next renewal 2[01]..-.*Z$' daemon.err 10
ok $? "a renewal behind 2038 is planned" daemon.err
sleeps "and waited for in sleep"
kill -TERM $daemon
wait $daemon
ok $? "until SIGTERM" daemon.err
stop_server
mv short.pem installed/dev.pem

# ---- one bad neighbour ----

openssl req -new -key dev.key -subj /CN=device-1/O=Example -out dev.csr 2>/dev/null
"$ESTCA" sign ca --csr dev.csr --out installed/future.pem --not-before 86400
sed 's|installed/dev.pem|installed/future.pem|' certs.d/dev.conf >certs.d/future.conf
echo 'mistake = 1' >certs.d/broken.conf
start_server ca --auth any --user dev:secret --fault delay=100000 --fault-op cacerts
mute=$server
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
    sed "s|installed/dev.pem|installed/a$i.pem|; s|^key = .*|url = https://localhost:$port/.well-known/est\n&|" certs.d/dev.conf \
        >certs.d/a$i.conf
done
start_server ca --auth any --user dev:secret --fault delay=100000
slow=$server
for i in 1 2 3; do
    sed "s|installed/dev.pem|installed/b$i.pem|; s|^key = .*|url = https://localhost:$port/.well-known/est\n&|" \
        certs.d/dev.conf >certs.d/b$i.conf
done
start_server ca --auth any --user dev:secret
configure localhost ca/root.pem "$port"
sed 's|installed/dev.pem|installed/z.pem|' certs.d/dev.conf >certs.d/z.conf
"$ESTD" -c estd.conf 2>daemon.err &
daemon=$!
pids="$pids $daemon"
seen 1 'z: enrolled' daemon.err 10
ok $? "15 certificates whose servers hang do not delay another one" daemon.err
grep -qF "certs.d/broken.conf: unknown key \"mistake\" in the top of the file; this certificate is left out" daemon.err
ok $? "nor does a mistake in the file of one keep the daemon from starting" daemon.err
grep -q 'future: the clock says 2.*Z, which cannot be; waiting until it is set' daemon.err &&
    grep -q 'future: found a certificate, notAfter 2[0-9T:-]*Z$' daemon.err
ok $? "a certificate of the future is not used, and waiting for the clock is said" daemon.err
kill -TERM $daemon
wait $daemon
once broken
[ $status -eq 1 ] && grep -q 'broken.conf: unknown key "mistake"' err
ok $? "--once of the broken one fails" err
"$ESTD" -c estd.conf --check-config >out 2>err
[ $? -eq 1 ] && grep -q 'broken.conf: unknown key "mistake"' err
ok $? "and so does --check-config" err
rm certs.d/[abz]*.conf certs.d/future.conf
stop_server
kill "$mute" "$slow"
wait "$mute" "$slow"

start_server ca --auth any --user dev:secret --fault delay=20000
configure localhost ca/root.pem "$port"
once_before=$(cat installed/dev.pem)
sed -i 's/20-40/1-1/' certs.d/dev.conf
"$ESTD" -c estd.conf 2>daemon.err &
daemon=$!
pids="$pids $daemon"
sleep 1.5
kill -TERM $daemon
from=$(date +%s)
wait $daemon
status=$?
[ $status -eq 0 ] && [ $(($(date +%s) - from)) -le 10 ] && [ "$once_before" = "$(cat installed/dev.pem)" ] &&
    [ "$(find installed -name '.*' -type f | wc -l)" -eq 0 ]
ok $? "SIGTERM while a transfer runs: exit 0 at once, nothing half-written" daemon.err
stop_server

echo "1..$count"
[ $failed -eq 0 ]
