/* Ed25519 key pairs and signatures in files of one line of hexadecimal digits. */
#include "rules/lang/signature.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, KEY_DIGITS = 2 * SIGNATURE_KEY_BYTES, MARK_DIGITS = 2 * SIGNATURE_BYTES, LINE_BYTES = KEY_DIGITS + MARK_DIGITS + 8 };

_Static_assert(SIGNATURE_KEY_BYTES == crypto_sign_PUBLICKEYBYTES && SIGNATURE_KEY_BYTES == crypto_sign_SEEDBYTES &&
                   SIGNATURE_BYTES == crypto_sign_BYTES,
               "the header says so");

/* What is signed says what it is for, so that a signature under anything else never is one under rules. */
struct statement {
    char use[24];
    unsigned char identity[32];
};

static struct statement statement_of(const unsigned char identity[32])
{
    struct statement statement = {.use = "muster rule set 1"};
    memcpy(statement.identity, identity, sizeof statement.identity);
    return statement;
}

/* --- files of one line --- */

static bool path_make(char path[PATH_BYTES], struct error *err, const char *dir, const char *name, size_t name_size, const char *end)
{
    int size = snprintf(path, PATH_BYTES, "%s%s%.*s%s", dir, *dir ? "/" : "", (int)name_size, name, end);
    return (size > 0 && size < PATH_BYTES) || error_set(err, ERROR_FATAL, "the path of %s is too long", name);
}

static bool line_write(const char *path, int flags, mode_t mode, const char *line, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | flags, mode);
    if (fd < 0)
        return error_errno(err, ERROR_FATAL, "cannot make %s", path);
    size_t size = strlen(line);
    bool good = write(fd, line, size) == (ssize_t)size && fsync(fd) == 0;
    if (!good)
        error_errno(err, ERROR_FATAL, "cannot write %s", path);
    (void)close(fd);
    return good;
}

/* The line without its end; false with why. */
static bool line_read(const char *path, bool secret, char line[LINE_BYTES], struct error *err)
{
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return error_errno(err, ERROR_FATAL, "cannot open %s", path);
    ssize_t size = read(fd, line, LINE_BYTES - 1);
    bool open_to_others = fstat(fd, &info) != 0 || (info.st_mode & 077) != 0;
    (void)close(fd);
    if (size < 0)
        return error_errno(err, ERROR_FATAL, "cannot read %s", path);
    if (secret && open_to_others)
        return error_set(err, ERROR_FATAL, "%s can be read by others: run chmod 600 on it", path);
    while (size > 0 && strchr("\r\n ", line[size - 1]))
        size--;
    line[size] = '\0';
    return true;
}

static bool digits_read(const char *text, size_t digits, unsigned char *out)
{
    size_t size = 0;
    return strnlen(text, digits) == digits && sodium_hex2bin(out, digits / 2, text, digits, NULL, &size, NULL) == 0 && size == digits / 2;
}

static bool key_read(const char *path, bool secret, unsigned char key[SIGNATURE_KEY_BYTES], struct error *err)
{
    char line[LINE_BYTES];
    if (!line_read(path, secret, line, err))
        return false;
    bool good = strlen(line) == KEY_DIGITS && digits_read(line, KEY_DIGITS, key);
    sodium_memzero(line, sizeof line);
    return good || error_set(err, ERROR_FATAL, "%s is no key: one line of %d hexadecimal digits is expected", path, KEY_DIGITS);
}

static bool signature_read(const char *path, struct signature *signature, struct error *err)
{
    char line[LINE_BYTES];
    if (!line_read(path, false, line, err))
        return false;
    return (strlen(line) == KEY_DIGITS + 1 + MARK_DIGITS && digits_read(line, KEY_DIGITS, signature->key) && line[KEY_DIGITS] == ' ' &&
            digits_read(line + KEY_DIGITS + 1, MARK_DIGITS, signature->mark)) ||
           error_set(err, ERROR_FATAL, "%s is no signature: make it again with `muster rules sign`", path);
}

/* --- making --- */

bool signature_key_make(const char *name, struct error *err)
{
    unsigned char seed[SIGNATURE_KEY_BYTES], public_key[SIGNATURE_KEY_BYTES], secret_key[crypto_sign_SECRETKEYBYTES];
    char key_file[PATH_BYTES], public_file[PATH_BYTES], line[KEY_DIGITS + 2];
    if (sodium_init() < 0)
        return error_set(err, ERROR_FATAL, "libsodium does not start");
    if (!path_make(key_file, err, "", name, strlen(name), ".key") || !path_make(public_file, err, "", name, strlen(name), ".pub"))
        return false;
    if (access(public_file, F_OK) == 0)
        return error_set(err, ERROR_FATAL, "%s is there already: choose another name", public_file);
    randombytes_buf(seed, sizeof seed);
    (void)crypto_sign_seed_keypair(public_key, secret_key, seed);
    (void)sodium_bin2hex(line, sizeof line, seed, sizeof seed);
    line[KEY_DIGITS] = '\n';
    line[KEY_DIGITS + 1] = '\0';
    bool good = line_write(key_file, O_EXCL, 0600, line, err);
    (void)sodium_bin2hex(line, sizeof line, public_key, sizeof public_key);
    line[KEY_DIGITS] = '\n';
    line[KEY_DIGITS + 1] = '\0';
    good = good && line_write(public_file, O_EXCL, 0644, line, err);
    sodium_memzero(seed, sizeof seed);
    sodium_memzero(secret_key, sizeof secret_key);
    return good;
}

