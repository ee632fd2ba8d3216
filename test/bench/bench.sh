#!/bin/sh
# What a signature costs: raw TPM2_Sign, ESAPI, this provider and its neighbours, on a simulated TPM. Prints the tables and
# writes them to docs/bench.md. Run by `make bench`, after `tools/setup bench`; a neighbour that is missing is said to be.
#
#     make -C build/plain bench [BENCH_PAIRS=2000] [BENCH_RSA_PAIRS=500] [BENCH_ROUNDS=100]
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
set -e
measure=$BUILD/test/bench/measure
ec_pairs=${BENCH_PAIRS:-2000} rsa_pairs=${BENCH_RSA_PAIRS:-500} rounds=${BENCH_ROUNDS:-100}
[ -z "$PRELOAD" ] || {
    echo "bench: this build has sanitizers in it; its times mean nothing" >&2
    exit 1
}
for program in swtpm openssl; do
    command -v $program >/dev/null || {
        echo "bench: $program is not installed; run tools/setup bench" >&2
        exit 1
    }
done

# ---- the neighbours ----

peer_modules=$(pkg-config --variable=modulesdir libcrypto)
pkcs11_module=
for file in /usr/lib/*/libtpm2_pkcs11.so.1 /usr/lib/*/pkcs11/libtpm2_pkcs11.so.1 /usr/lib/libtpm2_pkcs11.so.1 /usr/lib64/libtpm2_pkcs11.so.1; do
    [ ! -e "$file" ] || pkcs11_module=$file
done
if [ -z "$pkcs11_module" ] || ! command -v pkcs11-tool >/dev/null || ! openssl engine pkcs11 >/dev/null 2>&1; then
    pkcs11_module=
fi
export TSS2_LOG=all+NONE TPM2_PKCS11_LOG_LEVEL=0 PKCS11_MODULE_PATH="$pkcs11_module"
export BENCH_PEER_MODULES="$peer_modules" BENCH_PKCS11_URI=
token='pkcs11:token=bench;object=key;type=private;pin-value=1234'

# make_token KEY-TYPE: a store of tpm2-pkcs11 whose key is below the same storage root key; it has none at fixed handles.
make_token() {
    [ -n "$pkcs11_module" ] || return 0
    mkdir "$TPM2_PKCS11_STORE"
    {
        pkcs11-tool --module "$pkcs11_module" --slot-index 0 --init-token --label bench --so-pin 1234 &&
            pkcs11-tool --module "$pkcs11_module" --token-label bench --init-pin --so-pin 1234 --pin 1234 &&
            pkcs11-tool --module "$pkcs11_module" --token-label bench --login --pin 1234 --keypairgen --key-type "$1" \
                --label key --usage-sign
    } >"$work/token.log" 2>&1 || {
        echo "bench: tpm2-pkcs11 makes no key:" >&2
        cat "$work/token.log" >&2
        return 1
    }
    BENCH_PKCS11_URI=$token
}

counted() { # COMMAND...: with the counting TCTI in every way to the TPM
    counter=$BUILD/.libs/tcti_count.so:$TPM2TOOLS_TCTI
    rm -f "$work/commands"
    env T2C_TCTI_LOG="$work/commands" T2C_TCTI_SIZES=1 BENCH_TCTI="$counter" TPM2CLOUD_TCTI="$counter" \
        TPM2OPENSSL_TCTI="$counter" TPM2_PKCS11_TCTI="$counter" "$@"
}

