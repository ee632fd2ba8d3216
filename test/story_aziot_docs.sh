#!/bin/sh
# docs/aziot.md, followed: each of its commands is run as it stands there, on a device that is a directory, whose aziot-keyd is our
# stand-in and whose systemd is a few lines of shell. Before, its keys are files of Azure's library; after going back, they are again.
# shellcheck disable=SC1091,SC2016
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/keyd.sh"
need swtpm openssl jq curl make
unset MAKEFLAGS MAKELEVEL MFLAGS
document=$srcdir/docs/aziot.md
root=$work/root
socket=$root/run/aziot/keyd.sock
ln -s "$socket" "$work/keyd.sock" # where test/keyd.sh asks
[ -x "$BUILD/keyd" ] || skip_all "keyd is not built; it needs libmicrohttpd-dev and libjansson-dev"

# ---- the device ----

make -C "$BUILD" install DESTDIR="$root" >"$work/installed" 2>&1 || skip_all "make install fails: $(tail -n 1 "$work/installed")"
made() { # the value of a variable of the Makefile
    echo "print-it: ; @echo \$($1)" | make -s --no-print-directory -C "$BUILD" -f Makefile -f - print-it
}
share=$root$(made datadir)/tpm2cloud library=$root$(made prefix)/lib/tpm2cloud/libaziot_keys.so
home=$root/var/lib/aziot/keyd
mkdir -p "$home/keys" "$root/var/lib/aziot/certd/certs" "$root/etc/aziot/keyd/config.d" "$root/etc/aziot/certd" \
    "$root/etc/systemd/system" "$root/run/aziot" "$work/bin"
printf '%s\n' '[aziot_keys]' 'homedir_path = "/var/lib/aziot/keyd"' '[endpoints]' 'aziot_keyd = "unix:///run/aziot/keyd.sock"' \
    >"$root/etc/aziot/keyd/config.d/00-super.toml"
: >"$root/etc/aziot/keyd/config.toml"
stem() { # ID: how aziot names its file
    printf '%s-%s' "$(printf %s "$1" | tr -cd A-Za-z0-9)" "$(printf %s "$1" | sha256sum | cut -d' ' -f1)"
}
device=$home/keys/$(stem device-id).key master=$home/keys/$(stem aziot_identityd_master_id).key
openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$device" 2>/dev/null
openssl req -x509 -new -key "$device" -subj /CN=device -days 30 -out "$root/var/lib/aziot/certd/certs/$(stem device-id).cer"
for id in aziot_identityd_master_id iotedge_master_encryption_id handle-validation-key; do
    openssl rand 32 >"$home/keys/$(stem $id).key"
done
cp -a "$home/keys" "$work/before"
cp -a "$root/var/lib/aziot/certd/certs" "$work/certs-before"
tpm_start