bool signature_make(const char *key_file, const unsigned char identity[32], struct signature *signature, struct error *err)
{
    unsigned char seed[SIGNATURE_KEY_BYTES], secret_key[crypto_sign_SECRETKEYBYTES];
    const struct statement statement = statement_of(identity);
    if (sodium_init() < 0)
        return error_set(err, ERROR_FATAL, "libsodium does not start");
    if (!key_read(key_file, true, seed, err))
        return false;
    (void)crypto_sign_seed_keypair(signature->key, secret_key, seed);
    (void)crypto_sign_detached(signature->mark, NULL, (const unsigned char *)&statement, sizeof statement, secret_key);
    sodium_memzero(seed, sizeof seed);
    sodium_memzero(secret_key, sizeof secret_key);
    return true;
}

bool signature_write(const char *dir, const char *key_file, const struct signature *signature, struct error *err)
{
    char path[PATH_BYTES], fresh[PATH_BYTES], line[KEY_DIGITS + MARK_DIGITS + 3];
    const char *slash = strrchr(key_file, '/'), *name = slash ? slash + 1 : key_file;
    size_t size = strlen(name);
    if (size > 4 && strcmp(name + size - 4, ".key") == 0)
        size -= 4;
    if (!path_make(path, err, dir, name, size, ".sig") || !path_make(fresh, err, dir, name, size, ".sig.new"))
        return false;
    (void)sodium_bin2hex(line, KEY_DIGITS + 1, signature->key, sizeof signature->key);
    line[KEY_DIGITS] = ' ';
    (void)sodium_bin2hex(line + KEY_DIGITS + 1, MARK_DIGITS + 1, signature->mark, sizeof signature->mark);
    memcpy(line + KEY_DIGITS + 1 + MARK_DIGITS, "\n", 2);
    return line_write(fresh, O_TRUNC, 0644, line, err) &&
           (rename(fresh, path) == 0 || error_errno(err, ERROR_FATAL, "cannot write %s", path));
}

/* --- reading folders --- */

typedef bool (*file_visit)(void *context, const char *path, struct error *err);

static bool folder_visit(const char *dir, const char *end, file_visit visit, void *context, struct error *err)
{
    char path[PATH_BYTES];
    size_t end_size = strlen(end);
    DIR *folder = opendir(dir);
    if (!folder)
        return error_errno(err, ERROR_FATAL, "cannot open the folder %s", dir);
    bool good = true;
    for (const struct dirent *entry; good && (entry = readdir(folder));) {
        size_t size = strlen(entry->d_name);
        if (entry->d_name[0] == '.' || size <= end_size || strcmp(entry->d_name + size - end_size, end) != 0)
            continue;
        good = path_make(path, err, dir, entry->d_name, size, "") && visit(context, path, err);
    }
    (void)closedir(folder);
    return good;
}

struct signatures {
    struct signature *out;
    uint32_t *count;
};

static bool signature_visit(void *context, const char *path, struct error *err)
{
    struct signatures *signatures = context;
    if (*signatures->count == SIGNATURES_MAX)
        return error_set(err, ERROR_FATAL, "there are more than %d signatures", SIGNATURES_MAX);
    return signature_read(path, &signatures->out[(*signatures->count)++], err);
}

bool signatures_read(const char *dir, struct signature out[SIGNATURES_MAX], uint32_t *count, struct error *err)
{
    struct signatures signatures = {out, count};
    *count = 0;
    return folder_visit(dir, ".sig", signature_visit, &signatures, err);
}

static bool trusted_visit(void *context, const char *path, struct error *err)
{
    struct trusted_keys *keys = context;
    if (keys->count == TRUSTED_KEYS_MAX)
        return error_set(err, ERROR_FATAL, "there are more than %d trusted keys", TRUSTED_KEYS_MAX);
    if (!key_read(path, false, keys->key[keys->count], err))
        return false;
    for (uint32_t i = 0; i < keys->count; i++)
        if (memcmp(keys->key[i], keys->key[keys->count], SIGNATURE_KEY_BYTES) == 0)
            return true;
    keys->count++;
    return true;
}

bool trusted_keys_read(const char *dir, struct trusted_keys *keys, struct error *err)
{
    keys->count = 0;
    return folder_visit(dir, ".pub", trusted_visit, keys, err);
}

/* --- counting --- */

static bool signed_by(const unsigned char key[SIGNATURE_KEY_BYTES], const struct signature *signature, uint32_t count, const struct statement *statement)
{
    for (uint32_t i = 0; i < count; i++)
        if (memcmp(signature[i].key, key, SIGNATURE_KEY_BYTES) == 0 &&
            crypto_sign_verify_detached(signature[i].mark, (const unsigned char *)statement, sizeof *statement, key) == 0)
            return true;
    return false;
}

uint32_t signatures_good(const struct signature *signature, uint32_t count, const struct trusted_keys *keys, const unsigned char identity[32])
{
    const struct statement statement = statement_of(identity);
    uint32_t good = 0;
    for (uint32_t i = 0; i < keys->count; i++)
        good += signed_by(keys->key[i], signature, count, &statement);
    return good;
}
