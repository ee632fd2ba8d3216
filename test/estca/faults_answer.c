/* Faults of the answer: its status, its headers, its body, and how it comes; see faults.h. */
#include "faults.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#define GARBAGE_LEN 300
#define OFF_LEN 64

/* --- instead of an answer --- */

static void status(struct reply *reply, const struct fault_scene *scene)
{
    reply_text(reply, (int)scene->arg, "fault: status %d", (int)scene->arg);
}

static void challenge(struct reply *reply, const struct fault_scene *scene)
{
    reply_text(reply, 401, "fault: authenticate again");
    auth_challenge(scene->auth, false, reply);
}

static void stale(struct reply *reply, const struct fault_scene *scene)
{
    reply_text(reply, 401, "fault: the nonce is stale");
    auth_challenge(scene->auth, true, reply);
}

/* To the same operation below ORIGIN, with another label. */
static void redirect_to(struct reply *reply, const struct fault_scene *scene, const char *origin)
{
    const char *op = strrchr(scene->req->target, '/');
    reply_text(reply, (int)scene->arg, "fault: elsewhere");
    reply_add_header(reply, "Location", "%s%s/moved%s", origin, scene->base, op);
}

static void redirect(struct reply *reply, const struct fault_scene *scene)
{
    redirect_to(reply, scene, "");
}

/* This server has two names, which are two origins. */
static void redirect_away(struct reply *reply, const struct fault_scene *scene)
{
    char origin[128];
    const char *host = http_header(scene->req, "Host");
    bool by_name = strncasecmp(host, "localhost", 9) == 0;
    snprintf(origin, sizeof(origin), "https://%s%.16s", by_name ? "127.0.0.1" : "localhost", host + strcspn(host, ":"));
    redirect_to(reply, scene, origin);
}

static void redirect_http(struct reply *reply, const struct fault_scene *scene)
{
    char origin[128];
    snprintf(origin, sizeof(origin), "http://%.100s", http_header(scene->req, "Host"));
    redirect_to(reply, scene, origin);
}

/* --- headers --- */

static void retry_after(struct reply *reply, int64_t arg)
{
    reply_add_header(reply, "Retry-After", "%lld", (long long)arg);
}

static void in_seconds(int64_t arg, struct tm *out)
{
    time_t at = time(NULL) + (time_t)arg;
    gmtime_r(&at, out);
}

/* The three forms of RFC 9110 section 5.6.7. */
static void retry_date(struct reply *reply, int64_t arg)
{
    char date[64];
    struct tm tm;
    in_seconds(arg, &tm);
    strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
    reply_add_header(reply, "Retry-After", "%s", date);
}

static void retry_rfc850(struct reply *reply, int64_t arg)
{
    char day[32], clock[32];
    struct tm tm;
    in_seconds(arg, &tm);
    strftime(day, sizeof(day), "%A, %d-%b", &tm);
    strftime(clock, sizeof(clock), "%H:%M:%S GMT", &tm);
    reply_add_header(reply, "Retry-After", "%s-%02d %s", day, tm.tm_year % 100, clock);
}

static void retry_asctime(struct reply *reply, int64_t arg)
{
    char date[64];
    struct tm tm;
    in_seconds(arg, &tm);
    strftime(date, sizeof(date), "%a %b %e %H:%M:%S %Y", &tm);
    reply_add_header(reply, "Retry-After", "%s", date);
}

static void bad_status_line(struct reply *reply, int64_t arg)
{
    (void)arg;
    reply->status_line = "ESTCA two hundred";
}

static void huge_header(struct reply *reply, int64_t arg)
{
    bytes_add_text(&reply->headers, "X-Huge: ");
    for (int64_t i = 0; i < arg; i++)
        bytes_add_text(&reply->headers, "x");
    bytes_add_text(&reply->headers, "\r\n");
}

static void interim(struct reply *reply, int64_t arg)
{
    reply->interim_n = arg;
}

