#!/bin/sh
# A configuration of aziot configure, applied: the services' own files are made by a stand-in for `iotedge config apply` (apply.py).
# By them aziot-keyd, which is our stand-in, has the keys that the certificates are for, and estd says who renews.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
. "$srcdir/test/keyd.sh"
need swtpm openssl python3 make
python3 -c 'import tomllib' 2>/dev/null || skip_all "python3 has no tomllib"
unset MAKEFLAGS MAKELEVEL MFLAGS
root=$work/root
mkdir -p "$root/etc/aziot" "$root/etc/tpm2cloud/certs.d"
make -s -C "$BUILD" install-dist_aziotconfDATA install-nodist_aziotconfDATA DESTDIR="$root" >"$work/installed" 2>&1 ||
    skip_all "make install fails: $(tail -n 1 "$work/installed")"
tpm_start
keyd_conf
for name in gateway-1 edge_ca factory; do
    "$T2C" key create $name >/dev/null
    "$T2C" cert selfsign $name --subject /CN=$name --out "$work/$name.pem" >/dev/null
    "$T2C" cert import $name "$work/$name.pem" >/dev/null
done
printf '%s\n' '[estd]' "certs_d = $root/etc/tpm2cloud/certs.d" "state_dir = $work" "aziot_config_dir = $root/etc/aziot" '[defaults]' \
    'url = https://est.example/.well-known/est' "trust = $work/factory.pem" >"$work/estd.conf"
keep() { # NAME ID: a certificate of estd
    printf '%s\n' '[certificate]' "key = tpm2cloud:$1" "subject = /CN=$1" '[auth]' 'key = tpm2cloud:factory' 'cert = tpm2cloud:factory' \
        '[install]' "cert_id = $2" >"$root/etc/tpm2cloud/certs.d/$1.conf"
}
apply() { # ARGUMENTS...: of aziot configure
    "$T2C" aziot configure "$@" --scope 0ne00112233 --root "$root" --force && python3 "$srcdir/test/apply.py" "$root" || return
    rm -f "$AZIOT_KEYD_CONFIG_DIR"/*
    cp "$root/etc/aziot/keyd/config.d"/*.toml "$AZIOT_KEYD_CONFIG_DIR"
    sed -i "s|\"/var/lib/aziot/keyd\"|\"$work/home\"|" "$AZIOT_KEYD_CONFIG_DIR/00-super.toml"
}
is_key_of() { # ID NAME: keyd's key is the one that the certificate is for
    public_of "$(pair "$1")" "$work/$1.pub"
    openssl x509 -in "$work/$2.pem" -noout -pubkey | cmp - "$work/$1.pub"
}
estd_takes() {
    "$ESTD" -c "$work/estd.conf" --check-config
}

keep gateway-1 device-id
keep edge_ca aziot-edged-ca
check "estd's certificates" apply dps --name gateway-1 --edge-ca edge_ca
check "are estd's alone" estd_takes
keyd_start
check "aziot-keyd has the device's key" is_key_of device-id gateway-1
check "and that of the edge CA" is_key_of aziot-edged-ca edge_ca
check_equal "and has made none but its own" "handlevalidationkey" "$(find "$work/home" -type f -printf '%f\n' | sed 's/-.*//')"
printf 'a digest of 32 bytes, or of more.' >"$work/text"
openssl dgst -sha256 -binary "$work/text" >"$work/digest"
ecdsa "$(pair device-id)" <"$work/digest" >"$work/signature"
check "it signs as the device" openssl dgst -sha256 -verify "$work/device-id.pub" -signature "$work/signature" "$work/text"
keyd_stop

check_fails "certd's are refused while estd has them" "a certificate has one renewer" apply est-mtls --id gateway-1 \
    --est https://est.example --bootstrap factory
mv "$root/etc/tpm2cloud/certs.d" "$work/away"
mkdir "$root/etc/tpm2cloud/certs.d"
check "certd's certificates" apply est-mtls --id gateway-1 --est https://est.example --bootstrap factory --est-edge-ca https://est.example/ca
keyd_start
check "aziot-keyd has the factory's key, for certd to begin with" is_key_of est-bootstrap-id factory
new_pair device-id ec-p256 >/dev/null # as identityd does
public_of "$(pair device-id)" "$work/made.pub"
check_fails "the device's is one that it has made" "" cmp "$work/made.pub" "$work/device-id.pub"
keyd_stop
for id in gateway-1:device-id edge_ca:aziot-edged-ca; do
    rm -f "$root/etc/tpm2cloud/certs.d"/*
    keep "${id%:*}" "${id#*:}"
    check_fails "estd sees that certd renews ${id#*:}" "a certificate has one renewer" estd_takes
done
finish
