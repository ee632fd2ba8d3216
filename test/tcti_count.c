/*
 * A TCTI for tests that stands between a program and another TCTI, and writes a line for each TPM command:
 *
 *     TPM2CLOUD_TCTI=/path/tcti_count.so:swtpm:path=/path/socket   T2C_TCTI_LOG=/path/log
 *
 *     0000015d      the command code of TPM2_Sign
 *
 * With T2C_TCTI_SIZES in the environment the line is written when the answer has come, with the bytes sent and received:
 *
 *     0000015d 73 91
 * T2C_TCTI_TRAFFIC=/path gets all bytes both ways. T2C_TCTI_FAULT=CODE:RC:TIMES (hexadecimal, TIMES decimal) answers the
 * first TIMES commands CODE of each process with RC, without asking the TPM; an RC of the TCTI's own layer comes as it does from
 * a socket whose other end is closed, with SIGPIPE. T2C_TCTI_LIE=CODE:OFFSET:BYTE (hexadecimal) puts
 * BYTE at OFFSET of each answer to CODE. T2C_TCTI_REPLAY=CODE:/path puts what is in that file in place of each answer to CODE.
 * T2C_TCTI_KILL=CODE:N (hexadecimal, N decimal) kills each process before its Nth command CODE. T2C_TCTI_DELAY=/path names a
 * file with the milliseconds that each answer takes longer; it may change, or come and go.
 *
 * Spec: TSS 2.0 TPM Command Transmission Interface API.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tcti.h>
#include <tss2/tss2_tctildr.h>
#include <unistd.h>

#define MAGIC 0x74326363746373ULL

const TSS2_TCTI_INFO *Tss2_Tcti_Info(void);

struct count {
    TSS2_TCTI_CONTEXT_COMMON_V2 common;
    TSS2_TCTI_CONTEXT *next;
    uint8_t code[4]; /* of the command that waits for its answer */
    size_t sent;
    bool faulty; /* the waiting command did not reach the TPM, and is answered with fault */
    uint32_t fault;
};

static TSS2_TCTI_CONTEXT *next_of(TSS2_TCTI_CONTEXT *context)
{
    return ((struct count *)context)->next;
}

static void write_line(const char *line, int len)
{
    const char *path = getenv("T2C_TCTI_LOG");
    int fd = path != NULL ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd < 0)
        return;
    if (write(fd, line, (size_t)len) != len)
        abort(); /* a count that is wrong must not pass for a count */
    close(fd);
}

/* Everything that goes over the wire, as it is. */
static void write_traffic(const uint8_t *data, size_t data_len)
{
    const char *path = getenv("T2C_TCTI_TRAFFIC");
    int fd = path != NULL ? open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600) : -1;
    if (fd >= 0 && write(fd, data, data_len) != (ssize_t)data_len)
        abort();
    if (fd >= 0)
        close(fd);
}

static uint32_t code_of(const uint8_t *code)
{
    return (uint32_t)code[0] << 24 | (uint32_t)code[1] << 16 | (uint32_t)code[2] << 8 | code[3];
}

/* True when the TPM is to answer CODE with *rc now, of the plan in T2C_TCTI_FAULT. */
static bool is_fault(const uint8_t *code, uint32_t *rc)
{
    static unsigned done;
    const char *plan = getenv("T2C_TCTI_FAULT");
    unsigned planned_code = 0, planned_rc = 0, times = 0;
    if (plan == NULL || sscanf(plan, "%x:%x:%u", &planned_code, &planned_rc, &times) != 3 ||
        code_of(code) != planned_code || done >= times)
        return false;
    done++;
    *rc = planned_rc;
    return true;
}

/* Ends the process where its plan says so, as a power cut does. */
static void die(const uint8_t *code)
{
    static unsigned sent;
    const char *plan = getenv("T2C_TCTI_KILL");
    unsigned planned_code = 0, nth = 0;
    if (plan != NULL && sscanf(plan, "%x:%u", &planned_code, &nth) == 2 && code_of(code) == planned_code &&
        ++sent == nth)
        kill(getpid(), SIGKILL);
}

/* Writes as TCTIs do to what nobody reads any more. */
static void break_pipe(void)
{
    int ends[2];
    if (pipe(ends) != 0 || close(ends[0]) != 0 || write(ends[1], "", 1) >= 0)
        abort();
    close(ends[1]);
}

static void write_code(const uint8_t *code)
{
    char line[16];
    write_line(line, snprintf(line, sizeof(line), "%02x%02x%02x%02x\n", code[0], code[1], code[2], code[3]));
}

static void write_sizes(const struct count *count, size_t received)
{
    char line[64];
    const uint8_t *code = count->code;
    write_line(line,
        snprintf(line, sizeof(line), "%02x%02x%02x%02x %zu %zu\n", code[0], code[1], code[2], code[3], count->sent,
            received));
}

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *context, size_t size, const uint8_t *command)
{
    struct count *count = (struct count *)context;
    if (size >= 10)
        die(command + 6);
    if (size >= 10)
        memcpy(count->code, command + 6, sizeof(count->code));
    if (size >= 10 && getenv("T2C_TCTI_SIZES") == NULL)
        write_code(command + 6);
    else if (size >= 10)
        count->sent = size;
    write_traffic(command, size);
    count->faulty = size >= 10 && is_fault(command + 6, &count->fault);
    if (count->faulty && (count->fault & TSS2_RC_LAYER_MASK) == TSS2_TCTI_RC_LAYER) {
        count->faulty = false;
        break_pipe();
        return count->fault;
    }
    return count->faulty ? TSS2_RC_SUCCESS : Tss2_Tcti_Transmit(count->next, size, command);
}

