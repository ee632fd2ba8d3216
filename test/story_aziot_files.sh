#!/bin/sh
# What may lie where libaziot_keys looks for a key: links, pipes, directories, files of others; homes of any name. Missing is
# what is not there, and nothing else: all that is no good is told, and stays.
# shellcheck disable=SC1091
. "${srcdir:-.}/test/harness.sh"
need swtpm setpriv timeout
library=$BUILD/.libs/libaziot_keys.so
home=$work/home
mkdir "$home"
tpm_start
"$T2C" key create srk >/dev/null

# aziot ARGUMENTS...: see test/aziot_calls.c; nothing that it meets may hold it up.
aziot() {
    if [ -n "$PRELOAD" ]; then
        LD_PRELOAD=$PRELOAD timeout 60 "$BUILD/aziot_calls" "$library" "$home" "$@"
    else
        timeout 60 "$BUILD/aziot_calls" "$library" "$home" "$@"
    fi
}
rc() { # RC CALL...: what the last call returns.
    want=$1
    shift
    check_equal "$what: $* returns $want" "$want" "$(aziot "$@" 2>"$work/err" | sed -n 's/^rc //p' | tail -n 1)"
}
record_of() { # ID
    echo "$home/keys/$1-$(printf %s "$1" | sha256sum | cut -d' ' -f1).tpm"
}
# is_no_key WHAT MESSAGE: what lies at $record is told by MESSAGE, is not replaced, and no second one is made beside it.
is_no_key() {
    what=$1
    check_fails "$what is told" "$2" aziot calls load:key
    rc 2 calls load:key
    rc 2 calls create:key
    rc 2 calls load-key:key
    rc 2 calls create-key:key
    rc 2 calls move:key:other
}

# ---- links ----

aziot calls create:real >"$work/out"
record=$(record_of key)
ln -s "$(record_of real)" "$record"
what="a link to a record"
rc 0 calls load:key sign:key
rc 0 calls delete:key
check "$what: is removed, and not what it leads to" [ ! -L "$record" -a -e "$(record_of real)" ]
ln -s "$home/nowhere" "$record"
is_no_key "a link to nowhere" "No such file or directory"
check "it stays" [ -L "$record" ]
rc 0 calls delete:key
check "it is removed when that is asked for" [ ! -L "$record" ]
ln -s "$record" "$record"
is_no_key "a link to itself" "Too many levels of symbolic links"
rm "$record"

# ---- what is no file ----

mkfifo "$record"
is_no_key "a pipe" "is no regular file"
rm "$record"
mkdir "$record"
is_no_key "a directory" "is no regular file"
rc 2 calls delete:key
rmdir "$record"
ln -s /dev/zero "$record"
is_no_key "a device" "is no regular file"
rm "$record"
head -c 20000 /dev/zero >"$record"
is_no_key "a long file" "is longer than 16384 bytes"
rm "$record"

# ---- homes ----

what="a home that is missing"
home=$work/new/home
rc 1 calls load:key
rc 0 calls delete:key
check "$what: looking makes none" [ ! -e "$work/new" ]
rc 0 calls create:key load:key
check_equal "$what: is made, for keyd alone" "700 600" "$(stat -c %a "$home/keys") $(stat -c %a "$(record_of key)")"
what="a home with a name of its own"
home="$work/h o%41m
é;e\$(x)"
rc 0 calls create:key load:key sign:key create-key:sas hmac:sas move:key:other delete:other
what="keys that is a file"
home=$work/other
mkdir "$home"
: >"$home/keys"
rc 2 calls load:key
rc 2 calls create:key
rc 2 calls delete:key

# ---- files of others ----

if [ "$(id -u)" -eq 0 ] && [ -z "$PRELOAD" ]; then
    home=$work/closed
    mkdir "$home"
    aziot calls create:key >"$work/out"
    chmod 755 "$work" "$home"
    as_nobody() {
        setpriv --reuid=65534 --regid=65534 --clear-groups "$BUILD/aziot_calls" "$library" "$home" "$@"
    }
    if as_nobody >/dev/null 2>&1; then
        for call in load create delete load-key create-key delete-key; do
            check_fails "$call in a directory that is closed" "Permission denied" as_nobody calls $call:key
            check_equal "$call there returns 2" "rc 2" "$(as_nobody calls $call:key 2>/dev/null)"
        done
        chmod 755 "$home/keys"
        check_fails "a record that is closed" "Permission denied" as_nobody calls load:key
        check_fails "is not replaced" "Permission denied" as_nobody calls create:key
    else
        skip "files of others" "user 65534 cannot run what was built here"
    fi
else
    skip "files of others" "only root can try them, without a sanitizer"
fi
tpm_clean "all"
finish