static void wrong_type(struct reply *reply, int64_t arg)
{
    (void)arg;
    reply->type = "text/plain";
}

static void no_type(struct reply *reply, int64_t arg)
{
    (void)arg;
    reply->type = NULL;
}

/* --- the body --- */

/* Random bytes that begin like neither DER nor base64. */
static void add_garbage(struct bytes *out)
{
    bytes_add(out, "\xff", 1);
    bytes_add_random(out, GARBAGE_LEN - 1);
}

static void garbage(struct reply *reply, int64_t arg)
{
    (void)arg;
    bytes_clear(&reply->der);
    add_garbage(&reply->der);
}

static void not_base64(struct reply *reply, int64_t arg)
{
    (void)arg;
    bytes_clear(&reply->der);
    bytes_clear(&reply->body);
    add_garbage(&reply->body);
}

static void html(struct reply *reply, int64_t arg)
{
    (void)arg;
    bytes_clear(&reply->der);
    bytes_clear(&reply->body);
    bytes_add_text(&reply->body, "<!DOCTYPE html>\n<html><body><h1>Sign in to the guest network</h1></body></html>\n");
    reply->status = 200;
    reply->type = "text/html";
}

static void huge_body(struct reply *reply, int64_t arg)
{
    bytes_clear(&reply->der);
    bytes_clear(&reply->body);
    for (int64_t i = 0; i < arg; i++)
        bytes_add_text(&reply->body, "A");
}

static void body_of_204(struct reply *reply, int64_t arg)
{
    (void)arg;
    reply->status = 204;
    reply->body_anyway = true;
}

static void nul(struct reply *reply, int64_t arg)
{
    (void)arg;
    reply->nul = true;
}

static void bom(struct reply *reply, int64_t arg)
{
    (void)arg;
    reply->bom = true;
}

static void pem(struct reply *reply, int64_t arg)
{
    (void)arg;
    reply->coding = REPLY_PEM;
}

static void der(struct reply *reply, int64_t arg)
{
    (void)arg;
    reply->coding = REPLY_DER;
}

static void crlf76(struct reply *reply, int64_t arg)
{
    (void)arg;
    reply->columns = 76;
    reply->eol = "\r\n";
}

static void cut(struct reply *reply, int64_t arg)
{
    (void)arg;
    reply->cut = true;
}

/* --- how it comes --- */

static void delay(struct reply *reply, int64_t arg)
{
    reply->delay_ms = arg;
}

static void delay_body(struct reply *reply, int64_t arg)
{
    reply->body_delay_ms = arg;
}

static void drip(struct reply *reply, int64_t arg)
{
    reply->drip_ms = arg;
}

static void short_body(struct reply *reply, int64_t arg)
{
    (void)arg;
    reply->length_off = OFF_LEN;
}

static void long_body(struct reply *reply, int64_t arg)
{
    (void)arg;
    reply->length_off = -OFF_LEN;
}

static void chunked(struct reply *reply, int64_t arg)
{
    (void)arg;
    reply->framing = REPLY_CHUNKED;
}

static void bad_chunk(struct reply *reply, int64_t arg)
{
    (void)arg;
    reply->framing = REPLY_BAD_CHUNK;
}

static void no_length(struct reply *reply, int64_t arg)
{
    (void)arg;
    reply->framing = REPLY_UNTIL_CLOSE;
}

static void hang_up(struct reply *reply, int64_t arg)
{
    (void)arg;
    reply->end = REPLY_END_SILENT;
}

static void no_notify(struct reply *reply, int64_t arg)
{
    (void)arg;
    reply->end = REPLY_END_NO_NOTIFY;
}

static void reset(struct reply *reply, int64_t arg)
{
    (void)arg;
    reply->end = REPLY_END_RESET;
}

static void no_answer(struct reply *reply, int64_t arg)
{
    (void)arg;
    reply->end = REPLY_END_NOTHING;
}

