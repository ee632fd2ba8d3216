# shellcheck shell=sh disable=SC2034,SC2154
# What the scenes of libaziot_keys do; sourced by test/crash/try through a scene's env, which sets CALLS, LIBRARY, TPMS, the
# CALL that is stopped or disturbed, and below which points, hmacs of keys that were there before.
# The TPMs, one for each slot, run on from point to point; what a killed program left in one is flushed.

at=$TPMS/${CRASH_SLOT:-0}
export TPM2TOOLS_TCTI="swtpm:path=$at"
params=

# aziot CALL...: as a keyd that was started again; its answers are in $slot/answer.
aziot() {
    # shellcheck disable=SC2086
    "$CALLS" "$LIBRARY" "$tree/home" $params calls "$@" >"$slot/answer" 2>>"$slot/daemon"
}
undertake() {
    # shellcheck disable=SC2086
    disturbed "$CALLS" "$LIBRARY" "$tree/home" $params calls "$CALL"
    [ "$status" -ne 2 ] || status=1 # either code of an error
    if [ "$status" -eq 137 ]; then
        tpm2_flushcontext -t 2>"$slot/err"
        tpm2_flushcontext -l 2>"$slot/err"
    fi
}
carry_on() {
    stands "after the first run"
    [ "$kind,$status" = "loss,137" ] || [ "$status" -ne 0 ] || is_done || end FAIL "it reported success and is not done"
    again
    is_done || end FAIL "it is not done in the end"
}
again() {
    aziot "$CALL" || end FAIL "it does not go on: $(tail -n 1 "$slot/daemon")"
}
completed() {
    stands "in the end"
}
# is ID POINT: the key pair ID is the one that had POINT.
is() {
    aziot "signs:$1:$2"
}
# missing ID: there is no such key, which is another thing than one that is no good.
missing() {
    ! aziot "$1" && [ "$(tail -n 1 "$slot/answer")" = "rc 1" ]
}
# hmac_of ID
hmac_of() {
    aziot "hmac:$1" && sed -n 's/^hmac //p' "$slot/answer"
}
