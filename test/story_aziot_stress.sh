#!/bin/sh
# libaziot_keys with many keys and many calls, on a TPM with three slots and no resource manager: every answer is the right one, and
# nothing is left in the TPM, on the disk or in memory.
#
# $SCALE keys and $CALLS calls; test/run --all takes 1,000, and 100,000 with the address sanitizer. $SEED says which calls.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm tpm2_getcap
scale=${SCALE:-24} calls=${CALLS:-4000} seed=${SEED:-1}
library=$BUILD/.libs/libaziot_keys.so
tpm_start
"$T2C" key create srk >/dev/null
# A process that is instrumented keeps what it freed for a while.
instrumented=false
! grep -q '^INSTRUMENT = .*-fsanitize' "$BUILD/Makefile" || instrumented=true

# stress ARGUMENTS...: see test/aziot_stress.c. What the library says of each bad call is not looked at, a sanitizer is.
stress() {
    mkdir -p "$work/home"
    if [ -n "$PRELOAD" ]; then
        LD_PRELOAD=$PRELOAD "$BUILD/aziot_stress" "$library" "$work/home" "$@" >"$work/answers" 2>"$work/log"
    else
        "$BUILD/aziot_stress" "$library" "$work/home" "$@" >"$work/answers" 2>"$work/log"
    fi || {
        cat "$work/answers" >&2
        grep -v '^libaziot_keys: ' "$work/log" >&2
        return 1
    }
}
grown_kib() {
    awk '$1 == "rss" { print $3 - $2 }' "$work/answers"
}
# is_small WHAT MAX: the memory grew by so many KiB at most.
is_small() {
    if $instrumented; then
        skip "$1" "a sanitizer keeps memory"
    else
        check "$1 ($(grown_kib) KiB)" [ "$(grown_kib)" -le "$2" ]
    fi
}

check_equal "the TPM has 3 slots for objects" 0x3 \
    "$(tpm2_getcap properties-fixed | sed -n '/HR_TRANSIENT_MIN/,/raw/ { s/.*raw: //p; }')"
check "$scale keys are made, used twice, moved and removed" stress scale "$scale"
is_small "an open key takes 16 KiB at most, and all of them the first 16 MiB" $((16384 + 16 * scale))
tpm_clean "$scale keys"
check_equal "and nothing on the disk" "" "$(ls -A "$work/home/keys")"

check "$calls calls by 4 threads, seed $seed: each answer is the right one" stress mix "$calls" "$seed"
check "so many were made" [ "$(sed -n 's/^calls //p' "$work/answers")" -ge "$calls" ]
is_small "the memory does not grow" 4096
tpm_clean "$calls calls"
check_equal "no temporary file is left" "" "$(find "$work/home" -name '.*')"
finish
