#!/bin/sh
# A device registers at DPS, by its TPM and by a certificate: what an enrolment needs, what comes of it, what is
# kept, and which key is at the handle then.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/dps.sh"
need swtpm openssl curl jq tpm2_createprimary tpm2_readpublic tpm2_hmac
dps_needed
tpm_start
dps_start

# register ARGUMENTS...
register() {
    "$T2C" dps register --scope "$scope" --endpoint "$dps_url" --trust "$dps_ca" "$@"
}
# told FILTER: what jq's FILTER makes of the last registration by --json
told() {
    jq -r "$1" "$work/told"
}
json() {
    register --json "$@" >"$work/told"
}
# signs_as KEY-OF DEVICE: the key at the handle signs as the one that the double gave
signs_as() {
    printf text >"$work/text"
    tpm2_hmac -Q -c 0x81000100 -o "$work/mac" "$work/text" &&
        [ "$(od -An -v -tx1 "$work/mac" | tr -d ' \n')" = "$(given_mac "$1" "$2" text)" ]
}
name_at() { # HANDLE
    tpm2_readpublic -c "$1" 2>/dev/null | sed -n 's/^name: //p'
}

# ---- what an enrolment needs ----

"$T2C" key create ek >/dev/null
"$T2C" dps show --json >"$work/shown"
tpm2_readpublic -Q -c 0x81010001 -f tss -o "$work/ek.tss"
ek=$(jq -r .endorsement_key "$work/shown") id=$(jq -r .registration_id "$work/shown")
check_equal "the endorsement key, as tpm2-tools read it" "$(openssl base64 -A -in "$work/ek.tss")" "$ek"
check_equal "the registration id, as Microsoft's tools make it" \
    "$(openssl dgst -sha256 -binary "$work/ek.tss" | base32 -w0 | tr -d = | tr '[:upper:]' '[:lower:]')" "$id"
check_equal "and its hash" "$(sha256sum <"$work/ek.tss" | cut -d ' ' -f 1)" "$(jq -r .endorsement_key_sha256 "$work/shown")"
check "nothing was made by that" [ -z "$(name_at 0x81000001)" ]
check "the same in words" sh -c "'$T2C' dps show --id dev-1 | grep -q '^registration id:  dev-1$'"

# ---- what fails leaves everything as it was; a key of aziot-tpmd is at the handle ----

"$T2C" key create srk >/dev/null
printf 'of aziot-tpmd' >"$work/old"
tpm2_import -Q -C 0x81000001 -G hmac -i "$work/old" -u "$work/old.pub" -r "$work/old.priv" &&
    tpm2_load -Q -C 0x81000001 -u "$work/old.pub" -r "$work/old.priv" -c "$work/old.ctx" &&
    tpm2_evictcontrol -Q -C o -c "$work/old.ctx" 0x81000100
tpm2_flushcontext -t
old=$(name_at 0x81000100)
check "there is an earlier key" [ -n "$old" ]
enrolled "tpm other $ek"
check_fails "a device that is not enrolled" 'DPS knows no such registration: "Enrollment not found." (HTTP 404, errorCode 404201, trackingId' register
enrolled "tpm $id $(openssl base64 -A -in "$work/old.pub")"
check_fails "another endorsement key is enrolled" 'compare the endorsement key of the enrolment with: tpm2cloud dps show' register
enrolled "tpm $id $ek fault=credential"
check_fails "a credential that was changed" "the TPM does not open the credential of the challenge: TPM answered 0x1df" register
enrolled "tpm $id $ek fault=duplicate"
check_fails "a key that was changed" "the TPM does not take the key of the challenge: TPM answered 0x3df" register
enrolled "tpm $id $ek"
check_fails "a server that the system does not trust" "is not trusted" "$T2C" dps register --scope "$scope" --endpoint "$dps_url"
check_equal "the earlier key is at the handle" "$old" "$(name_at 0x81000100)"
check "nothing was kept" [ ! -e "$work/dps/$id.json" ]
tpm_clean "after failures"

# ---- by the TPM ----

