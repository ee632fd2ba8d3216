#!/bin/sh
# A packager installs into a staging directory: every part is where a distribution wants it, and works from there.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm openssl make
unset MAKEFLAGS MAKELEVEL MFLAGS
stage=$work/stage
mkdir "$work/bare"
no_libraries() {
    cd "$work/bare" && PKG_CONFIG_LIBDIR=/nonexistent "$srcdir/configure"
}
(no_libraries) >"$work/configured" 2>&1
check_equal "configure fails without its libraries" 1 $?
for package in libssl-dev libtss2-dev libcurl4-openssl-dev libcbor-dev check; do
    check "and names the package $package" grep -q "Debian package $package)" "$work/configured"
done

check "make install DESTDIR=" make -C "$BUILD" install DESTDIR="$stage"
made() { # the value of a variable of the Makefile
    echo "print-it: ; @echo \$($1)" | make -s --no-print-directory -C "$BUILD" -f Makefile -f - print-it
}
modules=$(made modulesdir)
prefix=$(made prefix)
etc=$(made sysconfdir)
case $prefix in
/usr) check_equal "OpenSSL looks for providers there" "$(pkg-config --variable=modulesdir libcrypto)" "$modules" ;;
esac
check "the provider is there" test -f "$stage$modules/tpm2cloud.so"
check_equal "and nothing else" "tpm2cloud.so" "$(ls "$stage$modules")"
check "tpm2cloud" test -x "$stage$prefix/bin/tpm2cloud"
check "estd" test -x "$stage$prefix/sbin/estd"
check "tpm2cloud-deploy" test -x "$stage$prefix/sbin/tpm2cloud-deploy"
for program in estd tpm2cloud-deploy; do
    check "the unit of $program starts that very one" \
        grep -qx "ExecStart=$prefix/sbin/$program" "$stage$prefix/lib/systemd/system/$program.service"
done
check "the path unit" test -f "$stage$prefix/lib/systemd/system/tpm2cloud-deploy.path"
check "the user" test -f "$stage$prefix/lib/sysusers.d/tpm2cloud.conf"
check "the directories" test -f "$stage$prefix/lib/tmpfiles.d/tpm2cloud.conf"
for file in tpm2cloud.conf openssl.cnf estd.conf; do
    check "$file" test -f "$stage$etc/tpm2cloud/$file"
done
for page in "$srcdir"/packaging/man/*; do
    name=${page##*/}
    check "the page $name" test -f "$stage$(made mandir)/man${name##*.}/$name"
done
check "what completes commands in bash" test -f "$stage$(made datadir)/bash-completion/completions/tpm2cloud"
check_equal "the provider exports one symbol" "OSSL_provider_init" \
    "$(nm -D --defined-only "$stage$modules/tpm2cloud.so" | awk '$2 == "T" {print $3}')"

# ---- what switches IoT Edge over ----

library=$stage$prefix/lib/tpm2cloud/libaziot_keys.so
share=$stage$(made datadir)/tpm2cloud/aziot
check "IoT Edge's library" test -f "$library"
check_equal "and nothing else" "libaziot_keys.so" "$(ls "$stage$prefix/lib/tpm2cloud")"
check_equal "it exports one symbol" "aziot_keys_get_function_list" "$(nm -D --defined-only "$library" | awk '$2 == "T" {print $3}')"
check_equal "keyd is to load that very one, before the package's directory" \
    "Environment=LD_LIBRARY_PATH=$prefix/lib/tpm2cloud:/usr/lib/aziot-identity-service" \
    "$(grep ^Environment= "$share/50-tpm2cloud.conf")"
check "its groups are made" sh -c "grep -qw 'g tss' '$stage$prefix/lib/sysusers.d/tpm2cloud.conf' &&
    grep -qw 'u tpm2cloud' '$stage$prefix/lib/sysusers.d/tpm2cloud.conf' &&
    grep -qx 'SupplementaryGroups=tss tpm2cloud' '$share/50-tpm2cloud.conf'"
if command -v systemd-analyze >/dev/null; then
    mkdir -p "$work/units/aziot-keyd.service.d"
    printf '%s\n' '[Unit]' 'Description=as in aziot-identity-service' '[Service]' 'ExecStart=/bin/true' 'User=daemon' \
        'Environment="LD_LIBRARY_PATH=/usr/lib/aziot-identity-service"' >"$work/units/aziot-keyd.service"
    cp "$share/50-tpm2cloud.conf" "$work/units/aziot-keyd.service.d"
    systemd-analyze verify --man=no "$work/units/aziot-keyd.service" >"$work/verified" 2>&1
    check_equal "systemd understands the drop-in" "0:" "$?:$(cat "$work/verified")"
    sed -i 's/^LimitCORE/LimitKORE/' "$work/units/aziot-keyd.service.d/50-tpm2cloud.conf"
    check "and would say if it did not" sh -c "systemd-analyze verify --man=no '$work/units/aziot-keyd.service' 2>&1 | grep -q LimitKORE"
else
    skip "systemd understands the drop-in" "systemd-analyze is not installed"
fi
tables() { # FILE: what python's reader of TOML understands
    python3 -c 'import json, sys, tomllib; print(json.dumps(tomllib.load(open(sys.argv[1], "rb")), sort_keys=True))' "$1"
}
if python3 -c 'import tomllib' 2>/dev/null; then
    check_equal "the example asks keyd for our library alone" '{"aziot_keys": {"tpm2cloud": "required"}, "preloaded_keys": {}}' \
        "$(tables "$share/50-tpm2cloud.toml")"
    sed 's/^#\([a-z]\)/\1/' "$share/50-tpm2cloud.toml" | awk '!(/=/ && seen[$1]++)' >"$work/all.toml"
    check "what it shows is TOML, too" tables "$work/all.toml"
else
    skip "the example is TOML" "this python has no tomllib"
fi
# Each line of the example, as keyd would tell the library.
sed -n 's/^#*\(tpm2cloud[a-z_]*\) = "\(.*\)"$/\1=\2/p; s/^#\([a-z-]*-id\) = "\(.*\)"$/preloaded_key:\1=\2/p' \
    "$share/50-tpm2cloud.toml" >"$work/lines"
check_equal "the lines of the example" 7 "$(wc -l <"$work/lines")"
while read -r line; do
    check "the library takes $line" stock "$BUILD/aziot_calls" "$library" "$work" "$line" calls
done <"$work/lines"

tpm_start
OPENSSL_MODULES=$stage$modules
T2C=$stage$prefix/bin/tpm2cloud
check "the installed command works" "$T2C" key create ldevid
check "the installed provider works" ssl req -new -key tpm2cloud:ldevid -subj /CN=x -out "$work/x.csr"
check "and openssl verifies" openssl req -in "$work/x.csr" -noout -verify
check "make uninstall" make -C "$BUILD" uninstall DESTDIR="$stage"
check_equal "leaves nothing" "" "$(find "$stage" -type f)"
finish
