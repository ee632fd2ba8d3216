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

# ---- which TPM is refused
tokens_body="{\"registrationId\":\"$device\"}"
say PUT "$path/register" -d "$tokens_body" -H "$token"
answers "a token goes on to register, until there is another challenge" 202 true
operation=$(jq -r .operationId "$work/answer")
check_equal "no request is missing in the log" "6 1 2" "$(asked) $(asked '.stage == "challenge"') $(asked '.stage == "poll"')"
say PUT "$path/register" -d "$tokens_body" -H "$(sign "$path")&skn=registration"
answers "a token by the hub's key" 401 '.errorCode == 401002 and .message == "Unauthorized"'
say GET "$path/operations/$operation"
answers "no token" 401 '.errorCode == 401002'
enrolled "tpm $device $ek clock=7200"
say PUT "$path/register" -d "$tokens_body" -H "$token"
answers "a token that has expired by the server's clock" 401 '.errorCode == 401002'
check_equal "the log says why" "the token has expired" "$(jq -r .why "$work/dps.log")"
check "so does the date" test "$(date -d "$(sed -n 's/^Date: //p' "$work/head")" +%s)" -gt "$(($(date +%s) + 7000))"
enrolled "tpm $device ${ek%????}AAA="
say PUT "$path/register" -d "$(body "$device")"
answers "another EK" 400 '.errorCode == 400004 and (.message | startswith("Endorsement key is invalid"))'
say PUT "$scope/registrations/other/register" -d "$(body other)"
answers "an unknown registration" 404 '.errorCode == 404201'
say PUT "0ne00OTHER/registrations/$device/register" -d "$(body "$device")"
answers "another scope" 404 '.errorCode == 404002'
enrolled "tpm $device $ek polls=1"
say GET "$path/operations/$operation" -H "$token"
say GET "$path/operations/$operation" -H "$token"
answers "more polls than allowed" 429 '.errorCode == 429001'

# ---- faults
enrolled "tpm $device $ek fault=cut"
say PUT "$path/register" -d "$(body "$device")"
check "an answer is cut" grep -Eq "curl: .(18|56)." "$work/curl.err"
enrolled "tpm $device $ek fault=500:1,credential"
say PUT "$path/register" -d "$(body "$device")"
answers "an error, once" 500 '.errorCode == 500001'
say PUT "$path/register" -d "$(body "$device")"
check_fails "then a credential that the TPM refuses" "0x1DF" import_key "$(jq -r .authenticationKey "$work/answer")"
enrolled "tpm $device $ek fault=duplicate"
say PUT "$path/register" -d "$(body "$device")"
check_fails "a duplicate that it refuses" "0x3DF" import_key "$(jq -r .authenticationKey "$work/answer")"
check_equal "they are in the log" "duplicate" "$(jq -r '.fault[]' "$work/dps.log")"

# ---- certificates
"$ESTCA" init "$work/ca" --name fleet >/dev/null
"$ESTCA" init "$work/other" --name other >/dev/null
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/key.pem" 2>/dev/null
openssl req -new -key "$work/key.pem" -subj /O=Example/CN=pump-1 -out "$work/csr.pem"
certify() { # NAME CA OPTIONS...
    name=$1 issuer=$2
    shift 2
    "$ESTCA" sign "$work/$issuer" --csr "$work/csr.pem" --out "$work/$name.pem" "$@"
}
certify good ca
certify expired ca --not-before -7200 --lifetime 3600
certify stranger other
openssl x509 -in "$work/good.pem" -out "$work/leaf.pem"
with_cert() { # NAME [REGISTRATION]
    say PUT "$scope/registrations/${2:-pump-1}/register" -d "{\"registrationId\":\"${2:-pump-1}\"}" --cert "$work/$1.pem" --key "$work/key.pem"
}
enrolled "group fleet $work/ca/root.pem"
with_cert good
answers "a certificate of the group's CA registers" 202 '.status == "assigning"'
say GET "$scope/registrations/pump-1/operations/$(jq -r .operationId "$work/answer")" --cert "$work/good.pem" --key "$work/key.pem"
answers "and is assigned" 200 '.registrationState | .deviceId == "pump-1" and .x509.enrollmentGroupId == "fleet"'
with_cert leaf
answers "not without its issuer" 401 '.message == "CA certificate not found."'
with_cert stranger
answers "not one of another CA" 401 '.message == "CA certificate not found."'
with_cert expired
answers "not one that has expired" 401 '.message == "Invalid certificate."'
with_cert good pump-2
answers "not under another name" 401 '.message == "Invalid certificate."'
say PUT "$scope/registrations/pump-1/register" -d '{"registrationId":"pump-1"}'
answers "not without one" 404 '.errorCode == 404201'
printf '[ca]\ndefault_ca=d\n[d]\ndatabase=%s\ndefault_md=sha256\ndefault_crl_days=1\n' "$work/index" >"$work/crl.cnf"
: >"$work/index"
openssl ca -config "$work/crl.cnf" -cert "$work/ca/ca.pem" -keyfile "$work/ca/ca.key" -revoke "$work/leaf.pem" 2>/dev/null
openssl ca -config "$work/crl.cnf" -cert "$work/ca/ca.pem" -keyfile "$work/ca/ca.key" -gencrl -out "$work/crl.pem" 2>/dev/null
enrolled "group fleet $work/ca/root.pem crl=$work/crl.pem"
with_cert good
answers "not one that is revoked" 401 '.message == "Invalid certificate."'
check_equal "the log says why" "the certificate is revoked" "$(jq -r .why "$work/dps.log")"
enrolled "x509 pump-1 $(openssl x509 -in "$work/good.pem" -noout -fingerprint -sha256 | sed 's/.*=//; s/://g')"
with_cert leaf
answers "an enrolled certificate itself, by its thumbprint" 202 true
with_cert expired
answers "and no other" 401 '.message == "Invalid certificate."'
finish
