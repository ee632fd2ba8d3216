#!/bin/sh
# IoT Edge is configured for keys in the TPM. What is written is read by Python's TOML reader and held against the grammar of
# `iotedge config apply` (superconfig.py), which refuses what that would; diffs are held against diff and taken by patch.
# shellcheck disable=SC1091,SC2016
. "${srcdir:-.}/test/harness.sh"
need openssl python3 make diff
python3 -c 'import tomllib' 2>/dev/null || skip_all "python3 has no tomllib"
unset MAKEFLAGS MAKELEVEL MFLAGS
root=$work/root config=$work/root/etc/aziot/config.toml
mkdir -p "$root/etc/aziot" "$root/etc/tpm2cloud/certs.d" "$root/etc/ssl" "$work/keys" "$work/certs"
printf 'keys_dir = %s\ncerts_dir = %s\n' "$work/keys" "$work/certs" >"$work/tpm2cloud.conf"
export TPM2CLOUD_CONF="$work/tpm2cloud.conf"
make -s -C "$BUILD" install-dist_aziotconfDATA install-nodist_aziotconfDATA DESTDIR="$root" >"$work/installed" 2>&1 ||
    skip_all "make install fails: $(tail -n 1 "$work/installed")"
for name in gateway edge factory; do # keys that estd has made: their certificates are enough here
    openssl req -x509 -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/$name.key" -subj "/CN=$name" -days 30 \
        -out "$work/certs/$name.pem" 2>/dev/null
done
cp "$work/certs/factory.pem" "$root/etc/ssl/root one.pem"
cp "$work/certs/edge.pem" "$root/etc/ssl/two.pem"

configure() {
    "$T2C" aziot configure "$@" --root "$root"
}
grammar() { # FILE: what the grammar says
    python3 "$srcdir/test/superconfig.py" "$1" 2>&1
}
value() { # NAME...: what Python reads there
    python3 -c '
import sys, tomllib
at = tomllib.load(open(sys.argv[1], "rb"))
for name in sys.argv[2:]:
    at = at.get(name) if isinstance(at, dict) else None
print(at)' "$config" "$@"
}
cer() { # ID: where certd has its certificate
    printf '/var/lib/aziot/certd/certs/%s-%s.cer' "$(printf %s "$1" | tr -cd A-Za-z0-9)" "$(printf %s "$1" | sha256sum | cut -d' ' -f1)"
}
listing() {
    (cd "$root" && find . -type f -exec ls -i {} + && find . -type f -exec sha256sum {} +) | sort
}
keep() { # NAME LINE...: a certificate of estd
    printf '%s\n' '[certificate]' "key = tpm2cloud:$1" '[install]' "$2" >"$root/etc/tpm2cloud/certs.d/$1.conf"
}

# ---- estd mode ----

device="dps --scope 0ne00112233 --name gateway"
# shellcheck disable=SC2086
{
    configure $device --edge-ca edge --hostname gateway.example --dry-run >"$work/dry" 2>&1
    check_equal "a dry run shows a configuration" "" "$(grammar "$work/dry")"
    check "and that nobody renews its certificate" grep -q '^# certificate unkept, .* cert_id = device-id$' "$work/dry"
    check_equal "but writes nothing" "" "$(find "$root/etc/aziot" -type f)"
    keep gateway 'cert_id = device-id'
    keep edge 'cert_id = aziot-edged-ca'
    check "for a certificate that estd keeps" configure $device --edge-ca edge --hostname gateway.example
    cp "$work/out" "$work/said"
    check "it says what comes next" grep -q 'iotedge config apply' "$work/said"
    check "and that estd has to install it first" grep -q '^certificate device-id  *missing ' "$work/said"
    check_equal "it is what the dry run has shown" "$(grep -v '^# [fc]' "$work/dry")" "$(cat "$config")"
    check_equal "of the right grammar" "" "$(grammar "$config")"
    check_equal "with the file that estd installs" "file://$(cer device-id)" "$(value provisioning attestation identity_cert)"
    check_equal "its key by name" "pkcs11:token=tpm2cloud;object=gateway" "$(value provisioning attestation identity_pk)"
    check_equal "and no id that would have the key replaced" None "$(value provisioning attestation registration_id)"
    check_equal "the edge CA likewise" "{'cert': 'file://$(cer aziot-edged-ca)', 'pk': 'pkcs11:token=tpm2cloud;object=edge'}" \
        "$(value edge_ca)"
    check "aziot-keyd does not start without our library" \
        grep -qx 'tpm2cloud = "required"' "$root/etc/aziot/keyd/config.d/50-tpm2cloud.toml"
    check "which it is led to" grep -q '^Environment=LD_LIBRARY_PATH=/' "$root/etc/systemd/system/aziot-keyd.service.d/50-tpm2cloud.conf"
    listing >"$work/before"
    check "again" configure $device --edge-ca edge --hostname gateway.example
    check_equal "there is nothing to do" "there is nothing to do" "$(tail -n 1 "$work/out")"
    check_equal "and nothing is written" "$(cat "$work/before")" "$(listing)"
}