# cold KEY OUTPUT: openssl req -new with the key of each; the yardstick is KEY, a file that holds a key.
cold() {
    key=$1 output=$2
    set -- -- software openssl req -new -subj /CN=x -key "$key"
    set -- "$@" -- tpm2cloud openssl req -new -subj /CN=x -provider default -provider-path "$BUILD/.libs" \
        -provider tpm2cloud -key tpm2cloud://ldevid
    [ ! -e "$peer_modules/tpm2.so" ] || set -- "$@" -- tpm2-openssl openssl req -new -subj /CN=x \
        -provider-path "$peer_modules" -provider tpm2 -provider default -key handle:0x81000002
    [ -z "$BENCH_PKCS11_URI" ] || set -- "$@" -- tpm2-pkcs11 openssl req -new -subj /CN=x \
        -key "org.openssl.engine:pkcs11:$BENCH_PKCS11_URI"
    counted "$measure" cold-count "$@" >"$output-count"
    "$measure" cold "$rounds" "$@" >"$output"
}

# measure_all NAME ALGORITHM KEY-TYPE PAIRS GENPKEY-ARGUMENTS...
measure_all() {
    name=$1 algorithm=$2 type=$3 pairs=$4
    shift 4
    echo "bench: $algorithm" >&2
    tpm_start
    export BENCH_TCTI="$TPM2TOOLS_TCTI" TPM2_PKCS11_TCTI="$TPM2TOOLS_TCTI" TPM2_PKCS11_STORE="$work/store-$name"
    "$T2C" key create ldevid --alg "$algorithm" >/dev/null
    make_token "$type"
    openssl genpkey "$@" -out "$work/$name.pem" 2>/dev/null
    counted "$measure" sign-count "$name" >"$work/$name-sign-count"
    "$measure" sign "$name" "$pairs" >"$work/$name-sign"
    if [ "$(field "$work/$name-sign" tpm2cloud 2)" = missing ]; then
        echo "bench: tpm2cloud $(field "$work/$name-sign" tpm2cloud 3)" >&2
        exit 1
    fi
    cold "$work/$name.pem" "$work/$name-cold"
    tpm_stop
}

# ---- the tables ----

package_version() {
    dpkg-query -W -f='${Version}' "$1" 2>/dev/null || echo "of unknown version"
}

# field FILE ID NUMBER
field() {
    awk -F '\t' -v id="$2" -v n="$3" '$1 == id { print $n }' "$1"
}

# row KIND ID TITLE: one line of a table; KIND names the files. CPU time is in units of UNIT microseconds, when that is set.
row() {
    kind=$1 id=$2 title=$3
    if [ "$(field "$work/$kind" "$id" 2)" = missing ] || [ -z "$(field "$work/$kind-count" "$id" 2)" ]; then
        reason=$(field "$work/$kind" "$id" 3)
        echo "| $title | ${reason:-not installed} | | | | | |"
        return
    fi
    { grep "^$id	" "$work/$kind-count" && grep "^$id	" "$work/$kind"; } | tr '\n' '\t' |
        awk -F '\t' -v title="$title" -v unit="$unit" \
            '{ printf "| %s | %s | %s | %s | %.2f (%.2f to %.2f) | %.2f | %.2f |\n", title, $2, $3, $4, $7, $8, $9, $10, $12 / unit }'
}

sign_table() { # NAME
    unit=$(field "$work/$1-sign" raw-again 7)
    echo "| signature by | commands | sent | received | latency | medians' ratio | host CPU |"
    echo "|---|---|---|---|---|---|---|"
    row "$1-sign" raw-again "raw TPM2_Sign, against itself"
    row "$1-sign" esys "Esys_Sign"
    row "$1-sign" tpm2cloud "**tpm2cloud**, EVP_DigestSign"
    row "$1-sign" tpm2cloud-streamed "**tpm2cloud**, EVP_DigestSignUpdate and Final"
    row "$1-sign" tpm2-openssl "tpm2-openssl, EVP_DigestSign"
    row "$1-sign" tpm2-openssl-streamed "tpm2-openssl, EVP_DigestSignUpdate and Final"
    row "$1-sign" tpm2-pkcs11 "tpm2-pkcs11 by libp11, EVP_DigestSign"
}