enrolled "tpm $id $ek hub=h1.example device=first retry_after="
check "it registers" json
check_equal "at a hub, as a device" "h1.example first tpm false" "$(told '"\(.assigned_hub) \(.device_id) \(.attestation) \(.kept)"')"
check "with the hub's key at the handle" signs_as hub "$id"
check_equal "a key that may sign, and go nowhere" "userwithauth|noda|sign" \
    "$(tpm2_readpublic -c 0x81000100 | sed -n '/^attributes/,/raw/s/^  value: //p')"
hub() { # TOKEN: what the hub answers to whoever shows it
    curl -sS --cacert "$dps_ca" -o "$work/answer" -w '%{http_code}' -H "Authorization: $1" -d '{}' "$dps_url/devices/first/messages/events"
}
check_equal "the hub takes its token" 204 "$(hub "$("$T2C" dps token --ttl 10m)")"
tpm_clean "after a registration"
check_equal "the requests that it takes" "challenge register poll" "$(jq -r .stage "$work/dps.log" | sed /telemetry/d | xargs)"
json
check_equal "the second time nobody is asked" "3 h1.example true" "$(asked '.stage != "telemetry"') $(told '"\(.assigned_hub) \(.kept)"')"
tpm2_evictcontrol -Q -C o -c 0x81000100
enrolled "tpm $id $ek fault=credential"
check_fails "no key, no token" "the key of $id: no object at handle 0x81000100" "$T2C" dps token
check_fails "but when the key is gone" 0x1df register
check_fails "or by force" 0x1df register --force
check_equal "they are" 2 "$(asked)"

# ---- what else may be at the handle ----

tpm2_createprimary -Q -C o -G ecc -c "$work/p.ctx" && tpm2_evictcontrol -Q -C o -c "$work/p.ctx" 0x81000100
tpm2_flushcontext -t
other=$(name_at 0x81000100)
check_fails "a key of another kind is in the way" \
    "handle 0x81000100 is occupied by an object that is no HMAC key (type 0x0023), and that stays; use another handle" register
check_equal "and stays" "$other" "$(name_at 0x81000100)"
tpm2_evictcontrol -Q -C o -c 0x81000100

# ---- by an elliptic curve, with a certificate of another key beside it ----

rm -rf "$work/keys"
tpm2_evictcontrol -Q -C o -c 0x81010001 && tpm2_evictcontrol -Q -C o -c 0x81000001
"$T2C" key create srk --alg ec-p256 >/dev/null && "$T2C" key create ek --alg ec-p256 >/dev/null
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/other.key" -subj /CN=ek -outform DER -out "$work/ek.der" 2>/dev/null
tpm2_nvdefine -Q -C p -s "$(stat -c %s "$work/ek.der")" 0x01C0000A -a "ppwrite|writedefine|ppread|ownerread|authread|no_da|platformcreate"
tpm2_nvwrite -Q -C p -i "$work/ek.der" 0x01C0000A
tpm2_changeauth -Q -c e of-e && tpm2_changeauth -Q -c o of-o
export E_AUTH=of-e O_AUTH=of-o TPM2CLOUD_ENDORSEMENT_AUTH=env:E_AUTH TPM2CLOUD_OWNER_AUTH=env:O_AUTH
"$T2C" dps show --json >"$work/shown" 2>"$work/doubt"
check_equal "another key's certificate is told" "false true" \
    "$(jq -r .certified "$work/shown") $(grep -q "the endorsement key at 0x8101000a is not the one that the certificate in NV index 0x01c0000a is of" "$work/doubt" && echo true)"
"$T2C" key create pump-7 >/dev/null && "$T2C" cert selfsign pump-7 --out "$work/pump.pem" >/dev/null &&
    "$T2C" cert import pump-7 "$work/pump.pem" >/dev/null
mine=$(openssl x509 -in "$work/pump.pem" -outform DER | sha256sum | cut -d ' ' -f 1)
enrolled "tpm dev-ecc $(jq -r .endorsement_key "$work/shown") hub=h2.example retry_after=" "x509 pump-7 $mine hub=h3.example retry_after="
check_fails "without the owner hierarchy's value" \
    "the key of DPS could not be put at its handle, so DPS is not asked: cannot use the owner hierarchy: the TPM's owner" \
    env -u TPM2CLOUD_OWNER_AUTH "$T2C" dps register --id dev-ecc --scope "$scope" --endpoint "$dps_url" --trust "$dps_ca"
