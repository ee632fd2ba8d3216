#!/bin/sh
# What is wrong with this machine? Each thing that tpm2cloud doctor looks at, once as it should be and once broken.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl socat tpm2_dictionarylockout
# shellcheck source=test/estd.sh
. "$srcdir/test/estd.sh"
tpm_start
unset TPM2CLOUD_ESTD_CONF
mkdir "$work/root"
: >"$work/plain.cnf"
export OPENSSL_CONF="$work/plain.cnf"
printf '[estd]\ncerts_d = %s\nstate_dir = %s\n' "$work/certs.d" "$work/state" >"$work/est.conf"
doctor() {
    "$T2C" doctor --config "$work/est.conf" --root "$work/root" >"$work/lines" 2>"$work/told"
}
# finds STATE CHECK TEXT FIX: one line says so, with what to do below it, and the exit code fits.
finds() {
    doctor
    code=$?
    awk -v state="$1" -v check="$2" -v text="$3" -v fix="$4" '
        found && fix != "" { right = index($0, "what to do: ") && index($0, fix); exit }
        index($0, state) == 1 && index($0, " " check " ") && index($0, text) { found = 1; if (fix == "") { right = 1; exit } }
        END { exit !right }' "$work/lines" &&
        if [ "$1" = "not ok" ]; then [ "$code" -eq 1 ]; else [ ! -s "$work/told" ]; fi && return
    cat "$work/lines" "$work/told"
    return 1
}
ill() { # WHAT CHECK TEXT FIX
    check "$1" finds "not ok" "$2" "$3" "$4"
}
well() { # WHAT CHECK TEXT
    check "$1" finds "ok" "$2" "$3" ""
}
open() { # WHAT CHECK TEXT
    check "$1" finds "not checked" "$2" "$3" ""
}

check "nothing is wrong with a machine that has just been made" doctor
check_equal "and everything has a line" "device tcti resource lockout keys keyd's provider openssl.cnf clock EST certd" \
    "$(sed 's/^............. *//' "$work/lines" | cut -d' ' -f1 | paste -sd' ')"
"$T2C" doctor --config "$work/est.conf" --json >"$work/json"
check "for programs, too" grep -q '^{"ok": true, "checks": \[' "$work/json"
if /usr/bin/python3 -c 'import json' 2>/dev/null; then
    check "as JSON" /usr/bin/python3 -m json.tool "$work/json" /dev/null
else
    skip "as JSON" "this Python has no json"
fi
check_fails "no words" 'unexpected "house"' "$T2C" doctor house

# ---- the way to the TPM ----

tpm=$TPM2CLOUD_TCTI
open "a simulator is no device" device "the TPM is not reached by a device but by swtpm"
well "it answers" tcti "swtpm:path=$work/tpm: IBM, firmware "
export TPM2CLOUD_TCTI="device:$work/none"
ill "no device" device "$work/none: No such file or directory" "enable the TPM in the firmware"
ill "no TPM" tcti "no TPM at device:$work/none: No such file or directory" "say where the TPM is: \$TPM2CLOUD_TCTI comes first"
open "no TPM, no lockout" lockout "there is no TPM to ask"
open "no TPM, no keys" keys "there is no TPM to ask"
export TPM2CLOUD_TCTI="device:$work/plain.cnf"
ill "a file" device "plain.cnf is no device" "write tcti = device:/dev/tpmrm0"
check_equal "which is not written to" "" "$(cat "$work/plain.cnf")"
export TPM2CLOUD_TCTI="device:/dev/tpm0"
ill "the TPM itself" "resource manager" "/dev/tpm0 is the TPM itself, which one program at a time may use" "write tcti = device:/dev/tpmrm0"
export TPM2CLOUD_TCTI=device
ill "the TPM itself, by default" "resource manager" "/dev/tpm0 is the TPM itself" "write tcti = device:/dev/tpmrm0"
export TPM2CLOUD_TCTI="device:/dev/tpmrm0"
well "the kernel's resource manager" "resource manager" "the kernel's, by /dev/tpmrm0"
export TPM2CLOUD_TCTI="tabrmd:bus_name=none"
well "tpm2-abrmd" "resource manager" "tpm2-abrmd"
export TPM2CLOUD_TCTI=
printf 'tcti = swtpm:path=%s\nkeys_dri = x\n' "$work/tpm" >"$work/bad.conf"
export TPM2CLOUD_CONF="$work/bad.conf"
ill "a configuration that is not read" tcti 'bad.conf: unknown key "keys_dri"' "mend the configuration"
export TPM2CLOUD_CONF="$work/tpm2cloud.conf" TPM2CLOUD_TCTI="$tpm"

