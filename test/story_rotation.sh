#!/bin/sh
# estd makes a new key at each renewal and switches it together with its certificate: TPM keys and software keys. Readers in a
# loop, of the combined file and of tpm2cloud:NAME by stock openssl, never see a key without its certificate. Stopped in the
# middle, it goes on with the key that it had begun with.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl tpm2_getcap
tpm_start
unset NOTIFY_SOCKET JOURNAL_STREAM
estca_start plant --auth any --user device:secret --lifetime 30 || skip_all "estca does not start"
echo secret >"$work/password"
mkdir -p "$work/certs.d"
estd_conf() { # the port of the server
    cat >"$work/estd.conf" <<END
[estd]
certs_d = $work/certs.d
state_dir = $work/state
certs_dir = $work/certs
socket = none
[defaults]
url = https://localhost:$1/.well-known/est
trust = $work/plant/root.pem
user = device
password_file = $work/password
END
}
estd_conf "$port"
cert_conf() { # NAME KEY INSTALL...
    name=$1 key=$2
    shift 2
    {
        printf '[certificate]\nkey = %s\nsubject = /CN=%s\nsan = DNS:%s.example\n' "$key" "$name" "$name"
        printf '[renew]\nwindow = 20-40\nrotate = yes\n[install]\n'
        printf '%s\n' "$@"
    } >"$work/certs.d/$name.conf"
}
cert_conf pump tpm2cloud:pump "file = $work/pump.pem" "ca = $work/pump-ca.pem" "leaf = $work/pump-leaf.pem"
openssl genpkey -algorithm EC -pkeyopt group:P-384 -out "$work/first.key" 2>"$work/err"
chmod 640 "$work/first.key"
cert_conf valve "file:$work/first.key"

# The pair in FILE, key and certificate, fits.
public_of_cert() {
    openssl x509 -in "$1" -noout -pubkey 2>"$work/err"
}
public_of_key() {
    ssl pkey -in "$1" -pubout 2>"$work/err"
}
pair_fits() {
    [ -n "$(public_of_cert "$1")" ] && [ "$(public_of_cert "$1")" = "$(public_of_key "$1")" ]
}
current() {
    readlink "$work/certs/$1/current"
}

check "the configuration is valid" "$ESTD" -c "$work/estd.conf" --check-config
check "a key that does not exist is made with the first certificate" "$ESTD" -c "$work/estd.conf" --once pump
check_equal "it is the first generation" gen-1 "$(current pump)"
check "a TPM key" grep -q 'BEGIN TSS2 PRIVATE KEY' "$work/certs/pump/current/key.pem"
check_equal "no key file beside it" "" "$(ls "$work/keys" 2>/dev/null)"
check "key and certificate fit" pair_fits "$work/certs/pump/current/combined.pem"
check "what was asked for as a file is there" cmp "$work/pump.pem" "$work/certs/pump/current/cert.pem"
check "the leaf alone" sh -c "openssl x509 -in '$work/pump.pem' | cmp - '$work/pump-leaf.pem'"
check "the CA certificates verify it" openssl verify -CAfile "$work/pump-ca.pem" "$work/pump-leaf.pem"
check "tpm2cloud:pump is that pair" sh -c "'$T2C' cert export pump | cmp - '$work/certs/pump/current/cert.pem'"
check "a software key that exists is used first" "$ESTD" -c "$work/estd.conf" --once valve
check_equal "it is the first generation's" "$(public_of_key "$work/first.key")" \
    "$(public_of_key "$work/certs/valve/current/key.pem")"
check_equal "as readable as it was" 640 "$(stat -c %a "$work/certs/valve/current/combined.pem")"
check_equal "the certificate is for all" 644 "$(stat -c %a "$work/certs/valve/current/cert.pem")"

# One reader opens the combined file once for each look, the other tpm2cloud:pump, which gives key and certificate.
cat >"$work/reader.sh" <<'END'
# reader.sh NAME COMMAND...: what the command prints, until there is a file `stop`.
name=$1
shift
until [ -e stop ]; do
    "$@" >"$name.pem" 2>"$name.err"
    cert=$(openssl x509 -in "$name.pem" -noout -pubkey 2>&1)
    key=$(openssl pkey -provider default -provider tpm2cloud -in "$name.pem" -pubout 2>&1)
    [ "$cert" = "$key" ] || echo "$cert $key $(cat "$name.err")" >>"$name.misses"
    echo "$key" | openssl dgst -sha256 -r >>"$name.seen"
    [ "$name" != control ] || break
