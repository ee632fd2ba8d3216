#!/bin/sh
# What a signature and an HMAC cost keyd: through libaziot_keys, and by its stock library's way through tpm2-pkcs11, beside raw
# TPM commands, on a simulated TPM. Prints the tables and writes them to docs/aziot-bench.md. Part of `make bench`; alone:
#
#     tools/setup bench && make -C build/plain aziot-bench [BENCH_PAIRS=1000] [BENCH_ROUNDS=100]
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/token.sh"
set -e
measure=$BUILD/test/bench/measure
pairs=${BENCH_PAIRS:-1000} rounds=${BENCH_ROUNDS:-100}
home=$work/home
[ -z "$PRELOAD" ] || {
    echo "bench: this build has sanitizers in it; its times mean nothing" >&2
    exit 1
}
for program in swtpm tpm2_create tpm2_evictcontrol; do
    command -v $program >/dev/null || {
        echo "bench: $program is not installed; run tools/setup bench" >&2
        exit 1
    }
done

# ---- the keys: all are P-256 and HMAC-SHA256, below the same storage root key ----

tpm_start
"$T2C" key create ldevid --alg ec-p256 >/dev/null
mkdir "$home"
"$BUILD/aziot_calls" "$BUILD/.libs/libaziot_keys.so" "$home" calls create:device-id \
    create-key:aziot_identityd_master_id create-key:handle-validation-key >/dev/null
tpm2_create -Q -C 0x81000001 -G hmac:sha256 -u "$work/mac.pub" -r "$work/mac.priv"
tpm2_flushcontext -t
tpm2_load -Q -C 0x81000001 -u "$work/mac.pub" -r "$work/mac.priv" -c "$work/mac.ctx"
tpm2_flushcontext -t
tpm2_evictcontrol -Q -C o -c "$work/mac.ctx" 0x81000010
tpm2_flushcontext -t
export TSS2_LOG=all+NONE BENCH_TCTI="$TPM2CLOUD_TCTI" BENCH_HANDLE=0x81000002 BENCH_HMAC_HANDLE=0x81000010
export BENCH_AZIOT_LIBRARY="$BUILD/.libs/libaziot_keys.so" BENCH_AZIOT_HOMEDIR="$home"
module=$(token_module)
if [ -n "$module" ] && command -v tpm2_ptool >/dev/null; then
    token_tools "$work/store"
    { ptool init --primary-handle=0x81000001 && ptool addtoken --pid 1 --sopin 1234 --userpin 1234 --label edge &&
        ptool addkey --label edge --userpin 1234 --algorithm ecc256 --key-label device-id &&
        ptool addkey --label edge --userpin 1234 --algorithm hmac:sha256 --key-label device-id; } || {
        cat "$work/ptool.log" >&2
        exit 1
    }
    export BENCH_PKCS11_LIBRARY="$module" BENCH_PKCS11_TOKEN=edge
fi

# ---- what it costs ----

counted() { # COMMAND...: with the counting TCTI in every way to the TPM
    counter=$BUILD/.libs/tcti_count.so:$TPM2TOOLS_TCTI
    rm -f "$work/commands"
    env T2C_TCTI_LOG="$work/commands" T2C_TCTI_SIZES=1 BENCH_TCTI="$counter" TPM2CLOUD_TCTI="$counter" \
        TPM2_PKCS11_TCTI="$counter" "$@"
}

# first KIND: the first signature of a process, from start to end; the yardstick is a process that sends one raw command.
first() {
    kind=$1
    set -- -- raw "$measure" aziot-once "$kind" raw -- record "$measure" aziot-once "$kind" record
    [ "$kind" = hmac ] || set -- "$@" -- named "$measure" aziot-once "$kind" named
    [ "$kind" = pair ] || set -- "$@" -- validation "$measure" aziot-once "$kind" validation
    [ -z "${BENCH_PKCS11_LIBRARY:-}" ] || set -- "$@" -- stock "$measure" aziot-once "$kind" stock \
        -- kept "$measure" aziot-once "$kind" kept
    counted "$measure" cold-count "$@" >"$work/$kind-first-count"
    "$measure" cold "$rounds" "$@" >"$work/$kind-first"
}
for kind in pair hmac; do
    echo "bench: aziot, $kind" >&2
    counted "$measure" aziot-count "$kind" >"$work/$kind-count"
    "$measure" aziot "$kind" "$pairs" >"$work/$kind"
    first "$kind"
done

# field FILE ID NUMBER
field() {
    awk -F '\t' -v id="$2" -v n="$3" '$1 == id { print $n }' "$work/$1"
}

# ---- the budget, which does not depend on the machine ----

budget() { # WHAT FILE ID MAX
    have=$(field "$2" "$3" 2)
    [ -n "$have" ] && [ "$have" -le "$4" ] && return
    echo "bench: $1 takes ${have:-no} TPM commands; the budget is $4" >&2
    exit 1
}
budget "a signature by a record" pair-count record 1
budget "a signature by a named key" pair-count named 1
budget "an HMAC" hmac-count record 1
budget "an HMAC by the key of handles" hmac-count validation 0
budget "a first signature by a record" pair-first-count record 3
budget "a first signature by a named key" pair-first-count named 1