# A device as the kernel makes it, but for the TPM behind it; and users who may not open it.
as_root=no
if [ "$(id -u)" -eq 0 ] && mknod "$work/tpmrm0" c 1 3 2>/dev/null && unshare --mount true 2>/dev/null && command -v setpriv >/dev/null; then
    as_root=yes
fi
if [ $as_root = yes ]; then
    printf 'root:x:0:0::/:/bin/sh\ntpm2cloud:x:7001:7001::/:/bin/sh\naziotks:x:7002:7002::/:/bin/sh\naziotcs:x:7003:7003::/:/bin/sh\n' >"$work/passwd"
    printf 'root:x:0:\ntss:x:7000:tpm2cloud\n' >"$work/group"
    T2C_REAL=$T2C
    cat >"$work/t2c" <<END
#!/bin/sh
exec unshare --mount sh -c 'mount --bind "$work/passwd" /etc/passwd && mount --bind "$work/group" /etc/group && exec "$T2C_REAL" "\$@"' sh "\$@"
END
    chmod +x "$work/t2c"
    chown 0:7000 "$work/tpmrm0"
    chmod 0660 "$work/tpmrm0"
    export TPM2CLOUD_TCTI="device:$work/tpmrm0"
    T2C=$work/t2c
    ill "a service that may not use the device" device "$work/tpmrm0: the user aziotks may not use it (mode 0660, group tss)" \
        "usermod -aG tss aziotks; systemctl restart aziot-keyd.service"
    check_fails "one that is in the group may" "" grep -q "the user tpm2cloud" "$work/lines"
    sed -i 's/tpm2cloud/tpm2cloud,aziotks/' "$work/group"
    well "with both in the group it is right" device "$work/tpmrm0, mode 0660, group tss"
    T2C=$work/user
    cat >"$T2C" <<END
#!/bin/sh
exec setpriv --reuid 65534 --regid 65534 --clear-groups "$T2C_REAL" "\$@"
END
    chmod +x "$T2C"
    chmod 755 "$work"
    ill "a user who may not use it" device "$work/tpmrm0: you may not use it (mode 0660, group 7000)" "usermod -aG 7000 USER, then log in again"
    T2C=$T2C_REAL
    export TPM2CLOUD_TCTI="$tpm"
else
    for what in "a service that may not use the device" "one that is in the group may" "with both in the group it is right" \
        "a user who may not use it"; do
        skip "$what" "needs root, and a device of our own"
    done
fi

# ---- what others left in it ----

open "a TPM without resource manager" "resource manager" "swtpm:path=$work/tpm is no resource manager's as far as its name tells"
tpm2_createprimary -Q -C o -G ecc -c "$work/p.ctx"
# TPM2_StartAuthSession: an HMAC session without salt, whose program ends.
printf '\200\001\000\000\000\053\000\000\001\166\100\000\000\007\100\000\000\007\000\020sixteen octets!!\000\000\000\000\020\000\013' |
    socat -t 2 - "UNIX-CONNECT:$work/tpm" >"$work/session"
ill "what other programs left in it" "resource manager" "other programs left 1 object(s) and 1 session(s) in the TPM" "tpm2_flushcontext -t; tpm2_flushcontext -l"
tpm2_flushcontext -t
tpm2_flushcontext -l

"$T2C" key create ldevid >/dev/null
tpm2_dictionarylockout -s -n 2 -t 3600 -l 10
tpm2_create -Q -C 0x81000001 -G ecc:ecdsa-sha256 -u "$work/da.pub" -r "$work/da.priv" -p secret \
    -a 'fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign'