check_fails "with a wrong one" "the value of the TPM's owner hierarchy is wrong: correct what \$TPM2CLOUD_OWNER_AUTH names" \
    env O_AUTH=other "$T2C" dps register --id dev-ecc --scope "$scope" --endpoint "$dps_url" --trust "$dps_ca"
sed "s|^dps_dir = .*|dps_dir = $work/ek.der/dps|" "$work/tpm2cloud.conf" >"$work/nowhere.conf"
check_fails "and where nothing can be kept" "the registration could not be kept, so DPS is not asked" \
    env TPM2CLOUD_CONF="$work/nowhere.conf" "$T2C" dps register --id dev-ecc --scope "$scope" --endpoint "$dps_url" --trust "$dps_ca"
check_equal "DPS is not asked" 0 "$(asked)"
check_fails "without the endorsement hierarchy's value" "endorsement" env -u TPM2CLOUD_ENDORSEMENT_AUTH "$T2C" dps register --id dev-ecc \
    --scope "$scope" --endpoint "$dps_url" --trust "$dps_ca" --force
register --json --x509 pump-7 >"$work/by-cert" 2>&1 & # beside that, with the same TPM, which is free while dps waits
beside=$!
check "with it, an elliptic curve registers" json --id dev-ecc
wait $beside
check_equal "at its hub" "h2.example dev-ecc" "$(told '"\(.assigned_hub) \(.device_id)"')"
check "with the hub's key" signs_as hub dev-ecc
json --id Dev-ECC
check_equal "and is not registered again" "4 true" "$(asked '.registration != "pump-7"') $(told .kept)"
tpm2_import -Q -C 0x81000001 -G hmac -i "$work/old" -u "$work/new.pub" -r "$work/new.priv"
tpm_clean "after an elliptic curve"

# ---- by a certificate ----

check_equal "a certificate registers, as its name" "h3.example pump-7 x509 false" \
    "$(jq -r '"\(.assigned_hub) \(.device_id) \(.attestation) \(.kept)"' "$work/by-cert")"
json --x509 pump-7
check_equal "the second time nobody is asked" "2 true" "$(asked '.registration == "pump-7"') $(told .kept)"
enrolled "x509 pump-8 $mine"
check_fails "one whose name is not the registration id" 'its CN the registration id' register --x509 pump-7 --id pump-8
enrolled "tpm pump-7 $ek"
check_fails "an enrolment of a TPM" "and whether the enrolment is one of a certificate" register --force --x509 pump-7
check_fails "a key without a certificate" "srk" register --x509 srk
tpm_clean "after certificates"
check "what was assigned is still kept" jq -e '.assignedHub == "h3.example"' "$work/dps/pump-7.json"

# ---- mistakes ----

tpm2_evictcontrol -Q -C o -P of-o -c 0x81000100 && tpm2_load -Q -C 0x81000001 -u "$work/new.pub" -r "$work/new.priv" -c "$work/new.ctx" &&
    tpm2_evictcontrol -Q -C o -P of-o -c "$work/new.ctx" 0x81000100
tpm2_flushcontext -t
check_fails "a token by a key that came since" "another key than the one of the registration is at handle 0x81000100" "$T2C" dps token --id dev-ecc
check "which doctor notices" sh -c "'$T2C' doctor | grep -q 'another key is at handle 0x81000100, and not the key by which h2.example knows dev-ecc'"
check_fails "a token of what is not registered" "dev-2 is not registered from here" "$T2C" dps token --id dev-2
check_fails "a token where a certificate is shown" "is registered by a certificate" "$T2C" dps token --id pump-7

check_fails "no scope" "--scope is missing" "$T2C" dps register
check_fails "an address that is not safe" "--endpoint http://a is not https://HOST[:PORT]" register --endpoint http://a
check_fails "an id that leads elsewhere" "--id ../x has a character that it cannot have" register --id ../x
check_fails "both ways at once" "either --tpm or --x509 attests" register --tpm --x509 pump-7
check_fails "a handle that is no place for it" "--handle 0x81000001 is not in 0x81000003 to 0x817fffff" register --handle 0x81000001
echo '{' >"$work/dps/pump-7.json"
check_fails "a record that is damaged is passed over" "is damaged: it is no JSON object" register --x509 pump-7
finish
