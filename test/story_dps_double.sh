#!/bin/sh
# The double of DPS, asked by curl, with tpm2-tools for the TPM: what later stories rely on, shown without any code of ours.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/dps.sh"
need swtpm openssl curl jq tpm2_createek tpm2_import tpm2_hmac
dps_needed
tpm_start
dps_start

# say METHOD PATH [CURL-ARGUMENTS...]: sets $status; the answer is $work/answer
say() {
    method=$1 address=$2
    shift 2
    status=$(curl -sS --cacert "$dps_ca" -X "$method" -o "$work/answer" -D "$work/head" -w '%{http_code}' \
        -H 'Content-Type: application/json' "$@" "$dps_url/$address?api-version=2021-06-01" 2>"$work/curl.err")
}
# answers WHAT STATUS JQ-FILTER: what was answered last
answers() {
    check_equal "$1" "$2 true" "$status $(jq -e "$3" "$work/answer" 2>&1)"
}
# a public area as DPS wants it
public() {
    tpm2_readpublic -Q -c "$1" -f tss -o "$work/public" && openssl base64 -A -in "$work/public"
}
# parents ALGORITHM: EK and SRK of that kind at $work/ek.ctx and srk.ctx
parents() {
    tpm2_createek -Q -G "$1" -c "$work/ek.ctx" -u "$work/ek.pub"
    tpm2_createprimary -Q -C o -G "$2" -c "$work/srk.ctx" \
        -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|noda|restricted|decrypt'
    tpm2_flushcontext -t
    ek=$(public "$work/ek.ctx") srk=$(public "$work/srk.ctx")
    tpm2_flushcontext -t
}
body() {
    printf '{"registrationId":"%s","tpm":{"endorsementKey":"%s","storageRootKey":"%s"}}' "$1" "$ek" "$srk"
}
# split BASE64: the six fields as files $work/1..6, with their sizes
split='import base64, struct, sys
octets, at = base64.b64decode(sys.argv[1]), 0
for number in range(1, 7):
    size = 2 + struct.unpack_from(">H", octets, at)[0]
    open("%s/%d" % (sys.argv[2], number), "wb").write(octets[at:at + size])
    at += size
sys.exit(at != len(octets))'
# import_key BLOB: the key of a challenge, loaded at $work/key.ctx
import_key() {
    /usr/bin/python3 -c "$split" "$1" "$work" || return
    { printf '\272\334\300\336\000\000\000\001' && cat "$work/1" "$work/2"; } >"$work/credential"
    tpm2_startauthsession --policy-session -S "$work/session" && tpm2_policysecret -Q -S "$work/session" -c e &&
        tpm2_activatecredential -Q -c "$work/srk.ctx" -C "$work/ek.ctx" -P "session:$work/session" -i "$work/credential" \
            -o "$work/inner"
    code=$?
    tpm2_flushcontext "$work/session"
    tpm2_flushcontext -t
    [ "$code" -eq 0 ] &&
        tpm2_import -Q -C "$work/srk.ctx" -i "$work/3" -u "$work/5" -s "$work/4" -k "$work/inner" -r "$work/key.priv" &&
        tpm2_load -Q -C "$work/srk.ctx" -u "$work/5" -r "$work/key.priv" -c "$work/key.ctx" && tpm2_flushcontext -t
}
tpm_mac() {
    printf %s "$1" | tpm2_hmac -Q -c "$work/key.ctx" -o "$work/mac"
    tpm2_flushcontext -t
}
hex() {
    od -An -v -tx1 "$1" | tr -d ' \n'
}

# sign RESOURCE [SECONDS]: a token by the TPM's key, for an hour unless SECONDS says else, as an Authorization header
sign() {
    expiry=$(($(date +%s) + ${2:-3600}))
    resource=$(printf %s "$1" | sed 's|/|%2F|g')
    tpm_mac "$resource
$expiry"
    mac=$(openssl base64 -A -in "$work/mac" | sed 's|+|%2B|g; s|/|%2F|g; s|=|%3D|g')
    echo "Authorization: SharedAccessSignature sr=$resource&sig=$mac&se=$expiry"
}

for kinds in "rsa rsa2048" "ecc ecc256"; do
    kind=${kinds% *} device=dev-$kind path=$scope/registrations/dev-$kind
    # shellcheck disable=SC2086
    parents $kinds
    enrolled "tpm $device $ek assigning=1 hub=h.example device=$device-of-hub"
    say PUT "$path/register" -d "$(body "$device")"
    answers "$kind: a TPM gets a challenge" 401 '.keyName == "registration"'
    check "$kind: tpm2-tools import its key" import_key "$(jq -r .authenticationKey "$work/answer")"
    tpm_mac text
    check_equal "$kind: which signs as the one that was given" "$(given_mac registration "$device" text)" "$(hex "$work/mac")"
    token="$(sign "$path")&skn=registration"
    say PUT "$path/register" -d "{\"registrationId\":\"$device\"}" -H "$token"
    answers "$kind: its token registers" 202 '.status == "assigning"'
    operation=$(jq -r .operationId "$work/answer")
    say GET "$path/operations/$operation" -H "$token"
    answers "$kind: it has to come again" 202 '.registrationState.status == "assigning"'
    check "$kind: after a second" grep -qi "^retry-after: 1" "$work/head"
    say GET "$path/operations/$operation" -H "$token"
    answers "$kind: it is assigned" 200 ".registrationState | .assignedHub == \"h.example\" and .deviceId == \"$device-of-hub\""
    check "$kind: the hub's key" import_key "$(jq -r .registrationState.tpm.authenticationKey "$work/answer")"
    say POST "devices/$device-of-hub/messages/events" -H "$(sign "h.example/devices/$device-of-hub")"
    check_equal "$kind: which the hub knows" 204 "$status"
done

# ---- who is refused
say PUT "$path/register" -d "{\"registrationId\":\"$device\"}" -H "$token"
answers "a token of the first key, after a later one" 202 true
check_equal "no request is missing in the log" "6 1 2" "$(asked) $(asked '.stage == "challenge"') $(asked '.stage == "poll"')"
say PUT "$path/register" -d "{\"registrationId\":\"$device\"}" -H "$(sign "$path")&skn=registration"
answers "a token by another key" 401 '.errorCode == 401002'
finish
