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
check_equal "the provider exports one symbol" "OSSL_provider_init" \
    "$(nm -D --defined-only "$stage$modules/tpm2cloud.so" | awk '$2 == "T" {print $3}')"
tpm_start
OPENSSL_MODULES=$stage$modules
T2C=$stage$prefix/bin/tpm2cloud
check "the installed command works" "$T2C" key create ldevid
check "the installed provider works" ssl req -new -key tpm2cloud:ldevid -subj /CN=x -out "$work/x.csr"
check "and openssl verifies" openssl req -in "$work/x.csr" -noout -verify
check "make uninstall" make -C "$BUILD" uninstall DESTDIR="$stage"
check_equal "leaves nothing" "" "$(find "$stage" -type f)"
finish
