#!/bin/sh
# A TPM whose owner, endorsement, lockout and platform hierarchies have an authorization value each: where the values are is told by
# the configuration or the environment, and they never go over the wire.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl tpm2_changeauth tpm2_nvreadpublic
tpm_start
export TPM2CLOUD_TCTI="$BUILD/.libs/tcti_count.so:swtpm:path=$work/tpm" T2C_TCTI_TRAFFIC="$work/wire"
owner=owner-value-0123456789-32-bytes. endorsement=endorsement-value-0123 lockout=lockout-value-01234567 platform=platform-value-0123456
for hierarchy in owner endorsement lockout platform; do
    eval "value=\$$hierarchy"
    printf '%s\n' "$value" >"$work/$hierarchy.auth"
done
printf 'another value\n' >"$work/wrong.auth"

set_values() {
    tpm2_changeauth -Q -c o "$owner" && tpm2_changeauth -Q -c e "$endorsement" && tpm2_changeauth -Q -c l "$lockout"
}
# The configuration names the places of HIERARCHIES.
configure() {
    printf 'keys_dir = %s\ncerts_dir = %s\n' "$work/keys" "$work/certs" >"$work/tpm2cloud.conf"
    for hierarchy in "$@"; do
        echo "${hierarchy}_auth = file:$work/$hierarchy.auth" >>"$work/tpm2cloud.conf"
    done
}
counted() { # COMMAND...: what is sent to the TPM goes to $work/commands
    : >"$work/commands"
    T2C_TCTI_LOG=$work/commands T2C_TCTI_SIZES=1 "$@"
}
sent() { # CODE: how many of these commands were sent
    grep -c "^$1" "$work/commands"
}
missing() { # HIERARCHY: how that is said
    echo "the TPM's $1 hierarchy has an authorization value that nothing here gives: say where it is with $1_auth =" \
        "file:/PATH (or env:VAR, cred:ID) in tpm2cloud.conf, or with \$TPM2CLOUD_$(echo "$1" | tr "[:lower:]" "[:upper:]")_AUTH"
}
nv_write=00000137 nv_define=0000012a evict=00000120 start_session=00000176

check "the hierarchies get their values" set_values
tpm2_changeauth -Q -c p $platform

# ---- one missing after the other ----
check_fails "nothing: the owner's is missing" "$(missing owner)" "$T2C" key create srk
configure owner
check "with the owner's there is a storage root key" counted "$T2C" key create srk
check_equal "for which there was no salt yet: four sessions in all, two of them to find that out" 2 "$(sent $start_session)"
check "and an LDevID" counted "$T2C" key create ldevid
check_equal "now each session is salted" "" "$(awk "/^$start_session/ && \$2 < 300" "$work/commands")"
check_fails "the endorsement hierarchy's is missing" "$(missing endorsement)" "$T2C" key create idevid
check_fails "and for an endorsement key" "$(missing endorsement)" "$T2C" key create ek
configure owner endorsement
check "with both there is an IDevID" "$T2C" key create idevid
check "and an endorsement key" "$T2C" key create ek
check "the child of that, by its policy" env TPM2CLOUD_PROFILE=iotedge-tpm2cloud "$T2C" key delete idevid --force
check "is made, too" env TPM2CLOUD_PROFILE=iotedge-tpm2cloud "$T2C" key create idevid
check_equal "as an RSA key" "idevid: exists (rsa-2048, 0x81020000)" "$("$T2C" key create idevid)"

# ---- the certificate of the IDevID ----
"$ESTCA" init "$work/maker" --name maker >/dev/null
certify() {
    "$T2C" csr idevid --subject /CN=idevid --san "${sans%,}" --out "$work/idevid.csr"
    "$ESTCA" sign "$work/maker" --csr "$work/idevid.csr" --not-after 99991231235959Z --out "$work/idevid.crt"
}
sans=$(i=0; while [ $i -lt 20 ]; do printf 'DNS:alternative-name-%s.factory.example,' $i; i=$((i + 1)); done)
certify
configure
check_fails "neither platform nor owner: what is missing is told" "$(missing owner)" "$T2C" cert import idevid "$work/idevid.crt"
check_equal "and the platform's, too" 1 "$(grep -c 'platform_auth =' "$work/err")"
check_fails "a wrong platform value is a mistake, and no reason to do without" \
    "the value of the TPM's platform hierarchy is wrong: correct what \$TPM2CLOUD_PLATFORM_AUTH names" \
    env TPM2CLOUD_PLATFORM_AUTH="file:$work/wrong.auth" "$T2C" cert import idevid "$work/idevid.crt"
configure owner
check_equal "where the platform's is not ours, the owner makes the index, and what that means is said" \
    "idevid: certificate stored in NV index 0x01c90200, made by the owner since the platform hierarchy is closed: TPM2_Clear removes it" \
    "$("$T2C" cert import idevid "$work/idevid.crt")"
