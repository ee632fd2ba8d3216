#!/bin/sh
# tpm2cloud release: a device that has all that it can have is given back. What is of the owner is gone from the TPM and the disk,
# what is of the factory or of others stays, a kill anywhere is mended by doing it again.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl tpm2_getcap tpm2_createprimary tpm2_nvread python3
POINTS=$BUILD/test/crash/points
[ -x "$POINTS" ] || POINTS=$BUILD/points
root=$work/root aziot=$work/root/var/lib/aziot
tpm_start
chmod 755 "$work"

# ---- a device ----

mkdir -p "$work/bin" "$work/etc/certs.d"
cat >"$work/bin/systemctl" <<END
#!/bin/sh
echo "\$*" >>"$work/systemctl.log"
[ "\$1" != is-active ] || [ -e "$work/running" ]
END
chmod 755 "$work/bin/systemctl"
printf 'keys_dir = %s\ncerts_dir = %s\ndps_dir = %s\nsystemctl = %s\n' \
    "$work/var/keys" "$work/var/certs" "$work/var/dps" "$work/bin/systemctl" >"$work/tpm2cloud.conf"
cat >"$work/etc/estd.conf" <<END
[estd]
certs_d = $work/etc/certs.d
state_dir = $work/var/estd
socket = none
[defaults]
url = https://est.example/.well-known/est
password_file = $work/etc/password
header_file = file:$work/etc/header
END
export TPM2CLOUD_ESTD_CONF="$work/etc/estd.conf" TPM2_PKCS11_STORE="$work/tokens"
# What stays, and is told of.
install -D -m 644 "$srcdir/packaging/aziot/50-tpm2cloud.toml" "$root/etc/aziot/keyd/config.d/50-tpm2cloud.toml"
install -D -m 600 /dev/null "$root/etc/aziot/config.toml.before-tpm2cloud.2"
install -D /dev/null "$work/etc/certs.d/pump.conf.bak"
install -D /dev/null "$work/tokens/tpm2_pkcs11.sqlite3"
certified() { # NAME
    "$T2C" cert selfsign "$1" --out "$work/$1.pem" 2>/dev/null && "$T2C" cert import "$1" "$work/$1.pem" >/dev/null
}
provisioned() {
    for name in ldevid pump; do
        "$T2C" key create $name >/dev/null && certified $name
    done
    head -c 32 /dev/urandom | base64 >"$work/sas.key"
    "$T2C" sas import hub --from "file:$work/sas.key" >/dev/null
    tpm2_create -Q -C 0x81000001 -G hmac:sha256 -u "$work/dps.pub" -r "$work/dps.priv" -c "$work/dps.ctx" &&
        tpm2_evictcontrol -Q -C o -c "$work/dps.ctx" 0x81000100 && tpm2_flushcontext -t
    mkdir -p "$work/var/dps" && echo '{}' >"$work/var/dps/reg.json"
    # A key that estd switches together with its certificate, a certificate whose key is elsewhere, and what a kill left.
    mkdir -p "$work/var/certs/edge/gen-1" "$work/var/estd/deploy/asks" "$work/var/enroll/x" "$work/var/provision"
    cp "$work/var/keys/pump.pem" "$work/var/certs/edge/gen-1/key.pem"
    cp "$work/pump.pem" "$work/var/certs/edge/gen-1/cert.pem"
    ln -sfn gen-1 "$work/var/certs/edge/current"
    install -D "$work/var/keys/pump.pem" "$work/var/certs/half/gen-1/key.pem"
    cp "$work/pump.pem" "$work/var/certs/foreign.pem"
    cp "$work/var/keys/pump.pem" "$work/var/keys/.pump.pem.a1B2c3"
    echo other >"$work/var/keys/notes.txt"
    touch "$work/var/estd/state.cbor" "$work/var/estd/lock" "$work/var/enroll/x/y" "$work/var/provision/report.json"
    echo secret >"$work/etc/password"
    echo secret >"$work/etc/header"
    cp "$work/pump.pem" "$work/installed.pem"
    printf '[certificate]\nkey = tpm2cloud:pump\n[install]\nfile = %s\n' "$work/installed.pem" >"$work/etc/certs.d/pump.conf"
    mkdir -p "$aziot/keyd/keys" "$aziot/certd/certs" "$aziot/identityd" "$aziot/edged/cache" "$root/var/secrets/aziot/keyd"
    cp "$work/var/keys/pump.pem" "$aziot/keyd/keys/deviceid-x.tpm"
    head -c 32 /dev/urandom >"$aziot/keyd/keys/master-x.key.migrated"
    cp "$work/pump.pem" "$aziot/certd/certs/deviceid-x.cer"
    touch "$aziot/identityd/device_info" "$aziot/edged/cache/provisioning_state" "$aziot/edged/other" "$root/var/secrets/aziot/keyd/sas"
    mkdir -p "$root/etc/aziot/keyd/config.d" "$root/etc/aziot/certd/config.d"
    printf '[aziot_keys]\nhomedir_path = "/var/lib/aziot/keyd"\n[preloaded_keys]\nsas = "file:///var/secrets/aziot/keyd/sas"\n' \
        >"$root/etc/aziot/keyd/config.d/00-super.toml"
    echo 'homedir_path = "/var/lib/aziot/certd"' >"$root/etc/aziot/certd/config.d/00-super.toml"
    printf '# written by tpm2cloud aziot configure\n' >"$root/etc/aziot/config.toml"
    cp "$work/pump.pem" "$root/etc/aziot/est-id.pem"
}
files() {
    (cd "$work" && find var root etc installed.pem ! -type d 2>/dev/null | sort | tr '\n' ' ')
}
persistent() {
    tpm2_getcap handles-persistent | sed 's/^- //' | tr '\n' ' '
}
release() {
    "$T2C" release --root "$root" "$@"
}
# left_is DISK TPM: no more is there than that.
left_is() {
    check_equal "on the disk is what is of others" "$1" "$(files)"
    check_equal "and in the TPM" "$2" "$(persistent)"
}
"$T2C" key create idevid >/dev/null && certified idevid
"$T2C" key create ek --alg ec-p256 >/dev/null
tpm2_createprimary -Q -C o -G ecc -c "$work/other.ctx" && tpm2_evictcontrol -Q -C o -c "$work/other.ctx" 0x81000005 && tpm2_flushcontext -t
provisioned
before=$(files)
check_equal "a device" "0x81000001 0x81000002 0x81000005 0x81000100 0x81000101 0x8101000A 0x81020000 " "$(persistent)"
identity=$("$T2C" key show idevid --json)

