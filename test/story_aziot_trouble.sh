#!/bin/sh
# keyd runs on while the TPM is not there, killed, reset, in lockout, or has keys of others where ours were: it says what is wrong,
# goes on by itself, and never answers with another key.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm swtpm_ioctl openssl tpm2_load tpm2_create tpm2_startup
tpm_start
"$T2C" key create srk >/dev/null
mkdir "$work/home"
library=$BUILD/.libs/libaziot_keys.so

stock_preloaded() {
    if [ -n "$PRELOAD" ]; then
        LD_PRELOAD=$PRELOAD "$@"
    else
        "$@"
    fi
}
# keyd_start: runs from here on, and does what ask says.
keyd_start() {
    mkfifo "$work/calls"
    : >"$work/answers"
    stock_preloaded "$BUILD/aziot_calls" "$library" "$work/home" calls - <"$work/calls" >"$work/answers" 2>"$work/log" &
    keyd=$!
    pids="$pids $keyd"
    exec 3>"$work/calls"
}
keyd_stop() {
    echo end >&3 # swtpm has the pipe open, too
    wait "$keyd"
}
has_answered() {
    [ "$(grep -c '^rc ' "$work/answers")" -ge "$asked" ]
}
# ask CALL: prints what is answered before its code; fails unless that is 0.
ask() {
    asked=$(($(grep -c '^rc ' "$work/answers") + 1))
    echo "$1" >&3
    wait_for 60 has_answered || return 1
    tail -n 2 "$work/answers" | sed -n "s/^${1%%:*} //p"
    [ "$(tail -n 1 "$work/answers")" = "rc 0" ]
}
# same WHEN: each key answers as it did at first.
same() {
    check "$1: a pair signs" ask "signs:pair:$point"
    check_equal "$1: an HMAC" "$hmac" "$(ask hmac:key)"
    check_equal "$1: a derived key" "$derived" "$(ask derive:key:data)"
    check_equal "$1: what is encrypted" "$encrypted" "$(ask encrypt:enc)"
}
tpm_reset() {
    swtpm_ioctl --unix "$work/tpm.ctrl" -i
    tpm2_startup -c
}

keyd_start
for call in create:pair create-key:key create-enc:enc; do
    check "$call" ask $call
done
point=$(ask point:pair) hmac=$(ask hmac:key) derived=$(ask derive:key:data) encrypted=$(ask encrypt:enc)
same "at first"

tpm_reset
same "the TPM was reset"

tpm_kill
tpm_start "$work/tpm-state"
same "the TPM was killed and started"

# ---- keys of others ----

# Without resource manager, the first program that loads a key after a reset gets the handle where ours was.
printf 'other key' >"$work/other"
tpm2_create -Q -C 0x81000001 -G hmac -u "$work/hmac.pub" -r "$work/hmac.priv"
tpm2_create -Q -C 0x81000001 -G ecc -u "$work/ecc.pub" -r "$work/ecc.priv"
tpm2_create -Q -C 0x81000001 -i "$work/other" -u "$work/sealed.pub" -r "$work/sealed.priv"
transient() {
    tpm2_getcap handles-transient | tr -d '\n'
}
# displaced CALL...: where the keys of CALL were, there are others then.
displaced() {
    for other in hmac ecc sealed; do
        tpm_reset
        ask "$1" >"$work/out"
        check_equal "${1%%:*}: the key is loaded" "- 0x80000001" "$(transient)"
        tpm_reset
        tpm2_load -Q -C 0x81000001 -u "$work/$other.pub" -r "$work/$other.priv" -c "$work/other.ctx" -n "$work/name"
        check_equal "${1%%:*}: of others, a key ($other) is there" "- 0x80000001" "$(transient)"
        check_equal "${1%%:*}: the answer is the right one" "$2" "$(ask "$1" || echo failed)"
        tpm2_readpublic -Q -c 0x80000001 -n "$work/name.there"
        check "${1%%:*}: and the other key stays" cmp "$work/name" "$work/name.there"
    done
}
displaced "signs:pair:$point" ""
displaced hmac:key "$hmac"
displaced derive:key:data "$derived"
displaced encrypt:enc "$encrypted"

# Or another one of our own, which was not loaded before.
check "a second HMAC key" ask create-key:second
tpm_reset
ask hmac:key >"$work/out"
tpm_reset
second=$(ask hmac:second)
check_equal "after a reset, it is loaded where the first one was" "- 0x80000001" "$(transient)"
check_equal "which answers as itself" "$hmac" "$(ask hmac:key)"
check_equal "as does the second" "$second" "$(ask hmac:second)"
check "they are not the same" [ "$hmac" != "$second" ]

# What has not been used for a second is looked at before it is unloaded.
tpm_reset
ask hmac:key >"$work/out"
check_equal "a key is loaded" "- 0x80000001" "$(transient)"
sleep 1.1
tpm_reset
tpm2_load -Q -C 0x81000001 -u "$work/hmac.pub" -r "$work/hmac.priv" -c "$work/other.ctx" -n "$work/name"
check "it is removed while others have its handle" ask delete-key:key
tpm2_readpublic -Q -c 0x80000001 -n "$work/name.there"
check "whose key stays" cmp "$work/name" "$work/name.there"

# ---- lockout, which these keys are not subject to ----

tpm2_flushcontext -t
tpm2_dictionarylockout -s -n 1 -t 3600 -l 10
tpm2_create -Q -C 0x81000001 -G ecc -p right -u "$work/da.pub" -r "$work/da.priv"
tpm2_load -Q -C 0x81000001 -u "$work/da.pub" -r "$work/da.priv" -c "$work/da.ctx"
head -c 32 /dev/zero >"$work/digest"
check_fails "somebody locks the TPM" "" tpm2_sign -c "$work/da.ctx" -p wrong -g sha256 -d -o "$work/sig" "$work/digest"
check_fails "it is locked for keys of others" "" tpm2_sign -c "$work/da.ctx" -p right -g sha256 -d -o "$work/sig" "$work/digest"
tpm2_flushcontext -t
check "in lockout, a pair signs" ask "signs:pair:$point"
check_equal "and a key makes an HMAC" "$second" "$(ask hmac:second)"
check_equal "and one encrypts" "$encrypted" "$(ask encrypt:enc)"
check "and another is made" ask create-key:third
tpm2_dictionarylockout -c

keyd_stop
tpm_clean "keyd ends"
finish