cold_table() { # NAME
    unit=$(field "$work/$1-cold" software 7)
    echo "| \`openssl req -new\` with a key of | commands | sent | received | wall time | medians' ratio | host CPU |"
    echo "|---|---|---|---|---|---|---|"
    row "$1-cold" software "a file, in software"
    row "$1-cold" tpm2cloud "**tpm2cloud**"
    row "$1-cold" tpm2-openssl "tpm2-openssl"
    row "$1-cold" tpm2-pkcs11 "tpm2-pkcs11 by libp11"
}

neighbours() {
    [ ! -e "$peer_modules/tpm2.so" ] || printf ', tpm2-openssl %s' "$(package_version tpm2-openssl)"
    [ -z "$pkcs11_module" ] || printf ', tpm2-pkcs11 %s, libp11 %s' "$(package_version libtpm2-pkcs11-1)" \
        "$(package_version libengine-pkcs11-openssl)"
}

document() {
    cat <<END
# What a signature costs

Written by \`make bench\`, not by hand. All times are ratios: what they were measured on matters little, and the TPM is a simulator,
which answers in a millisecond or two where a chip takes a hundred; on a chip, the number of commands is what is felt.

Made with $("$T2C" --version), $(openssl version | cut -d ' ' -f 1,2), tpm2-tss $(pkg-config --modversion tss2-esys), $(swtpm --version | sed -n 's/^TPM emulator version \([0-9.]*\).*/swtpm \1/p')$(neighbours); $(nproc) CPUs.

## A signature with a loaded key

SHA-256 over 130 bytes, as in TLS 1.3. The yardstick is raw TPM2_Sign: the bytes of the command, made beforehand, sent and answered over
the TCTI. All others do the whole of what a program does for each signature, hashing included; keys are loaded once. Keys are at a persistent
handle; those of tpm2-pkcs11, which has none there, are loaded once below a persistent one.

All live in one process. Pairs of raw TPM2_Sign and the other are measured one after the other, in the other order every second time, in
blocks of 20 whose order is shuffled. *Latency* is the median of the pairs' ratios, with the bounds that hold it at 95 %; *medians' ratio* is
that of the two medians. *Host CPU* is the mean CPU time of the measuring process, user and system, by getrusage; its unit is the median latency
of raw TPM2_Sign. *Commands* are TPM commands, *sent* and *received* their bytes.

**EC P-256: EVP_DigestSign takes $(field "$work/ec-sign" tpm2cloud 3) times as long as raw TPM2_Sign** (bounds $(field "$work/ec-sign" tpm2cloud 4) to $(field "$work/ec-sign" tpm2cloud 5)). The budget is 1.10.

### EC P-256, $(field "$work/ec-sign" tpm2cloud 2) pairs each

$(sign_table ec)

### RSA-2048, $(field "$work/rsa-sign" tpm2cloud 2) pairs each

$(sign_table rsa)

## A whole process

\`openssl req -new\`, from start to end, $rounds rounds in each of which every command runs once, in shuffled order. Ratios are to the same command with
a key in a file; host CPU is that of the process, in units of the median wall time of the first.

### EC P-256

$(cold_table ec)

### RSA-2048

$(cold_table rsa)
END
}

measure_all ec ec-p256 EC:prime256v1 "$ec_pairs" -algorithm EC -pkeyopt ec_paramgen_curve:P-256
measure_all rsa rsa-2048 rsa:2048 "$rsa_pairs" -algorithm RSA -pkeyopt rsa_keygen_bits:2048
document >"$work/bench.md"
cat "$work/bench.md"
mkdir -p "$srcdir/docs"
cp "$work/bench.md" "$srcdir/docs/bench.md"
echo "bench: raw TPM2_Sign took $(field "$work/ec-sign" raw-again 7) us (EC P-256) and $(field "$work/rsa-sign" raw-again 7) us (RSA-2048), median;" \
    "written to docs/bench.md" >&2