# ---- it is given back ----

check_fails "nothing is done by one word" "nothing was done yet: what goes does not come back. To do it: --yes" release
check "a list of what would go" release --dry-run --json
check_equal "changes nothing" "$before" "$(files)"
check_equal "not even a unit" "" "$(grep stop "$work/systemctl.log")"
cp "$work/out" "$work/plan"
exec 9<"$work/var/estd/lock"
flock -n 9
sed "s|^state_dir.*|state_dir = /var/lib|" "$work/etc/estd.conf" >"$work/wrong.conf"
check_fails "nor is a directory emptied that is nobody's own" "/var/lib is configured as the directory of estd" \
    release --yes --dry-run --config "$work/wrong.conf"
check_fails "not while estd runs" "estd runs, and would enrol anew: stop it" release --yes
exec 9<&-
check_equal "and nothing is gone then" "$before" "$(files)"
if strace -o "$work/trace" true 2>/dev/null; then
    check_fails "a directory that cannot be listed is not empty" "cannot list $work/var/enroll: Input/output error" \
        strace -o "$work/trace" -P "$work/var/enroll" -e inject=getdents64:error=EIO "$T2C" release --dry-run --root "$root"
else
    skip "a directory that cannot be listed is not empty" "strace may not trace here"
fi
touch "$work/running"
: >"$work/systemctl.log"
check "it is released" release --yes --json
cp "$work/out" "$work/done"
check "by the list" python3 -c '
import json, sys
plan, done = (json.load(open(name)) for name in sys.argv[1:])
rows = lambda report: sorted((row["what"], row["name"], row["file"]) for row in report["rows"] if row["what"] != "unit")
sys.exit(plan["dry_run"] is not True or done["dry_run"] is not False or rows(plan) != rows(done) or "removed" not in str(done))' \
    "$work/plan" "$work/done"
check_equal "units are stopped by name" "stop --quiet -- estd.servic[e] tpm2cloud-deploy.* aziot-*" "$(grep stop "$work/systemctl.log")"
rm "$work/running"
left="etc/certs.d/pump.conf.bak etc/estd.conf etc/header etc/password root/etc/aziot/config.toml.before-tpm2cloud.2 root/etc/aziot/keyd/config.d/50-tpm2cloud.toml root/var/lib/aziot/edged/other var/certs/foreign.pem var/keys/8101000a.record var/keys/81020000.record var/keys/notes.txt "
check_equal "on the disk is what is the factory's, of others, and the owner's to see to" "$left" "$(files)"
check_equal "in the TPM what is the factory's and of others" "0x81000001 0x81000005 0x8101000A 0x81020000 " "$(persistent)"
check_equal "the identity is the same" "$identity" "$("$T2C" key show idevid --json)"
check "with its certificate" sh -c "'$T2C' cert export idevid | cmp - '$work/idevid.pem'"
after="$(persistent)$(find "$work/var" "$root" | sort)"
check "once more" release --yes
cp "$work/out" "$work/done"
check "there is nothing to do" grep -q "^nothing is left to release" "$work/done"
for kept in "secret $work/etc/password" "secret $work/etc/header" "file 50-tpm2cloud.toml" "file config.toml.before-tpm2cloud.2" "file pump.conf.bak" \
    "token $work/tokens/tpm2_pkcs11.sqlite3"; do
    check "for us: where the owner has secrets, or may have them, is said: $kept" \
        grep -q "^${kept% *} .* keep .*${kept#* }: " "$work/done"
done
check_equal "and nothing is done" "$after" "$(persistent)$(find "$work/var" "$root" | sort)"

# ---- killed ----

