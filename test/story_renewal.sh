#!/bin/sh
# A device in the field: the LDevID comes by the IDevID, the operational certificate by the LDevID, and estd renews what lives
# 20 s three times within its window, with keys in the TPM, while a reader never sees anything but a whole certificate.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl tpm2_getcap
tpm_start
"$ESTCA" init "$work/factory" --name factory >/dev/null
for name in idevid ldevid device-id; do
    check "key create $name" "$T2C" key create $name
done
"$T2C" csr idevid --subject /serialNumber=7/CN=pump --out "$work/idevid.csr"
"$ESTCA" sign "$work/factory" --csr "$work/idevid.csr" --not-after 99991231235959Z --out "$work/idevid.pem"
check "the factory's certificate" "$T2C" cert import idevid "$work/idevid.pem"
estca_start operator --client-ca "$work/factory/root.pem" --lifetime 20 || skip_all "estca does not start"

mkdir -p "$work/certs.d" "$work/certs" "$work/certd"
cat >"$work/estd.conf" <<END
[estd]
certs_d = $work/certs.d
state_dir = $work/state
socket = $work/estd.sock
[defaults]
url = https://localhost:$port/.well-known/est
trust = $work/operator/root.pem
END
cert_conf() { # NAME AUTH INSTALL...
    name=$1 auth=$2
    shift 2
    {
        printf '[certificate]\nkey = tpm2cloud:%s\nsubject = /CN=%s\nsan = DNS:%s.example\n' "$name" "$name" "$name"
        printf '[auth]\nkey = tpm2cloud:%s\ncert = tpm2cloud:%s\n[install]\n' "$auth" "$auth"
        printf '%s\n' "$@"
    } >"$work/certs.d/$name.conf"
}
cert_conf ldevid idevid "file = $work/certs/ldevid.pem"
check "the configuration is valid" "$ESTD" -c "$work/estd.conf" --check-config
check "the LDevID is enrolled by the IDevID" "$ESTD" -c "$work/estd.conf" --once ldevid
check "the server saw the IDevID" grep -q 'op=simpleenroll status=200 auth=mtls peer="CN=pump,serialNumber=7" subject="CN=ldevid"' \
    "$work/operator.log"
check "its certificate is where tpm2cloud:ldevid looks" sh -c "'$T2C' cert export ldevid | cmp - '$work/certs/ldevid.pem'"
cert_conf device-id ldevid "file = $work/certs/device-id.pem" "certd = $work/certd" "cert_id = device-id"
check "the operational certificate is enrolled by the LDevID" "$ESTD" -c "$work/estd.conf" --once device-id
check "the server saw the LDevID" grep -q 'op=simpleenroll status=200 auth=mtls peer="CN=ldevid" subject="CN=device-id"' \
    "$work/operator.log"
installed=$work/certd/certs/deviceid-bd732105ef89cf8edd2606a5309c8a26b7b5599a4e124a0fe6199b6b2f60e655.cer
check "it is where certd reads it" cmp "$installed" "$work/certs/device-id.pem"
check "openssl verifies it" openssl verify -CAfile "$work/operator/root.pem" -untrusted "$installed" "$installed"
openssl x509 -in "$installed" -noout -pubkey >"$work/certified.pub"
check "it certifies the key in the TPM" sh -c "'$T2C' key show device-id | sed -n '/BEGIN/,\$p' | cmp - '$work/certified.pub'"
tpm_clean "after two enrolments"

# The reader: each look must find a whole chain whose leaf certifies the key.
cat >"$work/reader.sh" <<'END'
looks=0
while [ ! -e stop ]; do
    if ! openssl x509 -in "$1" -noout -pubkey >seen.pub 2>seen.err || ! cmp -s seen.pub certified.pub ||
        [ "$(grep -c 'END CERTIFICATE' "$1")" -ne 2 ]; then
        echo "look $looks: $(cat seen.err)" >>misses
    fi
    looks=$((looks + 1))
    echo $looks >looks
done
END
(cd "$work" && exec sh reader.sh "$installed") &
reader=$!
pids="$pids $reader"
"$ESTD" -c "$work/estd.conf" 2>"$work/estd.log" &
estd=$!
pids="$pids $estd"
renewals() {
    grep -c 'device-id: renewed' "$work/estd.log"
}
three_renewals() {
    [ "$(renewals)" -ge 3 ]
}
check "estd renews three times" wait_for 75 three_renewals
tpm_clean "while estd waits for the next"
kill $estd
wait $estd
check_equal "estd stops when told to" 0 $?
touch "$work/stop"
wait $reader # it may be writing
check_equal "a reader saw the certificate missing, cut or mismatched" "" "$(cat "$work/misses" 2>/dev/null)"
check "it looked often" test "$(cat "$work/looks")" -gt 50

# When was each renewal, in percent of the lifetime of the one before? The server's log has the times.
grep -E 'op=simple(re)?enroll status=200.* subject="CN=device-id"' "$work/operator.log" |
    sed 's/^time=\([^ ]*\).*/\1/' | while read -r time; do date -d "$time" +%s%3N; done >"$work/times"
check_equal "every renewal was within 60 to 80 % of 20 s (and the seconds that a busy machine takes)" "" "$(awk 'NR > 1 {
    share = ($1 - last) / 200
    if (share < 55 || share > 95) print share
} {last = $1}' "$work/times")"
planned() { # how long before its end each renewal is to be
    sed -n 's/.* renewed, .*notAfter \([^,]*\), next renewal \(.*\)/\1 \2/p' "$work/estd.log" | while read -r ends next; do
        echo $(($(date -d "$ends" +%s) - $(date -d "$next" +%s)))
    done
}
check_equal "each was planned for then" ok "$(planned | awk '$1 < 4 || $1 > 8 { bad = 1 } END { print bad || NR < 3 ? "no" : "ok" }')"
check_equal "all renewals by the certificate itself" "" \
    "$(grep 'op=simplereenroll' "$work/operator.log" | grep -v 'peer="CN=\([a-z-]*\)" subject="CN=\1"')"
openssl x509 -in "$installed" -noout -ext subjectAltName >"$work/san"
check "the alternative name is kept" grep -q 'DNS:device-id.example' "$work/san"

# What can go wrong with a key.
cert_conf nokey ldevid "file = $work/certs/nokey.pem"
check_fails "a key that does not exist" "there is no key nokey (no $work/keys/nokey.pem); create it with: tpm2cloud key create nokey" \
    "$ESTD" -c "$work/estd.conf" --once nokey
sed -i 's/^key = tpm2cloud:nokey/key = tpm2cloud:no key/' "$work/certs.d/nokey.conf"
check_fails "a malformed URI" '"no key" is not a name' "$ESTD" -c "$work/estd.conf" --once nokey
rm "$work/certs.d/nokey.conf"
cp "$installed" "$work/before.pem"
check_fails "no TPM" "no TPM at swtpm:path=$work/nobody" env TPM2CLOUD_TCTI="swtpm:path=$work/nobody" \
    "$ESTD" -c "$work/estd.conf" --once device-id
check_fails "no provider" "tpm2cloud" env OPENSSL_MODULES="$work" "$ESTD" -c "$work/estd.conf" --once device-id
check "the certificate is untouched" cmp "$installed" "$work/before.pem"
finish