# A key that estd exchanges is read by the link that it switches, and so is its certificate.
mkdir -p "$work/certs/turning/gen-2"
cp "$work/certs/edge.pem" "$work/certs/turning/gen-2/cert.pem"
cp "$work/edge.key" "$work/certs/turning/gen-2/key.pem"
ln -s gen-2 "$work/certs/turning/current"
keep turning 'rotate = yes'
configure dps --scope 0ne00112233 --name turning --dry-run >"$work/turning"
check "estd's link is followed" grep -qx "identity_cert = \"file://$work/certs/turning/current/cert.pem\"" "$work/turning"
check "by whom is known, too" grep -q "^# certificate keep, estd renews it by $root/etc/tpm2cloud/certs.d/turning.conf$" "$work/turning"
rm "$root/etc/tpm2cloud/certs.d/turning.conf"

# ---- what is there and says something else ----

sed 's/^id_scope = .*/id_scope = "0ne00999999"/; s/^\[edge_ca\]$/[agent]\nname = "edgeAgent"\n\n[edge_ca]/' "$config" >"$work/theirs"
printf '\n[agent.config.auth]\nusername = "u"\npassword = "hush-hush"' >>"$work/theirs"
cp "$work/theirs" "$config"
echo '# mine' >>"$root/etc/aziot/keyd/config.d/50-tpm2cloud.toml"
listing >"$work/before"
# shellcheck disable=SC2086
check_fails "is not touched" "says something else, and nothing was written" configure $device
cp "$work/out" "$work/diff"
check_equal "nothing is" "$(cat "$work/before")" "$(listing)"
sed 's/"hush-hush"/"***"/' "$work/theirs" >"$work/old"
# shellcheck disable=SC2086
configure $device --dry-run | grep -v '^# [fc]' >"$work/new"
check_equal "the difference is shown, as diff has it" "$(diff -u "$work/old" "$work/new" | tail -n +3)" "$(tail -n +3 "$work/diff")"
check_equal "without the password" "" "$(grep hush "$work/diff")"
if command -v patch >/dev/null; then
    check "patch takes it" patch -s -o "$work/patched" "$work/old" "$work/diff"
    check_equal "and makes the one of the other" "$(cat "$work/new")" "$(cat "$work/patched")"
else
    skip "patch takes it" "patch is not installed"
fi
# shellcheck disable=SC2086
check "with --force it is replaced" configure $device --force
check_equal "by the same" "$(cat "$work/new")" "$(cat "$config")"
check_equal "and kept beside it" "$(cat "$work/theirs")" "$(cat "$config.before-tpm2cloud")"
check_equal "for root alone" 600 "$(stat -c %a "$config.before-tpm2cloud")"
check_equal "the operator's line in the drop-in stays" '# mine' "$(tail -n 1 "$root/etc/aziot/keyd/config.d/50-tpm2cloud.toml")"
cp "$work/old" "$config"
# shellcheck disable=SC2086
check "another one" configure $device --force
check_equal "has a number" "$(cat "$work/old")" "$(cat "$config.before-tpm2cloud.2")"

# ---- certd mode ----