done
END
reader() {
    (cd "$work" && exec env LD_PRELOAD="$PRELOAD" ASAN_OPTIONS=detect_leaks=0 sh reader.sh "$@")
}
reader control cat "$work/certs/pump/current/key.pem" "$work/certs/valve/current/cert.pem"
check "a reader knows a mix" test -s "$work/control.misses"
reader combined cat "$work/certs/pump/current/combined.pem" &
readers=$!
reader name openssl storeutl -provider default -provider tpm2cloud tpm2cloud:pump &
readers="$readers $!"
pids="$pids $readers"
"$ESTD" -c "$work/estd.conf" 2>"$work/estd.log" &
estd=$!
pids="$pids $estd"
renewals() { # NAME N: that many at least
    [ "$(grep -c "^.*$1: renewed" "$work/estd.log")" -ge "$2" ]
}
check "estd renews the TPM key three times" wait_for 75 renewals pump 3
check "and the software key" wait_for 30 renewals valve 2
kill $estd
wait $estd
check_equal "estd stops when told to" 0 $?
touch "$work/stop"
for pid in $readers; do
    wait "$pid"
done
for reader in combined name; do
    check_equal "$reader: no key without its certificate" "" "$(head -c 2000 "$work/$reader.misses" 2>/dev/null)"
    check "$reader: three keys were seen" test "$(sort -u "$work/$reader.seen" | wc -l)" -ge 3
done
check_equal "all but the first by the certificate itself" "" \
    "$(grep 'op=simplereenroll' "$work/plant.log" | grep -v 'status=200 auth=mtls peer="CN=\([a-z]*\)" subject="CN=\1"')"
openssl x509 -in "$work/certs/pump/current/cert.pem" -noout -ext subjectAltName >"$work/san"
check "the alternative name is kept" grep -q 'DNS:pump.example' "$work/san"
check_equal "a current generation, one before, perhaps one begun" ok \
    "$(find "$work/certs/pump" -name 'gen-*' | wc -l | awk '$1 >= 2 && $1 <= 3 {print "ok"}')"
check "the copies followed" cmp "$work/pump.pem" "$work/certs/pump/current/cert.pem"
check "the software key kept its curve" sh -c "openssl pkey -in '$work/certs/valve/current/key.pem' -noout -text | grep -q P-384"
check "the key that it began with is untouched" openssl pkey -in "$work/first.key" -noout
tpm_clean "after the rotations"
printf hello >"$work/text"
check "tpm2cloud:pump signs" ssl dgst -sha256 -sign tpm2cloud:pump -out "$work/sig" "$work/text"
public_of_cert "$work/certs/pump/current/cert.pem" >"$work/pump.pub"
check "and its certificate verifies" openssl dgst -sha256 -verify "$work/pump.pub" -signature "$work/sig" "$work/text"
check_fails "a certificate cannot be put under the new key by hand" "to replace it: tpm2cloud renew pump" \
    "$T2C" cert import pump "$work/pump.pem"
check "the list has its name" sh -c "'$T2C' key list | grep pump"

# The server wants us to come back: the new key waits.
estca_start slow --auth any --user device:secret --fault status=202 --fault retry-after=1 --fault-op simpleenroll
estd_conf "$port"
sed -i "s|plant/root|slow/root|" "$work/estd.conf"
cert_conf motor tpm2cloud:motor
check_fails "pending" "202" "$ESTD" -c "$work/estd.conf" --once motor
cp "$work/certs/motor/gen-1/key.pem" "$work/waiting.pem"
check_fails "still pending" "202" "$ESTD" -c "$work/estd.conf" --once motor
check "the same key waits" cmp "$work/waiting.pem" "$work/certs/motor/gen-1/key.pem"
check "nothing is in force" test ! -e "$work/certs/motor/current"
estca_start quick --auth any --user device:secret
estd_conf "$port"
sed -i "s|plant/root|quick/root|" "$work/estd.conf"
check "it is certified at last" "$ESTD" -c "$work/estd.conf" --once motor
check "that very key" cmp "$work/waiting.pem" "$work/certs/motor/current/key.pem"
check "it fits" pair_fits "$work/certs/motor/current/combined.pem"

# What was in hand when estd was killed: the certificate came, the link was not switched.
check "a renewal" "$ESTD" -c "$work/estd.conf" --once motor
check_equal "the second generation" gen-2 "$(current motor)"
ln -sfn gen-1 "$work/certs/motor/current"
touch "$work/certs/motor/.current.Ab3dE9"
requests=$(grep -c 'subject="CN=motor"' "$work/quick.log")
"$ESTD" -c "$work/estd.conf" 2>"$work/estd.log" &
estd=$!
pids="$pids $estd"
in_force() { [ "$(current motor)" = gen-2 ]; }
check "the next start puts it in force" wait_for 10 in_force
kill $estd
wait $estd
check_equal "without asking again" "$requests" "$(grep -c 'subject="CN=motor"' "$work/quick.log")"
check_equal "and removes what was left" "" "$(find "$work/certs/motor" -name '.*.Ab3dE9')"
check "it says so" grep -q 'motor: a new key and its certificate, which had come before estd was stopped, are in force' "$work/estd.log"

# A key that was begun and is damaged, and one in force that is lost.
cp "$work/certs/motor/current/cert.pem" "$work/before.pem"
mkdir "$work/certs/motor/gen-3"
echo '-----BEGIN TSS2 PRIVATE KEY-----' >"$work/certs/motor/gen-3/key.pem"
check "a damaged key that was begun is made anew" "$ESTD" -c "$work/estd.conf" --once motor
check_equal "in its place" gen-3 "$(current motor)"
check "it fits" pair_fits "$work/certs/motor/current/combined.pem"