# What stands for systemd: aziot-keyd is started with the library that its drop-in says, else with Azure's, which is the stub.
cat >"$work/bin/systemctl" <<END
#!/bin/sh
case "\$*" in
daemon-reload) touch "$work/reloaded" ;;
"show -P MainPID aziot-keyd") cat "$work/keyd.pid" ;;
*) echo "systemctl is asked for \$*" >&2 && exit 1 ;;
esac
END
cat >"$work/bin/iotedge" <<END
#!/bin/sh
stop() {
    [ -f "$work/keyd.pid" ] || return 0
    kill "\$(cat "$work/keyd.pid")" 2>/dev/null
    for i in \$(seq 400); do kill -0 "\$(cat "$work/keyd.pid")" 2>/dev/null || break; sleep 0.05; done
    rm -f "$work/keyd.pid"
}
start() {
    dropin=$root/etc/systemd/system/aziot-keyd.service.d/50-tpm2cloud.conf
    path=\$(sed -n 's|^Environment=LD_LIBRARY_PATH=|:|p' "\$dropin" 2>/dev/null | sed 's|:/|:$root/|g; s|^:||')
    rm -rf "$work/keyd.copy" && cp -r "$root/etc/aziot/keyd" "$work/keyd.copy"
    sed -i 's|"/var/|"$root/var/|; s|unix:///|unix://$root/|' "$work/keyd.copy/config.d"/*.toml
    AZIOT_KEYD_CONFIG=$work/keyd.copy/config.toml AZIOT_KEYD_CONFIG_DIR=$work/keyd.copy/config.d \\
        LD_LIBRARY_PATH=\${path:-$BUILD/test/keyd/stub} "$BUILD/keyd" >/dev/null 2>>"$work/keyd.log" &
    echo \$! >"$work/keyd.pid"
    for i in \$(seq 400); do [ ! -S "$socket" ] && kill -0 "\$(cat "$work/keyd.pid")" || break; sleep 0.05; done
}
case "\$*" in
"system stop") stop ;;
"system restart") stop && start ;;
*) echo "iotedge is asked for \$*" >&2 && exit 1 ;;
esac
END
printf '#!/bin/sh\ncat "%s"\n' "$work/keyd.log" >"$work/bin/journalctl"
printf '#!/bin/sh\n[ "$1" != aziot ] || set -- "$@" --root "%s"\nexec "%s" "$@"\n' "$root" "$T2C" >"$work/bin/tpm2cloud"
chmod +x "$work/bin"/*
PATH=$work/bin:$PATH

# follow NAME: runs the commands of that name, each of which must succeed
follow() {
    awk -v "name=$1" '/^```/ { here = $0 == "```sh " name; next } here' "$document" |
        sed "s|/usr/share/tpm2cloud|$share|g; s| /etc/| $root/etc/|g; s|file:/etc/|file:$root/etc/|g; s|/run/aziot|$root/run/aziot|g" >"$work/commands"
    check "$1: there are commands" test -s "$work/commands"
    check "$1: they succeed" sh -e "$work/commands"
    cp "$work/out" "$work/said"
    awk '{ print "# " $0 }' "$work/said" "$work/err"
    [ ! -f "$work/keyd.pid" ] || pids="$pids $(cat "$work/keyd.pid")"
}
mac() { # MESSAGE: by the master key, as keyd makes it
    printf %s "$1" | hmac "$(ask /key/aziot_identityd_master_id | value keyHandle)" | hex
}
listing() { # DIRECTORY: its files, and what is in them
    (cd "$1" && find . -type f | sort | xargs -r sha256sum)
}

# ---- words ----

grep -l aziot_report_add "$srcdir"/tools/aziot_*.c | xargs grep -ohE '("[a-z-]+" : )?"[a-z-]+", err' | grep -oE '[a-z-]+"' | tr -d '"' | sort -u >"$work/words"
check "the lists have words" [ "$(wc -l <"$work/words")" -gt 15 ]
while read -r word; do
    check "the document explains $word" grep -q "^| [a-z]*.*\`$word\`.* | .* |" "$document"
done <"$work/words"

# ---- over ----

wanted=$(printf message | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$(hex <"$master")" | sed 's/.*= //')
follow prepare
check "the list says what becomes of the device's key" grep -q device-id "$work/said"
check_equal "nothing has changed" "$(listing "$work/before")" "$(listing "$home/keys")"
follow switch
check "systemd was told" test -f "$work/reloaded"
check_equal "no key is in a file that Azure's library reads" "" "$(find "$home/keys" -name '*.key')"
check_equal "each is in the TPM" 4 "$(find "$home/keys" -name '*.tpm' | wc -l)"
follow check
check "keyd has our library" grep -qx "$library" "$work/said"
check "it signs" grep -q '^{"signature":"[A-Za-z0-9+/=]*"}' "$work/said"
check_equal "the key that it was tried with is gone" "" "$(find "$home/keys" -name 'tpm2cloudcheck-*')"
check_equal "what a module's key is derived from is the same" "$wanted" "$(mac message)"
check "the device's key, too" sh -c "openssl pkey -in '$work/before/${device##*/}' -pubout -out '$work/device.pub'"
handle=$(ask /keypair/device-id | value keyHandle)
public_of "$handle" "$work/ours.pub"
check "which the certificate is for" cmp "$work/device.pub" "$work/ours.pub"
check "without our library keyd does not start" \
    sh -c "! env LD_LIBRARY_PATH='$BUILD/test/keyd/stub' AZIOT_KEYD_CONFIG='$work/keyd.copy/config.toml' \
    AZIOT_KEYD_CONFIG_DIR='$work/keyd.copy/config.d' '$BUILD/keyd'"

# ---- and back ----

cp -a "$root" "$work/switched"
follow back
check_equal "all keys are files again, as they were" "$(listing "$work/before")" "$(listing "$home/keys")"
check_equal "the certificates are those of before" "$(listing "$work/certs-before")" "$(listing "$root/var/lib/aziot/certd/certs")"
check_equal "our two files are gone" "" "$(find "$root/etc" -name '50-tpm2cloud.*' -path '*aziot*')"
check "keyd runs with Azure's library" grep -q "$BUILD/test/keyd/stub/libaziot_keys.so" "/proc/$(cat "$work/keyd.pid")/maps"

# ---- or for good ----

iotedge system stop
rm -rf "$root" && cp -a "$work/switched" "$root"
rm -f "$socket"
iotedge system restart
follow clean
check_equal "what was set aside is gone" "" "$(find "$home/keys" -name '*.migrated*')"
check_equal "the keys are as they were" "$wanted" "$(mac message)"
iotedge system stop
check_fails "now the way back would lose keys" "--lose" tpm2cloud aziot rollback
check "the document says so" grep -q -- '--lose' "$document"

# ---- IoT Edge's configuration ----

config=$root/etc/aziot/config.toml
mkdir -p "$root/etc/tpm2cloud/certs.d"
printf %s secret >"$root/etc/tpm2cloud/est-password"
cp "$root/var/lib/aziot/certd/certs/$(stem device-id).cer" "$root/etc/aziot/est-ca.pem"
for step in "key create idevid" "cert selfsign idevid --subject /CN=idevid --out $work/idevid.pem" "cert import idevid $work/idevid.pem"; do
    # shellcheck disable=SC2086
    check "the factory: $step" "$T2C" $step
done
follow configure
printf '%s\n' '[estd]' "certs_d = $root/etc/tpm2cloud/certs.d" "state_dir = $work" "aziot_config_dir = $root/etc/aziot" '[defaults]' \
    "trust = $root/etc/aziot/est-ca.pem" >"$work/estd.conf"
check "estd takes what it is told" "$ESTD" -c "$work/estd.conf" --check-config
check "the device is configured" grep -q '^identity_pk = "pkcs11:token=tpm2cloud;object=gateway"$' "$config"
rm -f "$config" "$root/etc/tpm2cloud/certs.d"/*
follow configure-basic
check "with a password" grep -qx 'password = "secret"' "$config"
rm -f "$config"
follow configure-mtls
check "by the factory's identity" grep -q '^bootstrap_identity_pk = "pkcs11:token=tpm2cloud;object=idevid"$' "$config"
finish
