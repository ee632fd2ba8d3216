#!/bin/sh
# docs/dps.md, followed: each of its commands is run as it stands there, with a double of DPS for the service, an EST server of the
# tests, and for Azure's command line a few lines of shell that enrol at the double.
# shellcheck disable=SC1091,SC2016
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/dps.sh"
need swtpm openssl jq curl tpm2_getcap
dps_needed
document=$srcdir/docs/dps.md
shim=$BUILD/.libs/clockshim.so
scope=0ne0012AB34 # as the document has it
tpm_start
dps_start --set retry_after=0 --set hub=h.example
mkdir -p "$work/etc/certs.d" "$work/bin"
estca_start ca --auth any --user device:secret
cp "$work/ca/root.pem" "$work/etc/device-ca.pem"
echo secret >"$work/etc/est.password"

cat >"$work/bin/az" <<END
#!/bin/sh
command=\$1\$2\$3\$4
while [ \$# -gt 0 ]; do
    case \$1 in
    --enrollment-id) id=\$2 ;;
    --endorsement-key) key=\$2 ;;
    --certificate-path) file=\$2 ;;
    --attestation-type) type=\$2 ;;
    esac
    shift
done
case \$command in
iotdpsshow*) echo $scope ;;
iotdpsenrollmentcreate) echo "\$type \$id \$key" >"$work/enrolments" ;;
iotdpsenrollment-groupcreate) echo "group \$id \$file" >"$work/enrolments" ;;
*) exit 1 ;;
esac
END
printf '#!/bin/sh\n[ "$1 $2" != "dps register" ] || set -- "$@" --endpoint "%s" --trust "%s"\nexec "%s" "$@"\n' \
    "$dps_url" "$dps_ca" "$T2C" >"$work/bin/tpm2cloud"
chmod +x "$work/bin"/*
PATH=$work/bin:$BUILD/estd:$PATH

# block LANGUAGE NAME: as it stands in the document, but for places of this machine
block() {
    awk -v "name=$2" -v "language=$1" '/^```/ { here = $0 == "```" language " " name; next } here' "$document" |
        sed "s|/etc/tpm2cloud|$work/etc|g; s|https://est.example.com/|https://localhost:$port/|g; s|/var/lib/tpm2cloud/certs|$work/certs|g"
}
# follow NAME: runs the commands of that name, each of which must succeed
follow() {
    {
        echo "scope=$scope"
        block sh "$1"
    } >"$work/commands"
    check "$1: there are commands" [ "$(wc -l <"$work/commands")" -gt 1 ]
    check "$1: they succeed" sh -e "$work/commands"
    cp "$work/out" "$work/said"
}

# ---- by the TPM ----

follow enrol-tpm
check "the key to enrol is shown" grep -q "TPM2B_PUBLIC:   AToAAQAL" "$work/said"
follow register-tpm
check "the hub is told" grep -q "^assigned hub:    h.example$" "$work/said"
check "the key is at its handle" sh -c "tpm2_getcap handles-persistent | grep -q 0x81000100"
: >"$work/dps.log"
follow again
check_equal "asked once of two times" "true challenge register poll" \
    "$(head -n 1 "$work/said" | jq .kept) $(jq -r .stage "$work/dps.log" | xargs)"
follow token
check_equal "the hub takes the token" 204 "$(curl -sS --cacert "$dps_ca" -X POST -o "$work/answer" -w '%{http_code}' \
    -H "Authorization: $(cat "$work/said")" "$dps_url/devices/pump-7/messages/events?api-version=2020-03-13")"

# ---- by a certificate ----

follow enrol-group
: >"$work/dps.log"
follow register-x509
check "the hub is told, and as whom" grep -q "^device id:       pump-7$" "$work/said"
check_equal "it showed its chain" 2 "$(jq -s 'map(.chain) | max' "$work/dps.log")"

# ---- after a renewal ----

cat >"$work/estd.conf" <<END
[estd]
certs_d = $work/etc/certs.d
certs_dir = $work/certs
state_dir = $work/state
socket = $work/estd.sock
[defaults]
trust = $work/ca/root.pem
dps_endpoint = $dps_url
dps_trust = $dps_ca
END
export TPM2CLOUD_ESTD_CONF="$work/estd.conf"
block ini estd >"$work/etc/certs.d/pump-7.conf"
if [ ! -e "$shim" ] || [ -n "$PRELOAD" ]; then
    skip "estd registers what it renewed" "the clock cannot be set"
else
    echo "0 slept" >"$work/clock"
    env CLOCKSHIM="$work/clock" LD_PRELOAD="$shim" "$ESTD" 2>"$work/estd.log" &
    pids="$pids $!"
    wait_for 10 "$T2C" status
    check "estd finds the certificate" wait_for 10 grep -q "pump-7: found" "$work/estd.log"
    : >"$work/dps.log"
    follow renew
    echo "61 slept" >"$work/clock.new" && mv "$work/clock.new" "$work/clock"
    check "estd registers what it renewed" wait_for 10 grep -q "pump-7 is registered at DPS again" "$work/estd.log"
    check_equal "by two requests" "register poll" "$(jq -r .stage "$work/dps.log" | xargs)"
fi

# ---- the table ----

sed -n 's/^| `\([^`]*\)` |.*/\1/p' "$document" >"$work/messages"
check "the document has messages" [ "$(wc -l <"$work/messages")" -gt 10 ]
while read -r message; do
    check "tpm2cloud says: $message" grep -qF -- "$message" "$srcdir"/tools/*dps*.c "$srcdir"/lib/*.c
done <"$work/messages"
finish
