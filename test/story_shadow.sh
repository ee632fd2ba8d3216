#!/bin/sh
# A working directory with files that are named like our URIs. OpenSSL looks there first if a URI has no "//"; our own
# programs must not take such a file for the key or the certificate in the TPM.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl
tpm_start
"$ESTCA" init "$work/factory" --name factory >/dev/null
"$ESTCA" init "$work/elsewhere" --name elsewhere >/dev/null
for name in idevid ldevid pump; do
    "$T2C" key create $name >/dev/null
    "$T2C" csr $name --subject /CN=$name --out "$work/$name.csr"
    "$ESTCA" sign "$work/factory" --csr "$work/$name.csr" --out "$work/$name.crt"
    "$T2C" cert import $name "$work/$name.crt" >/dev/null
    "$T2C" key pem $name --out "$work/$name.key"
    openssl req -in "$work/$name.csr" -noout -pubkey >"$work/$name.pub"
done

# Software keys with certificates that the EST server would take, too: by the bare name, by the URI, and by the path that a URI
# with "//" could be mistaken for.
lure=$work/lure
mkdir -p "$lure/tpm2cloud:"
for name in idevid ldevid pump; do
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=not-$name" -keyout "$lure/$name" \
        -out "$work/lure.csr" 2>/dev/null
    openssl pkey -in "$lure/$name" -pubout -out "$work/not-$name.pub"
    "$ESTCA" sign "$work/elsewhere" --csr "$work/lure.csr" >>"$lure/$name"
    cp "$lure/$name" "$lure/tpm2cloud:$name"
    cp "$lure/$name" "$lure/tpm2cloud:/$name"
done
in_lure() {
    (cd "$lure" && "$@")
}
holds() { # KIND FILE NAME: the request or certificate is for the key in the TPM
    openssl "$1" -in "$2" -noout -pubkey | cmp - "$work/$3.pub"
}

# The lure works, and what does not bite.
check_equal "openssl takes the file tpm2cloud:ldevid" "$(cat "$work/not-ldevid.pub")" \
    "$(in_lure ssl pkey -in tpm2cloud:ldevid -pubout)"
check_equal "but never for tpm2cloud://ldevid" "$(cat "$work/ldevid.pub")" "$(in_lure ssl pkey -in tpm2cloud://ldevid -pubout)"
check_equal "nor for the file of the TPM key" "$(cat "$work/ldevid.pub")" \
    "$(in_lure conf_ssl pkey -in "$work/ldevid.key" -pubout)"
check_equal "nor for its certificate" "$(openssl x509 -in "$work/ldevid.crt")" "$(in_lure ssl x509 -in tpm2cloud://ldevid)"

# The command line.
for name in ldevid pump; do
    in_lure "$T2C" csr $name --subject /CN=x >"$work/csr"
    check "tpm2cloud csr $name" holds req "$work/csr" $name
    in_lure "$T2C" cert export $name >"$work/cert"
    check "tpm2cloud cert export $name" holds x509 "$work/cert" $name
    check_equal "tpm2cloud key show $name" "$(cat "$work/$name.pub")" "$(in_lure "$T2C" key show $name | sed -n '/BEGIN/,$p')"
    check "tpm2cloud key pem $name" in_lure "$T2C" key pem $name --out "$work/again.key"
    check "is the same" cmp "$work/$name.key" "$work/again.key"
    check_equal "tpm2cloud key create $name" "$name: exists" "$(in_lure "$T2C" key create $name | sed 's/ (.*//')"
    check_fails "tpm2cloud cert import $name" "is for another key than $name" in_lure "$T2C" cert import $name "tpm2cloud:$name"
done
for what in "key list" status; do
    # shellcheck disable=SC2086
    check_equal "tpm2cloud $what" "$("$T2C" $what)" "$(in_lure "$T2C" $what)"
done

# estd: the new certificate is for the key in the TPM, and the one in the TPM is shown for it.
estca_start operator --client-ca "$work/factory/root.pem" --client-ca "$work/elsewhere/root.pem" || skip_all "estca does not start"
mkdir "$work/certs.d"
cat >"$work/estd.conf" <<CONF
[estd]
certs_d = $work/certs.d
state_dir = $work/state
socket = $work/estd.sock
[defaults]
url = https://localhost:$port/.well-known/est
trust = $work/operator/root.pem
CONF
for name in pump ldevid; do
    cat >"$work/certs.d/$name.conf" <<CONF
[certificate]
key = tpm2cloud:$name
subject = /CN=new-$name
[auth]
key = tpm2cloud:idevid
cert = tpm2cloud:idevid
[install]
file = $work/$name.pem
CONF
    check "estd enrols $name" in_lure "$ESTD" -c "$work/estd.conf" --once $name
    check "with the key in the TPM" holds x509 "$work/$name.pem" $name
    check "by the certificate in the TPM" grep -q "status=200 auth=mtls peer=\"CN=idevid\" subject=\"CN=new-$name\"" \
        "$work/operator.log"
    check "estd renews $name" in_lure "$ESTD" -c "$work/estd.conf" --once $name
    check "with the same key" holds x509 "$work/$name.pem" $name
    check "by its own certificate" grep -q "op=simplereenroll status=200 auth=mtls peer=\"CN=new-$name\"" "$work/operator.log"
done
tpm_clean "after all that"
finish
