/*
 * tpm2_ptool takes PINs on its command line, where every user of the machine reads them, and hands what it makes of them to
 * tpm2-tools in the same way. So its functions are called by a few lines of Python, which read PINs from standard input and
 * give tpm2-tools files instead. They are run by the interpreter that tpm2_ptool names in its first line.
 */
#include "pkcs11_link.h"

#include "tpm2cloud/file.h"
#include "tpm2cloud/run.h"
#include "tpm2cloud/tpm.h"
#include <limits.h>
#include <stdio.h>
#include <string.h>

#define PTOOL "tpm2_ptool"
#define PTOOL_MAX 65536
#define RUN_MAX_S 600

static const char script[] =
    "import contextlib, io, os, sys, tempfile, yaml\n"
    "from tpm2_pkcs11 import tpm2, tpm2_ptool\n"
    "from tpm2_pkcs11.command import commandlet\n"
    "from tpm2_pkcs11.db import Db\n"
    "store, label, name = sys.argv[1:4]\n"
    "pin, so_pin, auth, key = sys.stdin.buffer.read().decode().split('\\0')\n"
    "os.umask(0o077)\n"
    "said = io.StringIO()\n"
    "private = tempfile.TemporaryDirectory()\n"
    "\n"
    "def in_file(text):\n"
    "    fd, path = tempfile.mkstemp(dir=private.name)\n"
    "    with os.fdopen(fd, 'w') as file:\n"
    "        file.write(text)\n"
    "    return path\n"
    "\n"
    "popen = tpm2.Popen\n"
    "\n"
    "def quiet_popen(words, **options):\n"
    "    hidden = [word if i == 0 or words[i - 1] not in ('-p', '-P') or not word else 'file:' + in_file(word)\n"
    "              for i, word in enumerate(words)]\n"
    "    return popen(hidden, **options)\n"
    "\n"
    "tpm2.Popen = quiet_popen\n"
    "\n"
    "def ptool(verb, **options):\n"
    "    commandlet.get()[verb](dict(options, path=store, hierarchy_auth=''))\n"
    "\n"
    "def is_ours(primary):\n"
    "    return str(yaml.safe_load(primary['config']).get('esys-tr', ''))[:8] == '81000001' and not "
    "primary['objauth']\n"
    "\n"
    "def primary():\n"
    "    with Db(store) as db:\n"
    "        return next((p['id'] for p in db.getprimaries() if is_ours(p)), None)\n"
    "\n"
    "def has_token():\n"
    "    with Db(store) as db:\n"
    "        return any(t['label'] == label for p in db.getprimaries() for t in db.gettokens(p['id']))\n"
    "\n"
    "try:\n"
    "    with contextlib.redirect_stdout(said), private:\n"
    "        if primary() is None:\n"
    "            ptool('init', primary=True, primary_handle=0x81000001, primary_auth='', transient_parent=None)\n"
    "        if not has_token():\n"
    "            ptool('addtoken', pid=primary(), label=label, userpin=pin, sopin=so_pin)\n"
    "        ptool('link', label=label, key_label=name, id=os.urandom(8).hex(), userpin=pin, sopin=None, auth=auth,\n"
    "              attr_always_authenticate=False, privkey=[in_file(key)])\n"
    "except Exception as why:\n"
    "    sys.exit('tpm2_ptool: %s\\n%s' % (why, said.getvalue()))\n";

void pkcs11_link_fini(struct pkcs11_link *link)
{
    t2c_bytes_fini(&link->pin);
    t2c_bytes_fini(&link->so_pin);
    t2c_bytes_fini(&link->auth);
    t2c_bytes_fini(&link->key);
}

/* ---- what runs it ---- */

