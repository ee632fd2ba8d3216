#!/bin/sh
# Microsoft's own clients of DPS, from the npm registry and unchanged, register at the double by a TPM and by a certificate; and
# they and tpm2cloud have the same TPM, by turns.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/dps.sh"
need swtpm openssl node jq curl tpm2_createek tpm2_getcap
dps_needed
peers=$srcdir/build/peers/dps
[ -w "$srcdir" ] || [ -d "$peers/node_modules" ] || peers=$work/peers
"$srcdir/test/dps/npm/build" "$peers" >"$work/build.log" 2>&1
case $? in
0) ;;
77) skip_all "npm is not installed, and Microsoft's packages are not here" ;;
*) skip_all "npm does not get Microsoft's packages: $(tail -n 1 "$work/build.log")" ;;
esac

microsoft() {
    env -u OPENSSL_MODULES NODE_PATH="$peers/node_modules" NODE_EXTRA_CA_CERTS="$dps_ca" NODE_NO_WARNINGS=1 \
        node "$srcdir/test/dps/npm/client.js" "$@"
}
# said FILTER: of what the client printed last
said() {
    jq -r "$1" "$work/out"
}
public() {
    tpm2_readpublic -Q -c "$1" -f tss -o "$work/public" && openssl base64 -A -in "$work/public"
}
# hub_takes HUB-DEVICE TOKEN
hub_takes() {
    test 204 = "$(curl -sS --cacert "$dps_ca" -X POST -o "$work/answer" -w '%{http_code}' -H "Authorization: $2" \
        "$dps_url/devices/$1/messages/events?api-version=2020-03-13")"
}

tpm_start
dps_start --set retry_after=0
port=${dps_url##*:}

# ---- by a TPM: their own EK and SRK, and keys that were there
enrolled "tpm nobody none"
check_fails "an unknown TPM is refused" "InvalidOperationError" microsoft "$port" "$scope" tpm "$work/tpm"
own=$(jq -r .registration "$work/dps.log")
ek=$(public 0x81010001)
check_equal "they name a device by the hash of its EK" "$own" "$(openssl base64 -d -A <<EOF | openssl dgst -sha256 -binary | base32 | tr -d = | tr '[:upper:]' '[:lower:]'
$ek
EOF
)"
enrolled "tpm $own $ek hub=h.example device=pump assigning=1"
check "they register by their TPM keys" microsoft "$port" "$scope" tpm "$work/tpm"
check_equal "they are told hub and device" "h.example pump" "$(said '"\(.assignedHub) \(.deviceId)"')"
check "with the hub's key they make tokens that the hub takes" hub_takes pump "$(said .token)"
check_equal "in five requests" "challenge register poll poll telemetry" "$(jq -r .stage "$work/dps.log" | tr '\n' ' ' | sed 's/ $//')"
enrolled "tpm $own $ek fault=duplicate"
check_fails "their TPM refuses a key that was tampered with" "" microsoft "$port" "$scope" tpm "$work/tpm"
enrolled "tpm $own $ek fault=duplicate@poll"
check_fails "the hub's key, too" "" microsoft "$port" "$scope" tpm "$work/tpm"

# ---- ours at the same double, with their keys; they with ours
register() {
    "$T2C" dps register --scope "$scope" --endpoint "$dps_url" --trust "$dps_ca" --json "$@"
}
check_equal "tpm2cloud names the device as they do" "$own $ek" \
    "$("$T2C" dps show --json | jq -r '"\(.registration_id) \(.endorsement_key)"')"
theirs=$(public 0x81000100)
enrolled "tpm $own $ek fault=duplicate"
check_fails "a registration that fails" 0x3df register
check_equal "their key is still there" "$theirs" "$(public 0x81000100)"
enrolled "tpm $own $ek hub=h.example device=pump"
check "tpm2cloud registers below their SRK, over their key" register
check_equal "it is told the same" "h.example pump $own" "$(said '"\(.assigned_hub) \(.device_id) \(.registration_id)"')"
check "with the key that tpm2cloud put there" microsoft token "$work/tpm" h.example pump
check "they make tokens that the hub takes" hub_takes pump "$(cat "$work/out")"
enrolled "set retry_after=0" "tpm $own $ek"
check "and they register again over that" microsoft "$port" "$scope" tpm "$work/tpm"

# ---- the same key in software and in the TPM
key=$(openssl rand -base64 32)
device="pump-(1)*'!+%_#?,:=@\$"
printf 'HostName=h.example;DeviceId=%s;SharedAccessKey=%s\n' "$device" "$key" >"$work/string"
check "a connection string in the TPM" "$T2C" sas import pump --from "$work/string"
ours=$("$T2C" sas token pump)
expiry=$(printf %s "$ours" | sed 's/.*se=\([0-9]*\).*/\1/')
check "their token of that key" microsoft sas "h.example/devices/$device" "$key" "$expiry"
check_equal "is ours, byte by byte" "$(cat "$work/out")" "$ours"

# ---- by a certificate
"$ESTCA" init "$work/ca" --name fleet >/dev/null
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/key.pem" 2>/dev/null
openssl req -new -key "$work/key.pem" -subj /CN=pump-1 -out "$work/csr.pem"
"$ESTCA" sign "$work/ca" --csr "$work/csr.pem" --out "$work/cert.pem"
"$ESTCA" sign "$work/ca" --csr "$work/csr.pem" --out "$work/old.pem" --not-before -7200 --lifetime 3600
enrolled "group fleet $work/ca/root.pem hub=h.example"
check "they register by a certificate" microsoft "$port" "$scope" x509 "$work/cert.pem" "$work/key.pem" pump-1
check_equal "of the group" "h.example pump-1 fleet" "$(said '"\(.assignedHub) \(.deviceId) \(.x509.enrollmentGroupId)"')"
check_fails "an expired one is refused" "Invalid certificate." microsoft "$port" "$scope" x509 "$work/old.pem" "$work/key.pem" pump-1
finish