# ---- the tables ----

package_version() {
    dpkg-query -W -f='${Version}' "$1" 2>/dev/null || echo "of unknown version"
}

row() { # KIND ID TITLE
    if [ -z "$(field "$1-count" "$2" 2)" ] || [ "$(field "$1" "$2" 2)" = missing ]; then
        echo "| $3 | not installed | | | | |"
        return
    fi
    { grep "^$2	" "$work/$1-count" && grep "^$2	" "$work/$1"; } | tr '\n' '\t' | awk -F '\t' -v title="$3" \
        '{ printf "| %s | %s | %s | %s | %.2f (%.2f to %.2f) | %.2f |\n", title, $2, $3, $4, $7, $8, $9, $10 }'
}

rows() { # KIND: "pair", "hmac"; or those of a first signature
    case $1 in
    pair*) ours="named **libaziot_keys**, a key of the TPM by name" ;;
    hmac*) ours="validation **libaziot_keys**, the key of keyd's handles" ;;
    esac
    row "$1" record "**libaziot_keys**, a record"
    row "$1" "${ours%% *}" "${ours#* }"
    row "$1" stock "the stock library's calls of tpm2-pkcs11"
    row "$1" kept "tpm2-pkcs11, all kept open, one call"
}

head_of() { # WHAT LATENCY
    echo "| $1 by | commands | sent | received | $2 | medians' ratio |"
    echo "|---|---|---|---|---|---|"
}

# slower KIND ID: how many times as long as by a record of ours.
slower() {
    awk -v other="$(field "$1" "$2" 3)" -v ours="$(field "$1" record 3)" \
        'BEGIN { if (other + 0 > 0 && ours + 0 > 0) printf "%.1f", other / ours; else printf "(not measured)" }'
}

document() {
    cat <<END
# What a signature costs keyd

Written by \`make bench\` (alone: \`make aziot-bench\`), not by hand. All times are ratios: what they were measured on matters little, and the TPM
is a simulator, which answers in a millisecond or two where a chip takes a hundred; on a chip, the number of commands is what is felt.

Made with $("$T2C" --version), $(openssl version | cut -d ' ' -f 1,2), tpm2-tss $(pkg-config --modversion tss2-esys), $(swtpm --version | sed -n 's/^TPM emulator version \([0-9.]*\).*/swtpm \1/p')$([ -z "$module" ] || printf ', tpm2-pkcs11 %s' "$(package_version libtpm2-pkcs11-1)"); $(nproc) CPUs.

libaziot_keys is called as keyd calls its library: once for the size of the answer, once for the answer. So is tpm2-pkcs11 in *the stock
library's calls*: these are made as its public source has them, of which none keeps what is not in use. For each of keyd's two calls tpm2-pkcs11 is
loaded, the token found, a session opened and logged in, the objects found, the operation done, and all of it undone. The stock library itself was not run.
What keyd asks of a key before it has it sign is not in any row: to load it is nothing for libaziot_keys but, once, what shows that this TPM has it.
*All kept open* is the best that a library could make of tpm2-pkcs11: one call for each operation, and nothing before or after it.

**A signature takes the stock library's calls $(field pair-count stock 2) TPM commands, each time; with all kept open it takes $(field pair-first-count kept 2) the first time and $(field pair-count kept 2) after that.
libaziot_keys takes $(field pair-first-count record 2) the first time and $(field pair-count record 2) after that, and always $(field pair-first-count named 2) by a persistent key. The stock library's calls take $(slower pair stock) times as
long as libaziot_keys, and tpm2-pkcs11 with all kept open $(slower pair kept) times; for the first signature of a process it is $(slower pair-first stock) and $(slower pair-first kept) times.**

## Signatures, ECDSA with P-256

$(field pair record 2) pairs each, $(field pair stock 2) of the stock library's, one right after the other, in the other order every second time. *Latency* is the median of the pairs' ratios to raw TPM2_Sign,
with the bounds that hold it at 95 %; *medians' ratio* is that of the two medians. *Sent* and *received* are bytes.

$(head_of "a signature" latency)
$(row pair raw-again "raw TPM2_Sign, against itself")
$(rows pair)

The first signature of a process, from its start to its end, $rounds rounds in shuffled order; the ratio is to a process that sends one raw TPM2_Sign.

$(head_of "a first signature" "wall time")
$(rows pair-first)

## HMAC-SHA256, over 130 bytes

The ratio is to raw TPM2_HMAC. The key by which keyd signs and checks its handles, with each request, stays in the process. tpm2-pkcs11 makes no
HMAC keys for the stock library, whose symmetric keys are files then; this one was made by tpm2_ptool.

$(head_of "an HMAC" latency)
$(row hmac raw-again "raw TPM2_HMAC, against itself")
$(rows hmac)

$(head_of "a first HMAC" "wall time")
$(rows hmac-first)
END
}
document >"$work/aziot-bench.md"
cat "$work/aziot-bench.md"
mkdir -p "$srcdir/docs"
cp "$work/aziot-bench.md" "$srcdir/docs/aziot-bench.md"
echo "bench: written to docs/aziot-bench.md" >&2