# released_at POINT ARGUMENTS...: killed there; it must have got that far.
released_at() {
    point=$1
    shift
    "$POINTS" --root "$work" --kinds file --at "$point" --kill before "$T2C" release --yes --root "$root" "$@" >"$work/killed" 2>&1
    [ $? -eq 137 ]
}
# points_of N STEP: some of 1 to N, or all of them.
points_of() {
    seq 1 "$([ "${CRASH_EVERY:-}" = 1 ] && echo 1 || echo "$2")" "$1"
}
traced=
if "$POINTS" --root "$work" --kinds file true >/dev/null 2>&1; then
    traced=yes
    provisioned
    "$POINTS" --root "$work" --kinds file "$T2C" release --yes --root "$root" 2>"$work/killed" >/dev/null
    n=$(sed -n 's/^points: \([0-9]*\).*/\1/p' "$work/killed")
    for point in $(points_of "$n" 7); do
        provisioned
        check "killed at $point of $n" released_at "$point"
        check "it is finished by doing it again" release --yes
        left_is "$left" "0x81000001 0x81000005 0x8101000A 0x81020000 "
    done
else
    skip "kills" "programs cannot be traced here"
fi

# ---- the owner's seed ----

# Where firmware keeps the platform's authorization, the certificate goes with the clearing.
tpm2_nvundefine -Q -C p 0x01c90200
tpm2_changeauth -c p firmware
"$T2C" cert import idevid "$work/idevid.pem" >/dev/null 2>&1
# A second endorsement key, at a handle of the high range, and what an operator put beside them: the certificate of one that is at
# its handle, of one that is at none, and one at a place that older scripts had.
python3 -c 'import sys
sys.stdout.buffer.write(bytes.fromhex("ca3d0a99a2b93906f7a3342414efcfb3a385d44cd1fd459089d19b5071c0b7a0"))' >"$work/policy_b"
tpm2_createprimary -Q -C e -G ecc256:aes128cfb -L "$work/policy_b" -c "$work/high.ctx" \
    -a "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|adminwithpolicy|restricted|decrypt"
tpm2_evictcontrol -Q -C o -c "$work/high.ctx" 0x81010014 && tpm2_flushcontext -t
openssl x509 -in "$work/idevid.pem" -outform DER -out "$work/owners.der"
for index in 0x01c0000a 0x01c00002 0x01c90000; do
    tpm2_nvdefine -Q -C o -s "$(stat -c %s "$work/owners.der")" $index && tpm2_nvwrite -Q -C o -i "$work/owners.der" $index
done
factory() {
    for handle in 0x8101000A 0x81010014 0x81020000; do tpm2_readpublic -c $handle | grep -m 1 ^name; done
    for index in 0x01c0000a 0x01c00002 0x01c90000; do tpm2_nvread -C o $index 2>/dev/null | cmp - "$work/owners.der"; done
    "$T2C" cert export idevid | cmp - "$work/idevid.pem"
} 2>&1
whole=$(factory)
check_equal "a TPM with a factory's keys and an owner's indices" 3 "$(echo "$whole" | wc -l)"
for point in ${traced:+$(points_of 66 16)}; do
    provisioned
    check "killed at $point while the TPM is cleared" released_at "$point" --clear
    check "it is finished by doing it again" release --yes
    check_equal "the factory's keys are the same, with all certificates" "$whole" "$(factory)"
    check_equal "and the disk as before" "$left" "$(files)"
done
provisioned
cp "$work/var/keys/pump.pem" "$work/kept.pem"
check "the TPM is cleared, too" release --yes --clear
left_is "$left" "0x8101000A 0x81010014 0x81020000 "
check_equal "the factory's keys are the same, with all certificates" "$whole" "$(factory)"
check_equal "the identity is the same" "$identity" "$("$T2C" key show idevid --json)"
"$T2C" key create srk >/dev/null
install -D -m 600 "$work/kept.pem" "$work/var/keys/kept.pem"
check_fails "a copy of a key file is of no use" "" "$T2C" csr kept --subject /CN=x
rm "$work/var/keys/kept.pem"
tpm2_nvdefine -Q -C o -s 8 0x01c00012 -a "ownerwrite|policyread" && echo 1234567 | tpm2_nvwrite -Q -C o -i - 0x01c00012
check_fails "what cannot be kept" "the TPM is not cleared, since what an owner put into NV index 0x01c00012 would be lost" release --yes --clear
tpm2_nvundefine -Q -C o 0x01c00012
tpm2_evictcontrol -Q -C o -c 0x81020000
rm "$work/var/keys/81020000.record"
tpm2_createprimary -Q -C e -G ecc256:ecdsa-sha256:null -c "$work/idevid.ctx" -a "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign"
tpm2_evictcontrol -Q -C o -c "$work/idevid.ctx" 0x81020000 && tpm2_flushcontext -t
check_fails "an identity that could not be made again" "once it has left the TPM, it is lost" release --yes --clear
check_equal "keeps the TPM from being cleared" "0x81000001 0x8101000A 0x81010014 0x81020000 " "$(persistent)"
tpm_clean "release"
finish
