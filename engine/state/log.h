/* The log is the recorded stream: accepted events in sequence order, sealed by a key per day.
 *
 * Folder: segments `YYYY-MM-DD-FIRSTSEQ.log`, one or more per day, of zstd blocks (sealed with
 * XChaCha20-Poly1305 under the day's key) with an index by sequence at the end of each block chain;
 * day keys `YYYY-MM-DD.key` in a folder outside the log, wrapped by the key in master_key_file.
 * A record has a kind; the decoder on replay gets the same bytes, source and position as the first
 * time. Written by one thread; read by replay, explain and recovery. */
#ifndef ENGINE_STATE_LOG_H
#define ENGINE_STATE_LOG_H

#include "engine/base/error.h"
#include "engine/model/event.h"

enum log_kind { LOG_EVENT = 1, LOG_JOINED = 2, LOG_FACT = 3, LOG_SWAP = 4 };

struct log_record {
    enum log_kind kind;
    uint64_t seq;
    int64_t broker_ms;       /* MISSING_I64 when the source has none */
    struct slice source;
    struct slice topic;
    int32_t partition;
    int64_t offset;
    uint16_t item;           /* inside the message at this offset */
    struct slice body;       /* the event's canonical JSON */
};

/* The body of a LOG_SWAP, whose seq is that of the event before: from behind it on these rules were at work. It may say so again of
 * rules that were at work already. */
struct log_swap {
    unsigned char hash[32];
    uint64_t warm_from;      /* the event from which on what was new in them was warmed up; 0: it was not */
};

enum { LOG_BLOCK_BYTES = 256 * 1024 };

struct log_settings {
    const char *dir;
    const char *key_dir;
    const char *master_key_file; /* 32 bytes, mode 0600; made at first use when absent */
    size_t block_bytes;          /* of records before compression; LOG_BLOCK_BYTES but in tests */
};

struct log_writer;
/* Opens for append; cuts a torn block at the end off. */
struct log_writer *log_writer_open(const struct log_settings *settings, struct error *err) must_check;
uint64_t log_writer_last_seq(const struct log_writer *log);  /* 0 when empty */
/* Removes every record with seq > last: at start, back to the last journal row. */
bool log_writer_cut(struct log_writer *log, uint64_t last_seq, struct error *err) must_check;
/* seq must rise, but for a LOG_SWAP's, which may be that of the record before. The day is that of broker_ms, else of the event time the caller passes. ERROR_RETRY: the
 * disk is full (or a quota); the record was not added, all before it is kept: call again once there is room. */
bool log_writer_add(struct log_writer *log, const struct log_record *record, int64_t day_ms, struct error *err) must_check;
/* Writes out the open block, which readers find from then on; with sync also fsyncs.
 * ERROR_RETRY as above: what was added is kept. */
bool log_writer_flush(struct log_writer *log, bool sync, struct error *err) must_check;
void log_writer_close(struct log_writer *log);
/* What these records would take in a log of blocks of so many, or of LOG_BLOCK_BYTES where these hold fewer. */
size_t log_packed_bytes(const struct log_record *record, uint32_t count, uint32_t together);

struct log_reader;
struct log_reader *log_reader_open(const struct log_settings *settings, uint64_t from_seq, struct error *err) must_check;
/* From the first segment of `day` (UTC, days since 1970) or a later one on: every record of that day and
 * later ones comes, and perhaps some earlier. */
struct log_reader *log_reader_open_day(const struct log_settings *settings, int32_t day, struct error *err) must_check;
/* Before the first record: from now on a thread of the reader's own reads, opens and unpacks blocks ahead, 32 of them at most
 * (block_bytes each, and half as much again), while the caller works. It ends with the log, at an error, or in log_reader_close. */
void log_reader_ahead(struct log_reader *log);
/* 1: a record (slices valid until the next call); 0: end; -1: err. */
int log_reader_next(struct log_reader *log, struct log_record *record, struct error *err) must_check;
void log_reader_close(struct log_reader *log);

/* Destroys the keys of days before `day` (UTC day number), then those days' segments; the day that was
 * written last stays. A segment copied elsewhere can then be read by nobody: keep no copy of log_key_dir.
 * Days are in *days: how many keys went. Safe beside a running engine, and again after a failure. */
bool log_expire(const struct log_settings *settings, int32_t day, int *days, struct error *err) must_check;

#endif