tpm2_load -Q -C 0x81000001 -u "$work/da.pub" -r "$work/da.priv" -c "$work/da.ctx"
tpm2_flushcontext -t
head -c 32 /dev/zero >"$work/digest"
wrong() {
    tpm2_sign -c "$work/da.ctx" -p wrong -g sha256 -d -o "$work/sig" "$work/digest" 2>/dev/null
    tpm2_flushcontext -t
    tpm2_flushcontext -l
}
well "no lockout" lockout "none: 0 of 2 failed authorizations"
wrong
well "one failure" lockout "none: 1 of 2 failed authorizations"
wrong
ill "lockout" lockout "the TPM is in dictionary-attack lockout (2 failures)" "tpm2_dictionarylockout --clear-lockout ends it at once"
tpm2_dictionarylockout -c

# ---- whose keys these are ----

"$T2C" key create device-id >/dev/null
"$T2C" key create idevid >/dev/null
well "keys of this TPM" keys "4 key file(s) and record(s), all of this TPM"
home=$work/root/var/lib/aziot/keyd
open "no keys of aziot-keyd" "keyd's keys" "$home/keys is not there"
mkdir -p "$home"
(
    [ -z "$PRELOAD" ] || export LD_PRELOAD="$PRELOAD" ASAN_OPTIONS=detect_leaks=0
    "$BUILD/aziot_calls" "$BUILD/.libs/libaziot_keys.so" "$home" calls create:device-id:ec-p256:\* >"$work/created" 2>&1
)
check "aziot-keyd makes a key" grep -q '^rc 0$' "$work/created"
record=$(echo "$home"/keys/deviceid-*.tpm)
well "which is this TPM's" "keyd's keys" "1 in $home/keys, all of this TPM"
cp "$record" "$work/record"
echo rubbish >"$record"
ill "a damaged one" "keyd's keys" "$record: " "restore the file, or remove it"
cp "$work/record" "$record"
cp -r "$work/keys" "$work/image"
echo rubbish >"$work/keys/pump.pem"
ill "a damaged key file" "key pump" "pump.pem: no PEM block" "restore the file, or remove it"
rm "$work/keys/pump.pem"
echo rubbish >"$work/keys/81020001.record"
ill "a damaged record" "key 81020001.record" "81020001.record: no PEM block" "restore the file, or remove it"
rm "$work/keys/81020001.record"
tpm_stop
tpm_start
cp -r "$work/image" "$work/keys"
ill "another device's image: a key file without its parent" "key device-id" "the parent key is missing" "if this is a copy of another device's image"
ill "the record of a key that is not there" "key 81020000.record" "handle 0x81020000" "remove the file from the key directory and make the key again"
tpm2_createprimary -Q -C e -G ecc -c "$work/p.ctx" && tpm2_evictcontrol -Q -C o -c "$work/p.ctx" 0x81020000
tpm2_flushcontext -t
ill "the record of another key" "key 81020000.record" "handle 0x81020000 holds another key than the one that was known" "copy of another device's image"
rm "$work"/keys/*.record
"$T2C" key create srk >/dev/null
ill "a key file of another TPM" "key device-id" "the key belongs to another TPM, or this TPM was cleared" "remove the file from the key directory"
ill "a key of keyd's, too" "keyd's keys" "$record: device-id: cannot load the key" "stop IoT Edge, remove the key's file"
rm "$work/keys/device-id.pem" "$record"
well "without them all is well" keys "1 key file(s) and record(s), all of this TPM"

# ---- OpenSSL ----

well "the provider" provider "$OPENSSL_MODULES/tpm2cloud.so, version "
mkdir "$work/modules"
export OPENSSL_MODULES="$work/modules"
ill "no module" provider "OpenSSL does not load tpm2cloud.so from $work/modules: filename($work/modules/tpm2cloud.so)" "install the package again"
echo rubbish >"$work/modules/tpm2cloud.so"
ill "a module that is none" provider "OpenSSL does not load tpm2cloud.so from $work/modules" "install the package again"
version=$("$T2C" --version | cut -d' ' -f2)
sed "s/tpm2cloud $version/tpm2cloud 9.9.9/; s/\\x00$version\\x00/\\x009.9.9\\x00/g" "$BUILD/.libs/tpm2cloud.so" >"$work/modules/tpm2cloud.so"
ill "a module of another version" provider "tpm2cloud.so is of version 9.9.9, this program of $version" "install both from one package"
export OPENSSL_MODULES="$BUILD/.libs"
open "an openssl.cnf that does not name it" openssl.cnf "plain.cnf does not name the provider; programs that are to use keys of the TPM get OPENSSL_CONF="
export OPENSSL_CONF="$work/none.cnf"
open "no openssl.cnf" openssl.cnf "there is no $work/none.cnf"
export OPENSSL_CONF="$srcdir/packaging/openssl.cnf"
well "the packaged one" openssl.cnf "packaging/openssl.cnf loads the provider, and prefers the default one"
awk '/^default = / { held = $0; next } { print } /^tpm2cloud = / { print held }' "$srcdir/packaging/openssl.cnf" >"$work/preferred.cnf"
export OPENSSL_CONF="$work/preferred.cnf"
well "ours first, with the preference" openssl.cnf "prefers the default one"
sed '/^default_properties/d' "$work/preferred.cnf" >"$work/first.cnf"
export OPENSSL_CONF="$work/first.cnf"
ill "ours first" openssl.cnf "first.cnf prefers the TPM's provider for everything, and libssl then drops the groups of P-256" \
    "put the line of the default provider before that of tpm2cloud, or set default_properties"
sed '/^default = /d' "$srcdir/packaging/openssl.cnf" >"$work/alone.cnf"
export OPENSSL_CONF="$work/alone.cnf"
ill "ours alone" openssl.cnf "alone.cnf loads the provider and not the default one" "activate the default provider, too"
echo "rubbish" >"$work/rubbish.cnf"
export OPENSSL_CONF="$work/rubbish.cnf"
ill "one with a mistake" openssl.cnf "OpenSSL does not load $work/rubbish.cnf" "compare it with /etc/tpm2cloud/openssl.cnf"
export OPENSSL_CONF="$work/plain.cnf"

# ---- the clock ----

well "the clock" clock "$(date -u +%Y)-"
if [ -z "$PRELOAD" ] && [ -e "$BUILD/.libs/clockshim.so" ]; then
    echo "-400000000 set" >"$work/clock"
    T2C_REAL=$T2C
    cat >"$work/early" <<END
#!/bin/sh
CLOCKSHIM=$work/clock LD_PRELOAD=$BUILD/.libs/clockshim.so exec "$T2C_REAL" "\$@"
END
    chmod +x "$work/early"
    T2C=$work/early
    ill "a clock that is before this program" clock "and this program was built at" "set the clock: timedatectl set-ntp true"
    ca_serve ca
    estd_conf "$work/ca/root.pem"
    factory maker ca
    cert_conf early '[auth]' "key = $work/maker.key" "cert = $work/maker.pem"
    check "a certificate of estd" once early
    echo "-100000 set" >"$work/clock"
    cp "$T2C_REAL" "$work/old"
    touch -d 2020-01-01 "$work/old"
    sed -i "s|exec \"[^\"]*\"|exec \"$work/old\"|" "$work/early"
    ill "a clock that is before a certificate of estd" clock "and the certificate of early is valid from" "set the clock"
    T2C=$T2C_REAL
    rm -r "$work/certs.d/early.conf" "$work/state"
    ca_stop
else
    for what in "a clock that is before this program" "a certificate of estd" "a clock that is before a certificate of estd"; do
        skip "$what" "the clock's shim is no sanitizer's"
    done
fi
ca_make ca
"$T2C" key create ldevid >/dev/null
"$T2C" csr ldevid --subject /CN=ldevid --out "$work/ldevid.csr"
"$ESTCA" sign "$work/ca" --csr "$work/ldevid.csr" --not-before 3600 --out "$work/ldevid.crt"
"$T2C" cert import ldevid "$work/ldevid.crt" >/dev/null
ill "a clock that is before a certificate" clock "and the certificate of ldevid is valid from" "set the clock"
rm "$work/certs/ldevid.pem"
# ---- EST servers ----

open "no certificate" EST "$work/certs.d holds no certificate for estd"
ca_serve ca
estd_conf "$work/ca/root.pem"
cert_conf a
well "a server that is there" "EST for a" "the server localhost:$port takes connections"
check_equal "which is asked for nothing" "" "$(grep -v op=tls "$log")"
cert_conf b "url = https://a..b/.well-known/est"
ill "a name that nobody knows" "EST for b" "the server a..b: " "see to the device's DNS"
well "the other one is as it was" "EST for a" "takes connections"
cert_conf b "url = https://127.0.0.1:1/.well-known/est"
ill "a server that is not there" "EST for b" "the server 127.0.0.1:1: Connection refused" "see whether the server runs and the network lets the device through"
cert_conf b "proxy = http://127.0.0.1:2"
ill "a proxy that is not there" "EST for b" "the proxy 127.0.0.1:2: Connection refused" "a proxy that must be named"
cert_conf b "proxy = http://localhost:$port"
well "one that is" "EST for b" "the proxy localhost:$port takes connections"
cert_conf b "url = https://host:port/"
ill "no URL" "EST for b" "https://host:port/ is no URL" "estd --check-config names the line"
sed -i '/^url/d' "$work/est.conf"
ill "no url" "EST for a" "there is no url in its configuration" "write url = https://HOST"
printf 'rubbish\n' >"$work/certs.d/b.conf"
ill "a file with a mistake" estd "b.conf: line 1: missing equal sign" "estd --check-config"
rm "$work/certs.d/b.conf"
echo rubbish >>"$work/est.conf"
ill "estd's own, too" estd "est.conf: line" "estd --check-config"
printf '[estd]\ncerts_d = %s\n' "$work/none" >"$work/est.conf"
ill "a directory that is not there" estd "$work/none: No such file or directory" "make the directory, or correct certs_d"
estd_conf "$work/ca/root.pem"
rm -rf "$work/certs.d/a.conf"

# ---- the directory of aziot-certd ----

home=$work/certd
cert_conf c
open "nothing for certd" certd "no certificate of estd goes to aziot-certd"
printf 'certd = %s\n' "$home" >>"$work/certs.d/c.conf"
ill "no directory of certd" certd "$home: No such file or directory" "install aziot-edge, or correct certd ="
mkdir -m 0700 "$home"
well "one that it made" certd "$home and what is in it is $(id -un)'s"
chmod 0770 "$home"
ill "one that others can write" certd "$home can be written by others (mode 0770)" "chmod 0700 $home"
chmod 0700 "$home"
if [ $as_root = yes ]; then
    mkdir "$home/certs"
    touch "$home/certs/device-id.cer"
    T2C_REAL=$T2C T2C=$work/t2c
    ill "one that is not certd's" certd "$home belongs to root and not to aziotcs, so that aziot-certd cannot write it" "chown aziotcs: $home"
    chown 7003 "$home"
    ill "estd without root's help" certd "c: estd runs as tpm2cloud, who may not write to $home" "write deploy = yes into its [install]"
    echo 'deploy = yes' >>"$work/certs.d/c.conf"
    ill "a directory that somebody made by hand" certd "$home/certs belongs to root and not to aziotcs" "chown aziotcs: $home/certs"
    chown 7003 "$home/certs"
    ill "a file that somebody put there" certd "$home/certs/device-id.cer belongs to root and not to aziotcs" "chown aziotcs: $home/certs/device-id.cer"
    chown 7003 "$home/certs/device-id.cer"
    well "all certd's" certd "$home and what is in it is aziotcs's"
    chmod 0700 "$work/keys"
    chmod 0666 "$work/tpm" "$work/tpm.ctrl"
    T2C=$work/user
    open "keys that a user cannot see" keys "names in $work/keys are not listed: Permission denied"
    open "what a user cannot see" certd "what is in $home is seen by root alone; run this as root"
    T2C=$T2C_REAL
else
    for what in "one that is not certd's" "estd without root's help" "a directory that somebody made by hand" "a file that somebody put there" \
        "all certd's" "keys that a user cannot see" "what a user cannot see"; do
        skip "$what" "needs root"
    done
fi
check "what is wrong, for programs" sh -c "'$T2C' doctor --config '$work/none.conf' --json | grep -q '\"state\": \"not ok\"'"
tpm_clean "it only looked"
finish