/* The header of an answer, with no more than the code in it. Spec: TPM 2.0 part 1, "Response Structure". */
static TSS2_RC answer_fault(struct count *count, size_t *size, uint8_t *response)
{
    const uint32_t rc = count->fault;
    const uint8_t answer[] = {
        0x80, 0x01, 0, 0, 0, 10, (uint8_t)(rc >> 24), (uint8_t)(rc >> 16), (uint8_t)(rc >> 8), (uint8_t)rc};
    *size = sizeof(answer);
    if (response != NULL) {
        memcpy(response, answer, sizeof(answer));
        count->faulty = false;
    }
    return TSS2_RC_SUCCESS;
}

static void tell_lie(const struct count *count, uint8_t *response, size_t size)
{
    const char *plan = getenv("T2C_TCTI_LIE");
    unsigned code = 0, offset = 0, byte = 0;
    if (plan != NULL && sscanf(plan, "%x:%x:%x", &code, &offset, &byte) == 3 && code_of(count->code) == code &&
        offset < size)
        response[offset] = (uint8_t)byte;
}

static void replay(const struct count *count, uint8_t *response, size_t room, size_t *size)
{
    const char *plan = getenv("T2C_TCTI_REPLAY");
    unsigned code = 0;
    char path[256];
    if (plan == NULL || sscanf(plan, "%x:%255s", &code, path) != 2 || code_of(count->code) != code)
        return;
    FILE *file = fopen(path, "re");
    if (file == NULL)
        abort();
    *size = fread(response, 1, room, file);
    fclose(file);
}

/* The TPM is slow: nobody else can use it meanwhile, as our caller waits. */
static void take_time(void)
{
    const char *path = getenv("T2C_TCTI_DELAY");
    FILE *file = path != NULL ? fopen(path, "re") : NULL;
    unsigned ms = 0;
    if (file == NULL)
        return;
    if (fscanf(file, "%u", &ms) == 1)
        usleep(ms * 1000);
    fclose(file);
}

static TSS2_RC receive(TSS2_TCTI_CONTEXT *context, size_t *size, uint8_t *response, int32_t timeout)
{
    struct count *count = (struct count *)context;
    const size_t room = *size;
    if (response != NULL)
        take_time();
    TSS2_RC rc =
        count->faulty ? answer_fault(count, size, response) : Tss2_Tcti_Receive(count->next, size, response, timeout);
    if (rc == TSS2_RC_SUCCESS && response != NULL) {
        replay(count, response, room, size);
        tell_lie(count, response, *size);
    }
    /* Without a buffer the caller only asks how long the answer is. */
    if (rc == TSS2_RC_SUCCESS && response != NULL && count->sent > 0) {
        write_sizes(count, *size);
        count->sent = 0;
    }
    if (rc == TSS2_RC_SUCCESS && response != NULL)
        write_traffic(response, *size);
    return rc;
}

static void finalize(TSS2_TCTI_CONTEXT *context)
{
    struct count *count = (struct count *)context;
    Tss2_TctiLdr_Finalize(&count->next);
}

static TSS2_RC cancel(TSS2_TCTI_CONTEXT *context)
{
    return Tss2_Tcti_Cancel(next_of(context));
}

static TSS2_RC get_poll_handles(TSS2_TCTI_CONTEXT *context, TSS2_TCTI_POLL_HANDLE *handles, size_t *handles_n)
{
    return Tss2_Tcti_GetPollHandles(next_of(context), handles, handles_n);
}

static TSS2_RC set_locality(TSS2_TCTI_CONTEXT *context, uint8_t locality)
{
    return Tss2_Tcti_SetLocality(next_of(context), locality);
}

static TSS2_RC make_sticky(TSS2_TCTI_CONTEXT *context, TPM2_HANDLE *handle, uint8_t sticky)
{
    return Tss2_Tcti_MakeSticky(next_of(context), handle, sticky);
}

static TSS2_RC init(TSS2_TCTI_CONTEXT *context, size_t *size, const char *conf)
{
    struct count *count = (struct count *)context;
    if (context == NULL) {
        *size = sizeof(struct count);
        return TSS2_RC_SUCCESS;
    }
    memset(count, 0, sizeof(*count));
    count->common.v1.magic = MAGIC;
    count->common.v1.version = 2;
    count->common.v1.transmit = transmit;
    count->common.v1.receive = receive;
    count->common.v1.finalize = finalize;
    count->common.v1.cancel = cancel;
    count->common.v1.getPollHandles = get_poll_handles;
    count->common.v1.setLocality = set_locality;
    count->common.makeSticky = make_sticky;
    return Tss2_TctiLdr_Initialize(conf, &count->next);
}

const TSS2_TCTI_INFO *Tss2_Tcti_Info(void)
{
    static const TSS2_TCTI_INFO info = {
        .version = 2,
        .name = "tcti-count",
        .description = "counts TPM commands",
        .config_help = "the configuration of the TCTI below",
        .init = init,
    };
    return &info;
}
