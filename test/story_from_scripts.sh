#!/bin/sh
# docs/from-scripts.md, followed: each of its commands is run as it stands there, one after the other on one device, which is a
# directory.
# shellcheck disable=SC1091,SC2016
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/provision.sh"
. "$srcdir/test/token.sh"
need swtpm swtpm_setup openssl tpm2_ptool
document=$srcdir/docs/from-scripts.md

# ---- the device, its TPM, and a CA for everything ----

machine
stand_ins
tpm_made || skip_all "swtpm_setup fails"
tpm_start "$work/made"
estca_start secret --auth header --header Secret-Value:5678-est --not-after 99991231235959Z || skip_all "estca does not start"
factory=$port
estca_start owner --auth any --user device:1234-est || skip_all "estca does not start"
owner=$port operator=$port
estd_files
mkdir -p "$root/etc/tpm2cloud" "$root/root" "$root/opt"
cp -r "$work/roots" "$root/etc/tpm2cloud/ek-roots"
cat "$work/secret/root.pem" "$work/owner/root.pem" | tee "$root/etc/tpm2cloud/factory.pem" >"$work/trust.pem"
cp "$work/owner/root.pem" "$root/etc/tpm2cloud/operator.pem"
echo 5678-est >"$root/etc/tpm2cloud/est.secret"
echo 1234-est >"$root/etc/tpm2cloud/est.password"
cp "$root/etc/tpm2cloud/est.secret" "$work/factory.secret"
cp "$root/etc/tpm2cloud/est.password" "$work/owner.password"
echo 123456 | tee "$root/etc/tpm2cloud/pin" >"$root/etc/tpm2cloud/so-pin"
provision_conf
cp "$work/provision.conf" "$root/etc/tpm2cloud/provision.conf"
cat >"$work/bin/az" <<'END'
#!/bin/sh
case "$*" in
"deployment group show "*) echo made ;;
esac
END
printf '#!/bin/sh\nexec "%s" "$@"\n' "$T2C" >"$work/bin/tpm2cloud"
chmod +x "$work/bin"/*

token_tools "$root/opt/tpm2-pkcs11"
rmdir "$root/opt/tpm2-pkcs11"
PATH=$work/token-bin:$PATH

# ---- each line ----

# here COMMAND: what stands in the document is for a whole machine
here() {
    at=$owner
    case $1 in
    *" --auth secret "*) at=$factory ;;
    esac
    case $1 in
    "tpm2cloud aziot "*)
        echo "$1 --root $root" | sed "s|est\.example\.com|localhost:$at|g; s|file:/etc/|file:$root/etc/|g"
        return
        ;;
    "tpm2cloud doctor"* | "tpm2cloud release"* | "tpm2cloud provision"*) set -- "$1 --root /" ;;
    packaging/*) set -- "$srcdir/$1" ;;
    esac
    echo "$1" | sed "s|est\.example\.com|localhost:$at|g; s| /etc/| $root/etc/|g; s|file:/etc/|file:$root/etc/|g
        s| /root/| $root/root/|g; s| /opt/| $root/opt/|g; s|--root /\$|--root $root|"
}
# says_what COMMAND: doctor, which fails when a machine is not as it should be
says_what() {
    sh -c "$1" >"$work/said" 2>&1
    [ $? -le 1 ] && grep -qi 'tpm' "$work/said"
}
sed -n 's/^| `\([^`]*\)` | `\([^`]*\)` | .*[a-z.)] |$/\1|\2/p' "$document" >"$work/rows"
check_equal "each script has a line" \
    "cert-create clean create-ca deploy-cloud ek-cert-verify ek-key-create idevid-cert-export idevid-cert-verify idevid-key-create iotedge-configure iotedge-install ldevid-key-create pkcs11-init-ldevid-link provision-tpm2cloud tpm2-stack-install" \
    "$(sed 's/\.sh.*//' "$work/rows" | sort -u | xargs)"
check_equal "and every line is read" "$(grep -c '^| `' "$document")" "$(wc -l <"$work/rows")"
while IFS='|' read -r script command; do
    case $command in
    "tpm2cloud enroll idevid "*) tpm2_nvundefine -Q -C p 0x01C90200 2>/dev/null ;; # a device has one certificate, and keeps it
    esac
    case $command in
    "tpm2cloud doctor"*) check "$script" says_what "$(here "$command")" ;;
    *) check "$script" sh -c "$(here "$command")" ;;
    esac
done <"$work/rows"

# ---- what came of it ----

check "IoT Edge was told of the last one" grep -q '^config apply' "$work/iotedge.log"
check "the device is provisioned" "$T2C" cert verify device-id --trust "$root/etc/tpm2cloud/factory.pem"
services_stop
finish
