/* What the log's files share: the layout of segments and blocks, day keys, folders.
 *
 * Segment `YYYY-MM-DD-FIRSTSEQ.log` (FIRSTSEQ in 20 digits): a magic word, then blocks. A block is a
 * head in the clear (sequence range, sizes, nonce) and its records, zstd (packer_new), sealed with
 * XChaCha20-Poly1305 under the day's key, the head as associated data. */
#ifndef ENGINE_STATE_LOG_PRIVATE_H
#define ENGINE_STATE_LOG_PRIVATE_H

#include "engine/base/arena.h"
#include "engine/model/zone.h"
#include "engine/state/log.h"

#include <sodium.h>

enum {
    LOG_KEY_BYTES = crypto_aead_xchacha20poly1305_ietf_KEYBYTES,
    LOG_NONCE_BYTES = crypto_aead_xchacha20poly1305_ietf_NPUBBYTES,
    LOG_SEAL_BYTES = crypto_aead_xchacha20poly1305_ietf_ABYTES,
    LOG_MAGIC_BYTES = 8,
    LOG_BLOCK_RAW_MAX = 64 << 20, /* no block is larger: a head that says so is damaged */
    LOG_PATH_MAX = 4096,
};

static const char log_magic[LOG_MAGIC_BYTES] = {'M', 'U', 'S', 'T', 'L', 'O', 'G', '1'};
static const uint32_t log_block_magic = 0x4b4c424d; /* "MBLK" */

struct log_block_head {
    uint32_t magic;
    uint32_t sealed_size; /* bytes behind the head */
    uint64_t first_seq, last_seq;
    uint32_t count, raw_size;
    unsigned char nonce[LOG_NONCE_BYTES];
};

/* A record inside a block: this head, then source, topic and body. */
struct record_head {
    uint64_t seq;
    int64_t broker_ms, offset;
    int32_t partition;
    uint32_t body_size;
    uint16_t source_size, topic_size;
    uint8_t kind, pad;
    uint16_t item;
};

struct log_segment {
    int32_t day;
    uint64_t first_seq;
    char name[48];
};

/* Segments of a folder in order of first_seq (malloc'ed); -1 on error. */
int log_segments(const char *dir, struct log_segment **segments, struct error *err);
void log_segment_name(int32_t day, uint64_t first_seq, char name[48]);
void log_day_text(int32_t day, char text[16]); /* YYYY-MM-DD */
/* May what errno says about a disk pass once somebody has made room? */
enum error_class log_disk_class(int number);
/* Makes what was created, renamed or removed in the folder last. */
bool log_folder_sync(const char *dir);
bool log_path(char path[LOG_PATH_MAX], const char *dir, const char *name, struct error *err) must_check;

/* The master key, made where it is absent. */
bool log_master_key(const struct log_settings *settings, unsigned char key[LOG_KEY_BYTES], struct error *err) must_check;

/* Days before `day` end, but not `kept`. */
struct log_expiry {
    int32_t day, kept;
};
/* Destroys the day keys of a folder; *days counts them up. A folder that is not there has none. */
bool log_keys_destroy(const char *dir, const struct log_expiry *expiry, int *days, struct error *err) must_check;

/* The key of a day, made where `make` says so; an error names the day when it was destroyed. */
bool log_day_key(const struct log_settings *settings, int32_t day, bool make, unsigned char key[LOG_KEY_BYTES],
                 struct error *err) must_check;

/* Reads the block at `offset` of an open segment of `size` bytes into arena memory, opened and
 * decompressed. 1: read, *next is behind it; 0: not whole (a torn tail); -1: err. */
int log_block_read(int fd, uint64_t offset, uint64_t size, const unsigned char key[LOG_KEY_BYTES], const char *name,
                   struct arena *arena, struct log_block_head *head, struct slice *raw, uint64_t *next, struct error *err);
/* Only the head. 1, 0 or -1 as above. */
int log_head_read(int fd, uint64_t offset, uint64_t size, const char *name, struct log_block_head *head, uint64_t *next,
                  struct error *err);

/* Takes one record off *raw; false when the block's inside is damaged. */
bool log_record_take(struct slice *raw, struct log_record *record);

#endif