rm "$root/etc/tpm2cloud/certs.d"/*
est="--scope 0ne00112233 --id gateway-1 --est https://est.example/.well-known/est --trust $root/etc/ssl/two.pem"
basic() {
    SECRET='pass "word" \ ü' configure est-basic --scope 0ne00112233 --id gateway-1 --est https://est.example/.well-known/est \
        --trust "/etc/ssl/root one.pem,/etc/ssl/two.pem" --user device --password-from env:SECRET "$@"
}
rm "$config"
check "by a password, from three endpoints" basic --est-device https://est.example/device --est-edge-ca https://est.example/edge \
    --threshold 10day --retry 90min --keep-key
check_equal "says who may read it" 1 "$(grep -c "config.toml; it holds a password and is its owner's alone, mode 0600$" "$work/out")"
check_equal "of the right grammar" "" "$(grammar "$config")"
check_equal "for root alone" 600 "$(stat -c %a "$config")"
check_equal "the password is what it was" 'pass "word" \ ü' "$(value cert_issuance est auth password)"
check_equal "the id is its name, too" "gateway-1 gateway-1" \
    "$(value provisioning attestation registration_id) $(value provisioning attestation identity_cert common_name)"
check_equal "the first endpoint" "{'default': 'https://est.example/.well-known/est'}" "$(value cert_issuance est urls)"
check_equal "the second" https://est.example/device "$(value provisioning attestation identity_cert url)"
check_equal "the third" https://est.example/edge "$(value edge_ca url)"
check_equal "its certificate is renewed as wished" "{'rotate_key': False, 'threshold': '10day', 'retry': '90min'}" \
    "$(value provisioning attestation identity_cert auto_renew)"
check_equal "a blank is none in a URL" "['file:///etc/ssl/root%20one.pem', 'file:///etc/ssl/two.pem']" \
    "$(value cert_issuance est trusted_certs)"
chmod 644 "$config"
check "who may read the password is mended" basic --est-device https://est.example/device --est-edge-ca https://est.example/edge \
    --threshold 10day --retry 90min --keep-key
check_equal "for root alone again" 600 "$(stat -c %a "$config")"
{
    basic --dry-run
    basic
    SECRET=other basic --force --json
} >"$work/said" 2>&1
check_equal "the password is shown nowhere" "" "$(grep 'word"' "$work/said" | grep -v '^[-+ ]*password = "\*\*\*"$')"
mtls() {
    rm -f "$config"
    configure est-mtls --scope 0ne00112233 --id gateway-1 --est https://est.example/.well-known/est "$@"
}
check "by a certificate, which enrols another" mtls --bootstrap factory
check_equal "of the right grammar" "" "$(grammar "$config")"
check_equal "by the file that is there" "file://$work/certs/factory.pem" "$(value cert_issuance est auth bootstrap_identity_cert)"
check_equal "and its key" "pkcs11:token=tpm2cloud;object=factory" "$(value cert_issuance est auth bootstrap_identity_pk)"
check_equal "the other is renewed, with another key" "{'rotate_key': True, 'threshold': '80%', 'retry': '4%'}" \
    "$(value cert_issuance est identity_auto_renew)"
check "by a certificate, as it is" mtls --name gateway
check_equal "of the right grammar" "" "$(grammar "$config")"
check_equal "which certd has a copy of" "$(openssl x509 -in "$work/certs/gateway.pem")" "$(openssl x509 -in "$root/etc/aziot/est-id.pem")"
check_equal "and renews without another key" False "$(value cert_issuance est identity_auto_renew rotate_key)"
if [ "$(id -u)" -eq 0 ] && unshare --mount true 2>/dev/null; then
    printf 'root:x:0:0::/:/bin/sh\naziotcs:x:7003:7004::/:/bin/sh\n' >"$work/passwd"
    T2C_REAL=$T2C T2C=$work/t2c
    printf '#!/bin/sh\nexec unshare --mount sh -c "mount --bind %s /etc/passwd && exec %s \\"\\$@\\"" sh "$@"\n' "$work/passwd" "$T2C_REAL" >"$T2C"
    chmod +x "$T2C"
    check "once certd's user is there" mtls --name gateway
    check_equal "the copy is theirs" "7003:7004" "$(stat -c %u:%g "$root/etc/aziot/est-id.pem")"
    chgrp 7004 "$root/etc/ssl/two.pem"
    chmod 640 "$root/etc/ssl/two.pem"
    check "certd reads by its group, too" basic --dry-run
    chgrp 7005 "$root/etc/ssl/two.pem"
    check_fails "but not by another" "may not read $root/etc/ssl/two.pem" basic --dry-run
    chmod 644 "$root/etc/ssl/two.pem"
    T2C=$T2C_REAL
else
    for what in "once certd's user is there" "the copy is theirs" "certd reads by its group, too" "but not by another"; do
        skip "$what" "needs root, and mounts of our own"
    done
fi
openssl req -x509 -new -key "$work/gateway.key" -subj /CN=renewed -days 60 -out "$root/etc/aziot/est-id.pem"
check "a copy that certd has renewed" mtls --name gateway
check_equal "stays" "subject=CN=renewed" "$(openssl x509 -in "$root/etc/aziot/est-id.pem" -noout -subject -nameopt RFC2253)"
check_fails "one of another key is refused" "$root/etc/aziot/est-id.pem says something else, and nothing" mtls --name edge

# ---- one renewer ----

rm -f "$config"
keep gateway 'cert_id = device-id'
check_fails "certd is not to renew what estd does" \
    "certs.d/gateway.conf has estd renew device-id, which aziot-certd is to issue and renew in this form" basic
keep gateway "file = $(cer aziot-edged-ca)"
check_fails "nor the edge CA" "has estd renew aziot-edged-ca" basic --est-edge-ca https://est.example/edge
check "estd may renew that, and certd the device's" basic --edge-ca gateway
rm "$config"
refused_by() { # SERVICE WORDS LINE...: a file of somebody else
    service=$1 said=$2 file=$root/etc/aziot/$1/config.d/10-own.toml
    shift 2
    mkdir -p "${file%/*}"
    printf '%s\n' "$@" >"$file"
    # shellcheck disable=SC2086
    check_fails "a file that stays, of $service: $1" "$said" configure $device
    mv "$file" "${file%/*}/00-super.toml"
    # shellcheck disable=SC2086
    check "one that apply writes anew does not count: $1" configure $device --dry-run
    rm "${file%/*}/00-super.toml"
}
refused_by certd "10-own.toml has aziot-certd renew device-id, which estd is to renew" '[cert_issuance.device-id]' 'method = "est"'
refused_by identityd "10-own.toml has aziot-identityd renew device-id" '[provisioning.attestation.identity_auto_renew]' \
    'threshold = "80%"'
refused_by keyd '[preloaded_keys] device-id = "file:///x" would win over the key gateway' '[preloaded_keys]' 'device-id = "file:///x"'

# ---- mistakes ----

wrong() { # WHAT TEXT ARGUMENTS...
    check_fails "$@"
    check_equal "$1: a wrong command line" 2 $code
}
wrong "no form" "an argument is missing" configure --scope 0ne1
wrong "no such form" '"dsp" is none of: dps, est-basic, est-mtls' configure dsp
wrong "no scope" "dps wants --scope: an ID scope" configure dps --name gateway
wrong "an option of another form" "dps has no use for --est" configure dps --scope 0ne1 --name gateway --est https://x
# shellcheck disable=SC2086
{
    wrong "no TLS" '--est: "http://x" is not an https:// URL' basic --est http://x
    wrong "no period" '--threshold: "100%" is not as 80%' basic --threshold 100%
    wrong "two identities" "wants either --bootstrap" configure est-mtls $est --bootstrap factory --name gateway
    wrong "two renewers of the edge CA" "a certificate has one renewer" basic --edge-ca edge --est-edge-ca https://x
    wrong "an id that IoT Hub has not" "--id: \"a/b\" is not a registration id" basic --id a/b
    check_fails "a key that is not there" "there is no key nosuch" configure dps --scope 0ne1 --name nosuch
    check_fails "a file that is none" "--trust: " configure est-mtls --scope 0ne1 --id a --est https://x --bootstrap factory --trust /nosuch
}
chmod 600 "$root/etc/ssl/two.pem"
check_fails "a CA that certd may not read" "may not read $root/etc/ssl/two.pem: chmod o+r" basic
check_fails "no password" "the environment has no SECRET" env -u SECRET "$T2C" aziot configure est-basic --scope 0ne1 --id a --est https://x --user u \
    --password-from env:SECRET --root "$root"
check_fails "no IoT Edge" "install IoT Edge (aziot-edge) first" "$T2C" aziot configure dps --scope 0ne1 --name gateway --root "$work"
check_equal "after all that nothing was written" "" "$(find "$config" 2>/dev/null)"
# shellcheck disable=SC2086
check_equal "for programs" "config.toml written" \
    "$(configure $device --json | python3 -c 'import json, sys; print(*(r["name"] + " " + r["fate"] for r in json.load(sys.stdin)["rows"] if r["fate"] == "written"))')"

# ---- the grammar refuses what is wrong ----

chmod 644 "$root/etc/ssl/two.pem"
rm -f "$config" "$root/etc/tpm2cloud/certs.d"/*
basic --est-edge-ca https://est.example/edge >/dev/null
faulty() { # WHAT TEXT SED-SCRIPT
    sed "$3" "$config" >"$work/faulty.toml"
    check_equal "the grammar refuses $1" "$2" "$(grammar "$work/faulty.toml")"
}
faulty "a name that is none" "provisioning.attestation.identity_cert.auto_renew.treshold: there is no such name
provisioning.attestation.identity_cert.auto_renew: threshold is missing" '0,/^threshold/s/^threshold/treshold/'
faulty "a method that is none" "provisioning.attestation: method is none of symmetric_key, x509, tpm" 's/^method = "x509"/method = "X509"/'
faulty "no scope" "provisioning: id_scope is missing" '/^id_scope/d'
faulty "half a pair" "cert_issuance.est.auth: of username and password one is missing" '/^password/d'
faulty "a key of another scheme" "preloaded_keys.x is no URL of file" '$s/$/\n[preloaded_keys]\nx = "tpm2cloud:x"/'
faulty "a period that is none" "edge_ca.auto_renew.retry is no period as 80%, 90min or 10day" '$s/4%/4/'
faulty "a source that is none" "provisioning: source is none of manual, dps, none" 's/^source.*/source = "DPS"/'
faulty "no URL at all" "provisioning.attestation.identity_cert: no URL, and cert_issuance.est.urls has no default" '/^default/d'
faulty "a wrong kind" "edge_ca.auto_renew.rotate_key is neither true nor false" '/^\[edge_ca.auto/,$s/true/"true"/'
finish
