#!/bin/sh
# Memory as valgrind sees it, without a sanitizer's build: stock openssl with our module, the tests of key objects, estd, and the
# Check programs. Run by test/run --all. Nothing is suppressed.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl valgrind
[ -z "$PRELOAD" ] || skip_all "valgrind and a sanitizer do not go together"
tpm_start
"$ESTCA" init "$work/pki" >/dev/null
echo "some data" >"$work/data"
for name in ldevid file rsa; do
    "$T2C" key create $name --alg "$([ $name = rsa ] && echo rsa-2048 || echo ec-p256)" >/dev/null
    "$T2C" csr $name --subject /CN=$name --out "$work/$name.csr"
    "$ESTCA" sign "$work/pki" --csr "$work/$name.csr" --out "$work/$name.crt"
    "$T2C" cert import $name "$work/$name.crt" >/dev/null
    "$T2C" key pem $name --out "$work/$name.key"
done

export VALGRIND_OPTS="-q --leak-check=full --errors-for-leak-kinds=definite,indirect --error-exitcode=9 --keep-debuginfo=yes \
    --num-callers=24"
watched() { # COMMAND...
    with_conf valgrind "$@"
}

# The Check programs, all tests of one in one process, go on beside the rest. Random rounds are many to find wrong numbers; memory
# is seen in a few.
export CHECK_PART=20
programs=$(find "$BUILD" -maxdepth 1 -name 'check_*' ! -name '*.*' -printf '%f\n' | sort)
# shellcheck disable=SC2016
echo "$programs" | CK_FORK=no xargs -P "$(nproc)" -I '{}' sh -c \
    'valgrind "$1/$2" >"$3/$2.out" 2>&1; echo $? >"$3/$2.status"' sh "$BUILD" '{}' "$work" &
beside=$!
pids="$pids $beside"

for name in ldevid file rsa; do
    check "$name: openssl req" watched openssl req -new -key "tpm2cloud:$name" -subj /CN=x -out "$work/x.csr"
    check "$name: openssl dgst -sign with a wrapped key" watched openssl dgst -sha256 -sign "$work/$name.key" \
        -out "$work/sig" "$work/data"
    check "$name: openssl pkey" watched openssl pkey -in "tpm2cloud:$name" -pubout -out "$work/x.pub"
    check "$name: openssl storeutl" watched openssl storeutl -noout "tpm2cloud:$name"
    for test in one-of-two-freed public-one-freed copy-outlives context-copied search-is-refused threads-share-a-key; do
        check "$name: $test" watched "$BUILD/objects" $test "tpm2cloud://$name" "$work/$name.crt"
    done
done
check "tpm2cloud csr" watched "$T2C" csr rsa --subject /CN=x
check "tpm2cloud cert export" watched "$T2C" cert export ldevid
check "tpm2cloud status" watched "$T2C" status
check "openssl storeutl of all" watched openssl storeutl -noout tpm2cloud:
for test in threads load-and-unload threads-load-and-unload; do
    check "$test" watched "$BUILD/objects" $test tpm2cloud://ldevid "$work/ldevid.crt"
done
check "RSA-PSS options" watched "$BUILD/objects" pss-options-in-any-order tpm2cloud://rsa "$work/rsa.crt"

# estd: enrols and renews by a file and by the TPM, answers, reads its configuration again, is refused, and ends.
estca_start operator --auth any --user dev:secret --lifetime 120 --fault status=503@2 --fault-op simplereenroll
mkdir "$work/certs.d"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/own.key" 2>/dev/null
echo secret >"$work/password"
printf '%s\n' '[estd]' "certs_d = $work/certs.d" "state_dir = $work/state" "certs_dir = $work/certs" \
    "socket = $work/estd.sock" "metrics = $work/metrics.prom" '[defaults]' \
    "url = https://localhost:$port/.well-known/est" "trust = $work/operator/root.pem" 'window = 1-5' >"$work/estd.conf"
estd_cert() { # NAME KEY LINE...
    name=$1 key=$2
    shift 2
    printf '%s\n' '[certificate]' "key = $key" "subject = /CN=$name" '[auth]' 'user = dev' \
        "password_file = $work/password" '[install]' "file = $work/$name.pem" "$@" >"$work/certs.d/$name.conf"
}
estd_cert own "$work/own.key"
estd_cert loaded tpm2cloud:file
estd_cert turning tpm2cloud:turning '[renew]' 'rotate = yes'
estd_cert nobody "$work/none.key"
"$T2C" key create turning >/dev/null
valgrind "$ESTD" -c "$work/estd.conf" 2>"$work/estd.log" &
estd=$!
pids="$pids $estd"
for name in own loaded turning; do
    check "estd: $name is renewed" wait_for 120 grep -q "$name: renewed" "$work/estd.log"
done
check "estd: a refusal" wait_for 60 grep -q 'HTTP 503' "$work/estd.log"
check "estd: its control socket" "$T2C" status --config "$work/estd.conf"
kill -HUP $estd
check "estd: its configuration again" wait_for 60 grep -q 'configuration read again' "$work/estd.log"
kill $estd
wait $estd
status=$?
grep '^==' "$work/estd.log" >"$work/estd.errors"
check_equal "estd: nothing is lost or wrong" "0" "$status$(cat "$work/estd.errors")"

wait $beside
ended_well() { # PROGRAM
    cat "$work/$1.out"
    [ "$(cat "$work/$1.status")" = 0 ]
}
for program in $programs; do
    check "$program" ended_well "$program"
done
tpm_clean "after all that"
finish
