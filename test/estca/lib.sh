# shellcheck shell=sh disable=SC2034
# Shared by the proofs of estca; sourced. They use curl and the openssl command line alone, in a fresh directory. TAP on stdout.
# Needs: ESTCA, the path of the binary.
set -eu

: "${ESTCA:?set ESTCA to the path of the estca binary}"
case $ESTCA in */*) ESTCA=$(cd "$(dirname "$ESTCA")" && pwd)/$(basename "$ESTCA") ;; esac
TMP=$(mktemp -d "${TMPDIR:-/tmp}/estca.XXXXXX")
cd "$TMP"
PIDS=
COUNT=0
FAILED=0
unset OPENSSL_CONF SSLKEYLOGFILE CURL_HOME https_proxy HTTPS_PROXY ALL_PROXY all_proxy 2>/dev/null || :

stop_all() {
	for pid in $PIDS; do kill "$pid" 2>/dev/null || :; done
	for pid in $PIDS; do wait "$pid" 2>/dev/null || :; done
	PIDS=
}
trap 'stop_all; cd /; rm -rf "$TMP"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# ok WHAT COMMAND...: one TAP line, by the command's exit code; on failure also what it said.
ok() {
	what=$1
	shift
	COUNT=$((COUNT + 1))
	if "$@" >said 2>&1; then
		echo "ok $COUNT - $what"
	else
		FAILED=$((FAILED + 1))
		echo "not ok $COUNT - $what"
		echo "# failed: $*"
		sed 's/^/# /' said
	fi
}

fails() { if "$@"; then return 1; fi; }
exits() { want=$1; shift; got=0; "$@" || got=$?; [ "$got" -eq "$want" ]; }
same() { [ "$1" = "$2" ] || { echo "is \"$1\", should be \"$2\""; return 1; }; }
has() { grep -q -e "$2" "$1" || { echo "no \"$2\" in $1:"; cat "$1"; return 1; }; }
logged() { same "$(grep -c -e "$2" log)" "$1"; }

# soon COMMAND...: for what a server does after its last word.
soon() {
	tries=0
	while [ "$tries" -lt 200 ] && ! "$@" >/dev/null; do
		tries=$((tries + 1))
		sleep 0.05
	done
	"$@"
}

# serve OPTIONS...: a fresh server of ./ca; sets PORT, PID, URL and empties log.
serve() {
	rm -f port log
	"$ESTCA" serve ca --port-file port --log log "$@" >out 2>err &
	PID=$!
	PIDS="$PIDS $PID"
	tries=0
	while [ ! -s port ]; do
		tries=$((tries + 1))
		if [ "$tries" -gt 200 ] || ! kill -0 "$PID" 2>/dev/null; then
			echo "# the server did not start: $*"
			sed 's/^/# /' err
			echo "Bail out! no server"
			exit 1
		fi
		sleep 0.05
	done
	PORT=$(cat port)
	URL=https://localhost:$PORT/.well-known/est
}

# stop: end the last server; its exit code is the result.
stop() {
	kill "$PID"
	code=0
	wait "$PID" || code=$?
	PIDS=$(echo " $PIDS " | sed "s/ $PID / /")
	if [ -s err ]; then cat err; return 1; fi
	return "$code"
}

get() { curl -sS --max-time 20 --cacert ca/root.pem "$@"; }

# post OP CSR CURL-OPTIONS...: prints the status; the body is in body, its header in head.
post() {
	op=$1
	csr=$2
	shift 2
	rm -f body head
	get -o body -D head -w '%{http_code}\n' -H 'Content-Type: application/pkcs10' --data-binary "@$csr" "$@" "$URL/$op"
}

# status WANT OP CSR CURL-OPTIONS...
status() {
	want=$1
	shift
	got=$(post "$@" || :)
	[ "$got" = "$want" ] || { echo "status $got, should be $want"; cat body; return 1; }
}

# curl_ends CODE OP CSR...: curl's exit code
curl_ends() {
	want=$1
	shift
	got=0
	post "$@" || got=$?
	same "$got" "$want"
}

# unwrap COUNT: body (base64 PKCS#7) -> new.pem; fails unless it holds COUNT certificates.
unwrap() {
	openssl base64 -d -in body -out body.der &&
		openssl pkcs7 -inform DER -in body.der -print_certs -out new.pem &&
		same "$(grep -c BEGIN new.pem || :)" "$1"
}

# digest_response NAME:PASSWORD NONCE CNONCE PATH: of a POST, by RFC 7616 with MD5
md5() { printf %s "$1" | openssl md5 -r | cut -d' ' -f1; }
digest_response() { md5 "$(md5 "${1%%:*}:estca:${1#*:}"):$2:00000001:$3:auth:$(md5 "POST:$4")"; }

enrolled() { status 200 simpleenroll "$@" && unwrap 1; }

# resumes New|Reused: what a second TLS connection is that offers the session of the first.
resumes() {
	rm -f session
	client="openssl s_client -connect localhost:$PORT -CAfile ca/root.pem -ign_eof"
	printf 'GET / HTTP/1.0\r\n\r\n' | $client -sess_out session >first 2>&1 || :
	[ -s session ] || { echo "New, no session"; same "$1" New; return; }
	printf 'GET / HTTP/1.0\r\n\r\n' | $client -sess_in session >second 2>&1 || :
	has second "^$1,"
}

# make_csr NAME SUBJECT OPENSSL-OPTIONS...: NAME.key, NAME.csr (PEM), NAME.b64 (as EST sends it)
make_csr() {
	name=$1
	subject=$2
	shift 2
	[ -f "$name.key" ] || openssl ecparam -genkey -name prime256v1 -noout -out "$name.key"
	openssl req -new -key "$name.key" -subj "$subject" "$@" -out "$name.csr"
	openssl req -in "$name.csr" -outform DER -out "$name.der"
	openssl base64 -in "$name.der" -out "$name.b64"
}

field() { openssl x509 -in "$1" -noout -nameopt RFC2253 "$2" | sed 's/^[A-Za-z]*=//'; }
seconds() { date -u -d "$1" +%s; }
life() { echo $(($(seconds "$(field "$1" -enddate)") - $(seconds "$(field "$1" -startdate)"))); }
key_of() { openssl x509 -in "$1" -noout -pubkey; }
public() { openssl pkey -in "$1" -pubout; }
text_has() { openssl x509 -in "$1" -noout -text >text && has text "$2"; }
chains() { openssl verify -CAfile ca/root.pem -untrusted ca/ca.pem "$@"; }

finish() {
	echo "1..$COUNT"
	[ "$FAILED" -eq 0 ]
}