/* Gives the file NAME of the PATH. */
static bool find_program(const char *name, char out[PATH_MAX], struct t2c_error *err)
{
    const char *path = getenv("PATH");
    T2C_CLEANUP(t2c_freep) char *dirs = strdup(path != NULL ? path : "/usr/local/bin:/usr/bin:/bin");
    if (dirs == NULL)
        return t2c_fail_nomem(err);
    char *rest = dirs;
    for (const char *dir; (dir = strsep(&rest, ":")) != NULL;)
        if (dir[0] == '/' && snprintf(out, PATH_MAX, "%s/%s", dir, name) < PATH_MAX && access(out, X_OK) == 0)
            return true;
    return t2c_fail(
        err, T2C_NOT_FOUND, "there is no %s; install tpm2-pkcs11's tools (Debian: libtpm2-pkcs11-tools)", name);
}

/* Gives the words of the first line of tpm2_ptool, "#!/usr/bin/python3". */
static bool find_interpreter(struct t2c_run_words *out, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes text = {0};
    char ptool[PATH_MAX];
    if (!find_program(PTOOL, ptool, err) || !t2c_file_read(ptool, PTOOL_MAX, &text, err))
        return false;
    char *line = (char *)text.data;
    if (text.len < 3 || strncmp(line, "#!", 2) != 0)
        return t2c_fail(err, T2C_INVALID, "%s does not begin with the name of its interpreter", ptool);
    line[strcspn(line, "\n")] = '\0';
    return t2c_run_split(line + 2, out, err) &&
        (out->n > 0 || t2c_fail(err, T2C_INVALID, "%s names no interpreter", ptool));
}

/* ---- running it ---- */

static bool put(struct t2c_bytes *input, const struct t2c_bytes *part, bool last, struct t2c_error *err)
{
    if (memchr(part->data, '\0', part->len) != NULL)
        return t2c_fail(err, T2C_INVALID, "a PIN with a zero byte in it");
    return t2c_bytes_append(input, part->data, part->len, err) && (last || t2c_bytes_append(input, "", 1, err));
}

static bool make_input(const struct pkcs11_link *link, struct t2c_bytes *out, struct t2c_error *err)
{
    return put(out, &link->pin, false, err) && put(out, &link->so_pin, false, err) &&
        put(out, &link->auth, false, err) && put(out, &link->key, true, err);
}

/* The TPM is where it is for us; of the rest only what finds programs. */
static bool make_environment(char **path, char **tcti, struct t2c_error *err)
{
    const char *dirs = getenv("PATH");
    char where[T2C_TCTI_MAX];
    return t2c_tpm_tcti(where, err) &&
        ((asprintf(path, "PATH=%s", dirs != NULL ? dirs : "/usr/bin:/bin") >= 0 &&
             asprintf(tcti, "TPM2TOOLS_TCTI=%s", where) >= 0) ||
            t2c_fail_nomem(err));
}

bool pkcs11_link_run(const struct pkcs11_link *link, struct t2c_error *err)
{
    T2C_CLEANUP(t2c_run_words_fini) struct t2c_run_words interpreter = {0};
    T2C_CLEANUP(t2c_bytes_fini) struct t2c_bytes input = {0};
    T2C_CLEANUP(t2c_freep) char *path = NULL;
    T2C_CLEANUP(t2c_freep) char *tcti = NULL;
    if (!find_interpreter(&interpreter, err) || !make_environment(&path, &tcti, err) || !make_input(link, &input, err))
        return false;
    const char *words[] = {"-I", "-c", script, link->store, link->token, link->object, NULL};
    T2C_CLEANUP(t2c_freep) char **argv = calloc(interpreter.n + sizeof(words) / sizeof(words[0]), sizeof(*argv));
    if (argv == NULL)
        return t2c_fail_nomem(err);
    memcpy(argv, interpreter.words, interpreter.n * sizeof(*argv));
    memcpy(argv + interpreter.n, words, sizeof(words));
    char *envp[] = {path, tcti, "TSS2_LOG=all+NONE", "LC_ALL=C.UTF-8", NULL};
    t2c_tpm_close(); /* there may be room for one */
    return t2c_run_with_input(argv, envp, &input, RUN_MAX_S, err) || t2c_fail_context(err, PTOOL);
}