const struct fault_row faults_answer[] = {
    {"status", "NNN", 200, 599, "answer this status, issue nothing", .instead = status},
    {"challenge", NULL, 0, 0, "401 with a challenge, whatever the client sent", .instead = challenge},
    {"stale", NULL, 0, 0, "401 with a new nonce, since the old one were stale", .instead = stale},
    {"redirect", "NNN", 300, 399, "to another label of this server; without @N a loop", .instead = redirect},
    {"redirect-away", "NNN", 300, 399, "to another origin", .instead = redirect_away},
    {"redirect-http", "NNN", 300, 399, "to http://, where TLS ends", .instead = redirect_http},
    {"retry-after", "S", 0, 1000000000, "adds Retry-After: S, for use with status", .reply = retry_after},
    {"retry-date", "S", 0, 100000000, "adds Retry-After: with the date in S seconds", .reply = retry_date},
    {"retry-rfc850", "S", 0, 100000000, "the same in the form of RFC 850", .reply = retry_rfc850},
    {"retry-asctime", "S", 0, 100000000, "the same in the form of asctime()", .reply = retry_asctime},
    {"bad-status-line", NULL, 0, 0, "a first line that is not HTTP's", .reply = bad_status_line},
    {"huge-header", "BYTES", 1, 10000000, "a header of this length", .reply = huge_header},
    {"interim", "N", 1, 1000000, "100 Continue and 103 Early Hints, N in all, come first", .reply = interim},
    {"wrong-type", NULL, 0, 0, "Content-Type: text/plain", .reply = wrong_type},
    {"no-type", NULL, 0, 0, "no Content-Type", .reply = no_type},
    {"garbage", NULL, 0, 0, "base64 of random bytes instead of PKCS#7", .reply = garbage},
    {"not-base64", NULL, 0, 0, "random bytes instead of base64", .reply = not_base64},
    {"html", NULL, 0, 0, "status 200 and a text/html page", .reply = html},
    {"huge-body", "BYTES", 1, 100000000, "a body of so many letters A", .reply = huge_body},
    {"204-body", NULL, 0, 0, "status 204, and the body all the same", .reply = body_of_204},
    {"nul", NULL, 0, 0, "one NUL at the end of the body, counted", .reply = nul},
    {"bom", NULL, 0, 0, "a byte order mark in front of the body", .reply = bom},
    {"pem", NULL, 0, 0, "PEM instead of base64", .reply = pem},
    {"der", NULL, 0, 0, "DER instead of base64", .reply = der},
    {"crlf76", NULL, 0, 0, "base64 in lines of 76 columns with CRLF", .reply = crlf76},
    {"cut", NULL, 0, 0, "the last third of the base64 is missing", .reply = cut},
    {"delay", "MS", 0, 600000, "wait before the answer", .reply = delay},
    {"delay-body", "MS", 0, 600000, "wait between head and body", .reply = delay_body},
    {"drip", "MS", 1, 600000, "wait behind each byte of the answer", .reply = drip},
    {"short", NULL, 0, 0, "Content-Length is larger than the body, then close", .reply = short_body},
    {"long", NULL, 0, 0, "Content-Length is smaller than the body, then close", .reply = long_body},
    {"chunked", NULL, 0, 0, "Transfer-Encoding: chunked, as HTTP allows it", .reply = chunked},
    {"bad-chunk", NULL, 0, 0, "a chunk without its size", .reply = bad_chunk},
    {"no-length", NULL, 0, 0, "no Content-Length: the body lasts until the close", .reply = no_length},
    {"hang-up", NULL, 0, 0, "the connection closes, though the answer keeps it", .reply = hang_up},
    {"no-close-notify", NULL, 0, 0, "the connection closes without TLS's word for it", .reply = no_notify},
    {"reset", NULL, 0, 0, "TCP RST in the middle of the body", .reply = reset},
    {"no-answer", NULL, 0, 0, "the connection closes instead of an answer", .reply = no_answer},
    {0},
};