check "it is the owner's" sh -c \
    "tpm2_nvreadpublic 0x01C90200 | grep -q 'friendly: ownerwrite|ppread|ownerread|authread|no_da|written\$'"
check "key and certificate are removed as the owner" "$T2C" key delete idevid --cert --force
configure owner endorsement platform
"$T2C" key create idevid >/dev/null
certify
check "with the platform's value it is made by the platform" counted "$T2C" cert import idevid "$work/idevid.crt"
check "with the attributes of an endorsement key's certificate" sh -c \
    "tpm2_nvreadpublic 0x01C90200 | grep -q 'friendly: ppwrite|ppread|ownerread|authread|no_da|written|platformcreate\$'"
check "in more chunks than one" test "$(sent $nv_write)" -gt 1
check "again" counted "$T2C" cert import idevid "$work/idevid.crt"
check_equal "nothing is written" "0 0" "$(sent $nv_define) $(sent $nv_write)"
configure
check "everybody reads it" "$T2C" cert verify idevid --trust "$work/maker/root.pem"

# ---- where a value comes from ----
configure owner
VALUE=$owner
export VALUE
check "a variable of the environment names a variable" env TPM2CLOUD_OWNER_AUTH=env:VALUE "$T2C" key delete ldevid
check_fails "it wins over the configuration" \
    "the value of the TPM's owner hierarchy is wrong: correct what \$TPM2CLOUD_OWNER_AUTH names" \
    counted env TPM2CLOUD_OWNER_AUTH="file:$work/wrong.auth" "$T2C" key create ldevid
check_equal "and a wrong value is sent once" 1 "$(sent $evict)"
CREDENTIALS_DIRECTORY=$work
export CREDENTIALS_DIRECTORY
check "a credential" env TPM2CLOUD_OWNER_AUTH=cred:owner.auth "$T2C" key create ldevid
check_fails "no such file" "the owner hierarchy's value (\$TPM2CLOUD_OWNER_AUTH): auth-source: cannot open $work/none" \
    env TPM2CLOUD_OWNER_AUTH="file:$work/none" "$T2C" key delete ldevid
check_fails "the value itself" "use file:/path, env:NAME or cred:NAME" env TPM2CLOUD_OWNER_AUTH=$owner "$T2C" key delete ldevid
check_equal "which is not repeated" 0 "$(grep -c $owner "$work/err")"
configure lockout
check_fails "another's value does not help" "$(missing owner)" "$T2C" key delete ldevid

not_on_wire() {
    [ -s "$work/wire" ] || return 1
    for value in $owner $endorsement $lockout $platform; do
        ! grep -qaF "$value" "$work/wire" || return 1
    done
}
# ---- what stays behind ----
unset VALUE
configure owner
"$T2C" key create ldevid >/dev/null
if [ -n "$PRELOAD" ]; then
    skip "the value is nowhere in memory" "a sanitizer's shadow of the memory cannot be searched"
else
    check "the value is nowhere in the memory of a program that used it" "$BUILD/forgets" "$work/owner.auth"
fi

# ---- clearing ----
cat >"$work/systemctl" <<END
#!/bin/sh
[ "\$1" != is-active ]
END
chmod 755 "$work/systemctl"
mkdir -p "$work/root" "$work/certs.d"
printf '[estd]\ncerts_d = %s\nstate_dir = %s\nsocket = none\n' "$work/certs.d" "$work/estd" >"$work/estd.conf"
release() { # HIERARCHIES whose values are named
    configure "$@"
    echo "systemctl = $work/systemctl" >>"$work/tpm2cloud.conf"
    TPM2CLOUD_PROFILE=iotedge-tpm2cloud counted "$T2C" release --yes --clear --root "$work/root" --config "$work/estd.conf"
}
check_fails "lockout's value is missing" "cannot clear the TPM: $(missing lockout)" release owner endorsement
check "and no empty one was tried, which would close it: with all values a device is given back" release owner endorsement lockout
check_equal "its IDevID is there again, as it was, whatever the profile" "idevid: exists (ec-p256, 0x81020000)" \
    "$("$T2C" key create idevid)"
check_equal "its values are gone" "0" "$(tpm2_getcap properties-variable | grep -c 'AuthSet: *1')"
check "which is no reason not to make keys, with the settings as they were" "$T2C" key create ldevid
check "the hierarchies get values again" set_values
cp "$work/wrong.auth" "$work/lockout.auth"
check_fails "a wrong value" "the value of the TPM's lockout hierarchy is wrong: correct what lockout_auth = in tpm2cloud.conf names" \
    release owner endorsement lockout
check_fails "closes that hierarchy" "the lockout hierarchy is closed, since a wrong value was given: it opens 1000 s after that" \
    release owner endorsement lockout
check "but not the platform's" release owner endorsement platform
check "none of the values was on the wire" not_on_wire
tpm_clean "all that"
finish
