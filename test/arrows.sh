#!/bin/sh
# The structure of HACKING.md, held against the includes: arrows point down only.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
cd "$srcdir" || exit 1

files_that_include() { # PATTERN FOLDERS...
    pattern=$1
    shift
    find "$@" -name '*.[ch]' -exec grep -lE "^#include [<\"]$pattern" {} + | sort | tr '\n' ' ' | sed 's/ $//'
}
tpm_half='lib/(adopt|agree|attest|challenge|create|ek|esys|esys_crypto|hierarchy|identity|import|key|keyfile|make|name|name_check|name_list|nv|object|outer|policy|prove|pubkey|record|refused|rewrap|rsa|session|sign|template|tpm|tss|use|verify)\.[ch]'
check_equal "only lib's TPM half includes TSS" "" "$(files_that_include tss2/ lib provider estd aziot tools include |
    tr ' ' '\n' | grep -vE "^($tpm_half)\$")"
check_equal "only estd and what asks DPS include curl" "tools/dps_http.c" "$(files_that_include curl/ lib provider aziot tools include)"
check_equal "the base half knows nothing of the TPM half" "" \
    "$(grep -lE '^#include "(tpm2cloud/)?(adopt|attest|tpm|key|nv|identity|ek|hierarchy|name|esys|esys_crypto|object|policy|record|rsa|session|template|use|verify)\.h"' \
        lib/error.c lib/host.c lib/auth.c lib/pad.c lib/log.c lib/bytes.c lib/dir.c lib/file.c lib/generation.c lib/cert.c lib/csr.c lib/issue.c lib/uri.c lib/conf.c lib/wrapper.c \
        lib/civil.c lib/alg.c lib/aziot.c lib/aziot_config.c lib/ekcert.c lib/pkcs11.c lib/profile.c lib/toml.c lib/tree.c lib/cbor.c lib/message.c lib/state.c lib/text.c)"
check_equal "only lib/cbor.c includes libcbor" "lib/cbor.c" "$(files_that_include 'cbor\.h>' lib provider estd aziot tools include)"
check_equal "estd knows nothing of the TPM" "" "$(files_that_include 'tpm2cloud/(tpm|key|nv|identity|ek|name|provider)\.h' estd)"
for room in provider estd aziot tools; do
    check_equal "$room includes no other program" "" \
        "$(files_that_include "(\.\./)?($(echo provider estd aziot tools lib | sed "s/$room//; s/^ //; s/ \$//; s/  */|/g"))/" $room)"
done
check_equal "nothing of the product includes the tests" "" "$(files_that_include '.*test/' lib provider estd aziot tools include)"
for header in include/tpm2cloud/*.h; do
    check "$header compiles alone" sh -c "echo '#include <${header#include/}>' | ${CC:-cc} -std=c11 -D_GNU_SOURCE -Iinclude \
        ${CPPFLAGS:-} -x c -fsyntax-only -"
done
check_equal "no function of the product is a verb table of goto" "" "$(grep -rlE '^[[:space:]]+goto ' lib provider estd tools --include='*.c')"
finish