# What a key could do, the next one can.
"$T2C" key create big --alg rsa-2048 >/dev/null
"$T2C" key create both --alg ec-p384 --decrypt >/dev/null
openssl genpkey -algorithm ED25519 -out "$work/ed.key"
openssl genpkey -algorithm RSA-PSS -pkeyopt rsa_keygen_bits:2048 -pkeyopt rsa_pss_keygen_md:sha384 -out "$work/pss.key" 2>"$work/err"
cert_conf big tpm2cloud:big
cert_conf both tpm2cloud:both
cert_conf ed "$work/ed.key"
cert_conf pss "$work/pss.key"
for name in big both ed pss; do
    check "$name: a certificate" "$ESTD" -c "$work/estd.conf" --once $name
    check "$name: for another key" "$ESTD" -c "$work/estd.conf" --once $name
    check "$name: fits" pair_fits "$work/certs/$name/gen-2/combined.pem"
    check_fails "$name: is another" "" cmp -s "$work/certs/$name/gen-1/key.pem" "$work/certs/$name/gen-2/key.pem"
done
kind() {
    ssl pkey -in "$1" -pubout 2>"$work/err" | openssl pkey -pubin -noout -text | sed -n '1p; /ASN1 OID\|Hash Algorithm/p' | tr '\n' ' '
}
check_equal "an RSA key of the same size" "Public-Key: (2048 bit) " "$(kind "$work/certs/big/gen-2/key.pem")"
check_equal "an EC key on the same curve" "Public-Key: (384 bit) ASN1 OID: secp384r1 " "$(kind "$work/certs/both/gen-2/key.pem")"
check_equal "Ed25519" "ED25519 Public-Key: " "$(kind "$work/certs/ed/gen-2/key.pem")"
check "an RSA-PSS key for the same digest" sh -c "openssl pkey -in '$work/certs/pss/gen-2/key.pem' -noout -text | grep -iq 'Hash Algorithm: sha.*384'"
check "a key that agrees on secrets still does" sh -c "'$T2C' key show both | grep -q decrypt"

# Without rotation: a generation of a key that stays.
"$T2C" key create fan >/dev/null
cert_conf fan tpm2cloud:fan "current = yes"
sed -i 's/^rotate = yes/rotate = no/' "$work/certs.d/fan.conf"
check "a generation without rotation" "$ESTD" -c "$work/estd.conf" --once fan
check "renewed" "$ESTD" -c "$work/estd.conf" --once fan
check_equal "the second" gen-2 "$(current fan)"
check "has the same key" cmp "$work/keys/fan.pem" "$work/certs/fan/current/key.pem"
check "fits" pair_fits "$work/certs/fan/current/combined.pem"
"$T2C" key create ldevid >/dev/null
cert_conf mqtt tpm2cloud:ldevid "current = yes"
sed -i 's/^rotate = yes/rotate = no/' "$work/certs.d/mqtt.conf"
check "a generation of a key at a handle" "$ESTD" -c "$work/estd.conf" --once mqtt
check "its file stands for the key" grep -q 'BEGIN TPM2CLOUD KEY URI' "$work/certs/mqtt/current/key.pem"
check "fits" pair_fits "$work/certs/mqtt/current/combined.pem"
check "tpm2cloud:mqtt is the LDevID's key" \
    sh -c "'$T2C' key show mqtt | sed -n '/BEGIN/,\$p' >'$work/a'; '$T2C' key show ldevid | sed -n '/BEGIN/,\$p' | cmp - '$work/a'"

# Wrong turns.
cert_conf wrong tpm2cloud:ldevid
check_fails "a fixed identity" "the key tpm2cloud:ldevid cannot be replaced by a new one" "$ESTD" -c "$work/estd.conf" --check-config
cert_conf wrong 'pkcs11:token=x;object=y'
check_fails "PKCS#11" "cannot be replaced by a new one" "$ESTD" -c "$work/estd.conf" --check-config
cert_conf wrong tpm2cloud:other
check_fails "another name" "write key = tpm2cloud:wrong, or no" "$ESTD" -c "$work/estd.conf" --check-config
"$T2C" key pem ldevid --out "$work/ldevid.key"
cert_conf wrong "$work/ldevid.key" "file = $work/wrong.pem"
check "a file that stands for a key at a handle is used" "$ESTD" -c "$work/estd.conf" --once wrong
check_fails "but not rotated" "stands for one that has a handle in the TPM, which cannot be replaced" \
    "$ESTD" -c "$work/estd.conf" --once wrong
check "the certificate stays" pair_fits "$work/certs/wrong/current/combined.pem"
rm "$work/certs/motor/current"
ln -s /etc "$work/certs/motor/current"
check_fails "a link that leads elsewhere" 'leads to "/etc", not to a generation' "$ESTD" -c "$work/estd.conf" --once motor
check_fails "is no name either" 'leads to "/etc", not to a generation' "$T2C" key show motor
finish
