#!/bin/sh
# What can go wrong when a device registers at DPS: each time the reason is told, and the key that works is not touched.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/dps.sh"
need swtpm openssl jq tpm2_getcap tpm2_create tpm2_evictcontrol tpm2_hmac
dps_needed
handle=0x81000100

register() {
    "$T2C" dps register --scope "$scope" --endpoint "$dps_url" --trust "$dps_ca" --force "$@"
}
# what the TPM has, and what the key at the handle makes of "text"
state() {
    tpm2_getcap handles-persistent
    tpm2_getcap handles-transient
    tpm2_getcap handles-loaded-session
    rm -f "$work/mac"
    printf text | tpm2_hmac -Q -c $handle -o "$work/mac" 2>/dev/null
    od -An -v -w32 -tx1 "$work/mac" 2>/dev/null
}
# refused WHAT TEXT SETTINGS [ARGUMENTS...]: with such an enrolment it fails with TEXT, and the TPM has what it had
refused() {
    refusal=$1 text=$2
    enrolled "set retry_after=0" "tpm dev-1 $ek $3"
    shift 3
    check_fails "$refusal" "$text" register --tpm --id dev-1 "$@"
    check_equal "$refusal: the TPM has what it had" "$before" "$(state)"
}
# asked_for REGISTRATION STAGES: the requests since the last time that something was enrolled
asked_for() {
    check_equal "requests for $1" "$2" "$(jq -r "select(.registration == \"$1\").stage" "$work/dps.log" | tr '\n' ' ' | sed 's/ $//')"
}
# with_second COMMAND...: with the other TPM
with_second() {
    (
        export TPM2CLOUD_TCTI="swtpm:path=$work/second" TPM2TOOLS_TCTI="swtpm:path=$work/second" TPM2CLOUD_CONF="$work/second.conf"
        "$@"
    )
}
# beside NAME ARGUMENTS...: registers by another TPM while other things are tried; finished NAME: its end
beside() {
    beside=$work/beside.$1
    shift
    with_second register "$@" >"$beside.out" 2>"$beside.err"
    echo $? >"$beside.code"
}
finished() {
    wait_for 30 test -s "$work/beside.$1.code"
    cat "$work/beside.$1.out"
    cat "$work/beside.$1.err" >&2
    return "$(cat "$work/beside.$1.code")"
}

tpm_start
dps_start
"$T2C" key create srk >/dev/null
ek=$("$T2C" dps show --json | jq -r .endorsement_key)
mkdir "$work/second-state"
swtpm socket --tpm2 --tpmstate dir="$work/second-state" --server type=unixio,path="$work/second" \
    --ctrl type=unixio,path="$work/second.ctrl" --flags not-need-init,startup-clear 2>"$work/second.err" &
pids="$pids $!"
printf '%s = %s\n' keys_dir "$work/second-keys" certs_dir "$work/second-certs" dps_dir "$work/second-dps" >"$work/second.conf"
wait_for 15 test -S "$work/second"
second_ek=$(with_second "$T2C" dps show --json | jq -r .endorsement_key)

# ---- certificates of a fleet's CA
"$ESTCA" init "$work/ca" --name fleet >/dev/null
certify() { # NAME ESTCA-OPTIONS...: a key in the TPM, with a certificate
    name=$1
    shift
    "$T2C" key create "$name" >/dev/null && "$T2C" csr "$name" --subject "/CN=$name" --out "$work/$name.csr" &&
        "$ESTCA" sign "$work/ca" --csr "$work/$name.csr" --out "$work/$name.pem" "$@" &&
        "$T2C" cert import "$name" "$work/$name.pem" >/dev/null
}
certify old --not-before -7200 --lifetime 3600
certify revoked
printf '[ca]\ndefault_ca=d\n[d]\ndatabase=%s\ndefault_md=sha256\ndefault_crl_days=1\n' "$work/index" >"$work/crl.cnf"
: >"$work/index"
for order in "-revoke $work/revoked.pem" "-gencrl -out $work/crl.pem"; do
    # shellcheck disable=SC2086
    openssl ca -config "$work/crl.cnf" -cert "$work/ca/ca.pem" -keyfile "$work/ca/ca.key" $order 2>"$work/err"
done

# ---- no key is there yet
before=$(state)
refused "a credential that was changed" 0x1df fault=credential
refused "a duplicate that was changed" 0x3df fault=duplicate

# ---- one is there that is not ours
tpm2_create -Q -C 0x81000001 -G hmac -u "$work/foreign.pub" -r "$work/foreign.priv" -c "$work/foreign.ctx"
tpm2_flushcontext -t
tpm2_evictcontrol -Q -C o -c "$work/foreign.ctx" $handle
tpm2_flushcontext -t
before=$(state)
always="group fleet $work/ca/root.pem crl=$work/crl.pem
tpm failed $second_ek status=failed
tpm cut $second_ek fault=cut
tpm slow $second_ek fault=slow"
enrolled
{
    beside failed --id failed
    beside cut --id cut --timeout 3
    beside slow --id slow --timeout 1
} &

check_fails "a certificate that has expired" '"Invalid certificate." (HTTP 401, errorCode 401002' register --x509 old
check_fails "one that is revoked" '"Invalid certificate." (HTTP 401, errorCode 401002' register --x509 revoked
check_equal "both for their reason" "old: certificate has expired; revoked: the certificate is revoked; " \
    "$(jq -jr 'select(.registration == ("old", "revoked")) | "\(.registration): \(.why); "' "$work/dps.log")"
refused "another scope" 'DPS knows no such registration: "Resource not found." (HTTP 404, errorCode 404002' "" --scope 0ne00OTHER
refused "a challenge for another EK" "made for another endorsement key" fault=wrong-ek
refused "half a challenge" "damaged at byte" fault=halved-key
refused "a challenge that is no base64" "unusable authenticationKey" fault=key-text
refused "no challenge" "Authorization required" fault=no-key
refused "a token that is out of date" "this device's clock is 7" clock=7200
asked_for dev-1 "challenge refused"
refused "an operation that leads elsewhere" "unusable operationId" fault=bad-operation
refused "a redirect" "sends us elsewhere" fault=redirect
refused "an answer that is too long" "longer than" fault=large
refused "a page of a gateway that is too long" "DPS has a fault: (HTTP 503); gave up after 1 try" fault=large-busy
refused "too much to do, for longer than we wait" "has too much to do" fault=throttle-long
asked_for dev-1 challenge
refused "a version that is not served" "--api-version" "" --api-version 1999-01-01
refused "a hub's key that was changed" "but the hub's key cannot be used" fault=credential@poll
asked_for dev-1 "challenge register poll"

# ---- what may pass, and a key of ours in its place
enrolled "set retry_after=0" "tpm dev-1 $ek fault=500:1@challenge,cut:1@register"
check "it goes on after an error and an answer that was cut" register --id dev-1
check_equal "which is told" "1 1" "$(grep -c "Internal server error.*trying again in" "$work/err") $(grep -c "cut off.*trying again in" "$work/err")"
check_equal "the hub's key is in place of the other" "$(given_mac hub dev-1 text)" "$(state | tail -n 1 | tr -d ' ')"

# ---- beside that
check_fails "a registration that failed" "IoTHub unauthorized" finished failed
check_fails "no answer is whole" "was cut off" finished cut
check_fails "an answer takes too long" "timed out" finished slow
check_equal "no key is left there" "- 0x81000001" "$(with_second tpm2_getcap handles-persistent)"
finish
