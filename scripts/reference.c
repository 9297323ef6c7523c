/* The yardstick of scripts/bench: the machine that vmdbg simulates, written by hand for one format.
 *
 * x86_64 tables in simulated memory, two TLB levels with move-to-front sets, rights, A and D bits, event
 * counters with a mask for each kind, dirty marks, demand paging with a reverse map, exact CLOCK (or FIFO)
 * and a swap area.  It does the work of vmdbg's hot code to the event, and prints the counters so that
 * scripts/bench can say so; how it keeps its state is its own affair.
 *
 *     cc -O3 -march=native [-DPAYLOAD=1] [-DFIFO=1] -o reference reference.c
 *     ./reference WORKLOAD [--step]
 *
 * WORKLOAD: struct header, then the operations, four words each; all int64.  --step: a timed pass waits
 * for a line of input and answers with its seconds, so that two programs can take turns.
 * What vmdbg binds at build is a macro here; sizes, geometry and registers are run-time values in both.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef PAYLOAD
#define PAYLOAD 0
#endif
#ifndef FIFO
#define FIFO 0
#endif

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
#define NOINLINE __attribute__((noinline))
#define COLD __attribute__((noinline, cold))

enum { PAGE_BITS = 12, PAGE = 1 << PAGE_BITS, LEVELS = 4, INDEX_BITS = 9, KINDS = 64, CPUS = 1 };

/* --- events ------------------------------------------------------------------------------------- */

#define EVENTS(X) \
    X(FETCH, "fetch") X(READ, "read") X(WRITE, "write") \
    X(TLB_HIT, "tlb-hit") X(TLB_L2_HIT, "tlb-l2-hit") X(TLB_MISS, "tlb-miss") X(TLB_FILL, "tlb-fill") \
    X(TLB_EVICT, "tlb-evict") X(TLB_DROP, "tlb-drop") X(TLB_FLUSH, "tlb-flush") \
    X(WALK_STEP, "walk-step") X(TRAP, "trap") X(RETRY, "retry") X(BUS_ERROR, "bus-error") \
    X(LIMIT_CHECK, "limit-check") X(FRAME_ALLOC, "frame-alloc") X(FRAME_FREE, "frame-free") \
    X(TABLE_ALLOC, "table-alloc") X(ENTRY_WRITE, "entry-write") X(FAULT_MINOR, "fault-minor") \
    X(FAULT_MAJOR, "fault-major") X(SIGNAL, "signal") X(RECLAIM, "reclaim") X(AGE, "age") \
    X(EVICT, "evict") X(SWAP_OUT, "swap-out") X(SWAP_DROP, "swap-drop") X(SWAP_IN, "swap-in") \
    X(SWITCH, "switch")

enum event {
#define X(kind, name) EV_##kind,
    EVENTS(X)
#undef X
    EVENT_KINDS
};

static const char *const event_names[] = {
#define X(kind, name) name,
    EVENTS(X)
#undef X
};

/* --- state -------------------------------------------------------------------------------------- */

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_FETCH };
enum { RIGHT_R = 1, RIGHT_W = 2, RIGHT_X = 4, RIGHT_U = 8, ALL_RIGHTS = 15 };
enum fault { FAULT_NONE, FAULT_NOT_PRESENT, FAULT_PROTECTION, FAULT_RESERVED, FAULT_NON_CANONICAL, FAULT_BUS };
enum reason { DONE, REASON_SYSCALL, REASON_SIGNAL, REASON_MEMORY, REASON_IDLE, REASON_GROW };
enum { SIGBUS_ = 7, SIGKILL_ = 9, SIGSEGV_ = 11, MAPERR = 1, ACCERR = 2 };

struct bank {
    int64_t base, size, offset;
};

struct tlb_row {
    int64_t key;  /* tag << 18 | asid << 2 | page size; asid 0 = global; -1 = empty */
    int64_t word; /* pfn << 6 | global << 5 | dirty << 4 | rights */
};

struct tlb_array {
    struct tlb_row *rows;
    int64_t set_mask, ways;
    uint32_t sizes, present; /* page sizes that it may hold, that were put in */
};

struct cpu {
    int64_t pid, root, asid, mode, address, code, quantum;
    uint32_t allowed[3]; /* by kind of access: bit i set = rights i are allowed */
};

enum frame_state { FRAME_FREE, FRAME_RESERVED, FRAME_TABLE, FRAME_USER };

struct frame {
    int32_t next, previous; /* free list, or the policy's queue; -1 = none */
    int32_t state, depth;
    int32_t rmap, maps;
    int32_t slot, pid;
};

struct rmap {
    int64_t entry, va;
    int64_t pid, next;
};

struct slot {
    int64_t refs, pid, va, next;
};

struct region {
    int64_t start, end, rights, next;
};

enum process_state { PROCESS_FREE, PROCESS_READY, PROCESS_RUNNING };

struct process {
    int64_t state, asid, root, pc, cursor, limit, rss, swapped, tables, region, next, minor, major;
    int64_t status, last, depth, loops[8];
};

struct pool {
    int64_t first, count;
};

struct op {
    int64_t word, va, value, spare;
};

struct stop {
    int64_t kind, pid, cpu, compare, low, high, action, hits;
};

struct record {
    int64_t kind, operation, number, cpu, pid, a, b, c;
};

struct step {
    int64_t address, entry, index;
};

struct walk {
    struct step path[LEVELS];
    int steps;
    int64_t rights;
};

struct machine {
    uint8_t *ram;
    uint8_t *dirty; /* of each frame: stored to since the last snapshot */
    struct bank *banks;
    int64_t bank_count;
    struct tlb_array l1, l2;
    struct cpu cpus[CPUS];
    /* the kernel */
    int64_t operations, current_cpu;
    struct frame *frames;
    int64_t frame_count, user_first, user_end, hand, oldest, newest, resident;
    struct pool kernel_pool, user_frames;
    struct pool *user_pool; /* one of the two */
    struct rmap *rmaps;
    int64_t rmap_free, rmap_count;
    struct slot *slots;
    int64_t slot_free, slot_count, slot_rows;
    uint8_t *swap, *swap_dirty;
    struct region *regions;
    struct process *processes;
    int64_t ready_first, ready_last, quantum;
    struct op *ops;
    /* what watches */
    int64_t (*counts)[KINDS];
    int64_t *counters; /* row of the current process and CPU */
    int64_t limit, value;
    uint8_t mask[KINDS];
    int64_t events, stop, stopped_kind, stops, logged, log_rows;
    struct stop stop_rows[16];
    struct record *log;
    enum fault fault;
    struct walk walk; /* the last one */
};

enum { MASK_STOPS = 1, MASK_LOG = 2 };

static COLD void note(struct machine *m, enum event kind, int64_t a, int64_t b, int64_t c)
{
    int64_t number = ++m->events, cpu = m->current_cpu, pid = m->cpus[cpu].pid;
    if (m->mask[kind] & MASK_LOG) {
        if (m->logged < m->log_rows)
            m->log[m->logged] = (struct record){kind, m->operations, number, cpu, pid, a, b, c};
        m->logged++;
    }
    if (!(m->mask[kind] & MASK_STOPS))
        return;
    for (struct stop *row = m->stop_rows; row < m->stop_rows + m->stops; row++) {
        if (row->kind != (int64_t)kind || (row->pid >= 0 && row->pid != pid) ||
            (row->cpu >= 0 && row->cpu != cpu) || (row->compare && (a < row->low || a > row->high)))
            continue;
        row->hits++;
        if (row->action == 0 && m->stop == 0) {
            m->stop = number;
            m->stopped_kind = kind;
            m->limit = 0;
        }
    }
}

static inline void emit(struct machine *m, enum event kind, int64_t a, int64_t b, int64_t c)
{
    m->counters[kind]++;
    if (unlikely(m->mask[kind]))
        note(m, kind, a, b, c);
}

/* --- memory ------------------------------------------------------------------------------------- */

static COLD int64_t far_offset(struct machine *m, int64_t pa, int64_t width)
{
    for (int64_t i = 1; i < m->bank_count; i++) {
        int64_t at = pa - m->banks[i].base;
        if (at >= 0 && at <= m->banks[i].size - width)
            return at + m->banks[i].offset;
    }
    return -1;
}

/* Where `width` bytes at `pa` lie in the memory buffer; -1 outside every bank. */
static inline int64_t ram_offset(struct machine *m, int64_t pa, int64_t width)
{
    const struct bank *bank = m->banks;
    int64_t at = pa - bank->base;
    if (likely(at >= 0 && at <= bank->size - width))
        return at + bank->offset;
    return far_offset(m, pa, width);
}

static inline bool load_entry(struct machine *m, int64_t pa, int64_t *entry)
{
    int64_t at = ram_offset(m, pa, 8);
    if (unlikely(at < 0)) {
        *entry = -1;
        return false;
    }
    memcpy(entry, m->ram + at, 8);
    return true;
}

static inline void store_entry(struct machine *m, int64_t pa, int64_t entry)
{
    int64_t at = ram_offset(m, pa, 8);
    if (unlikely(at < 0))
        return;
    m->dirty[at >> PAGE_BITS] = 1;
    memcpy(m->ram + at, &entry, 8);
}

static inline int64_t load_data(const uint8_t *at, int64_t width)
{
    int64_t value = 0;
    uint32_t word;
    uint16_t half;
    switch (width) {
    case 8: memcpy(&value, at, 8); return value;
    case 4: memcpy(&word, at, 4); return word;
    case 2: memcpy(&half, at, 2); return half;
    case 1: return *at;
    default: memcpy(&value, at, (size_t)width); return value;
    }
}

static inline void store_data(uint8_t *at, int64_t width, int64_t value)
{
    switch (width) {
    case 8: memcpy(at, &value, 8); break;
    case 4: memcpy(at, &value, 4); break;
    case 2: memcpy(at, &value, 2); break;
    case 1: *at = (uint8_t)value; break;
    default: memcpy(at, &value, (size_t)width);
    }
}

/* --- entries (Intel SDM 3A, 4.5) ---------------------------------------------------------------- */

#define P INT64_C(1)
#define RW (INT64_C(1) << 1)
#define US (INT64_C(1) << 2)
#define A (INT64_C(1) << 5)
#define D (INT64_C(1) << 6)
#define PS (INT64_C(1) << 7)
#define G (INT64_C(1) << 8)
#define SLOT_MARK (INT64_C(1) << 9)
#define NX INT64_MIN
#define FRAME_MASK (((INT64_C(1) << 52) - 1) & ~INT64_C(0xFFF))

enum kind { TABLE, LEAF, EMPTY, SWAPPED, RESERVED, BUS };

static inline enum kind classify(int64_t entry, int depth)
{
    if (!(entry & P))
        return entry & SLOT_MARK ? SWAPPED : EMPTY;
    if (depth == 3)
        return LEAF;
    if (likely(!(entry & PS)))
        return TABLE;
    if (depth == 2)
        return entry & 0x1FE000 ? RESERVED : LEAF;
    if (depth == 1)
        return entry & 0x3FFFE000 ? RESERVED : LEAF;
    return RESERVED;
}

static inline int level_shift(int depth) { return PAGE_BITS + INDEX_BITS * (LEVELS - 1 - depth); }
static inline int size_shift(int size) { return PAGE_BITS + INDEX_BITS * size; }

static inline int64_t make_leaf(int64_t address, int64_t rights)
{
    return address | P | (rights & RIGHT_W) | (rights & RIGHT_U) >> 1 | (rights & RIGHT_X ? 0 : NX);
}

static inline int64_t fault_code(enum fault fault, enum access access, int64_t mode)
{
    return (fault != FAULT_NOT_PRESENT) | (access == ACCESS_WRITE) << 1 | (mode == 0) << 2 |
           (fault == FAULT_RESERVED) << 3 | (access == ACCESS_FETCH) << 4;
}

/* --- TLB: way 0 is the most recently used, empty rows come last ---------------------------------- */

enum { KEY_TAG = 18, KEY_ASID = 2, KEY_SIZE = 3, WORD_PFN = 6, WORD_RIGHTS = 15, WORD_DIRTY = 16, WORD_GLOBAL = 32 };
#define VPN_MASK ((INT64_C(1) << 36) - 1)

static inline struct tlb_row *tlb_set(const struct tlb_array *array, int64_t tag)
{
    return array->rows + (tag & array->set_mask) * array->ways;
}

/* Put a row at the front of its set, over the row `old`. */
static inline void tlb_to_front(struct tlb_row *start, struct tlb_row *old, struct tlb_row row)
{
    memmove(start + 1, start, (size_t)((char *)old - (char *)start));
    *start = row;
}

/* Look for `va` among pages of one size; a row that is found moves to the front of its set. */
static inline struct tlb_row *tlb_use_sized(struct tlb_array *array, int64_t va, int64_t asid, int size)
{
    int64_t tag = (va >> PAGE_BITS & VPN_MASK) >> (INDEX_BITS * size);
    int64_t everywhere = tag << KEY_TAG | size, key = everywhere | asid << KEY_ASID;
    struct tlb_row *start = tlb_set(array, tag), *end = start + array->ways;
    if (likely(start->key == key || start->key == everywhere))
        return start;
    for (struct tlb_row *row = start + 1; row < end; row++)
        if (row->key == key || row->key == everywhere) {
            tlb_to_front(start, row, *row);
            return start;
        }
    return NULL;
}

static inline struct tlb_row *tlb_use(struct tlb_array *array, int64_t va, int64_t asid)
{
    struct tlb_row *row;
    if (likely(array->present & 1) && likely((row = tlb_use_sized(array, va, asid, 0)) != NULL))
        return row;
    for (uint32_t present = array->present & ~1u; unlikely(present); present &= present - 1)
        if ((row = tlb_use_sized(array, va, asid, __builtin_ctz(present))))
            return row;
    return NULL;
}

static inline void tlb_insert(struct machine *m, struct tlb_array *array, int64_t key, int64_t word)
{
    struct tlb_row *start = tlb_set(array, key >> KEY_TAG), *last = start + array->ways - 1, *row = start;
    while (row < last && row->key >= 0 && row->key != key)
        row++;
    if (row->key >= 0 && row->key != key)
        emit(m, EV_TLB_EVICT, row->key, row->word, row - array->rows);
    tlb_to_front(start, row, (struct tlb_row){key, word});
    array->present |= 1u << (key & KEY_SIZE);
}

static inline bool tlb_holds(const struct tlb_array *array, int size) { return array->sizes >> size & 1; }

/* Invalidate what an array holds for `va`; returns how many rows went. */
static inline int64_t tlb_drop_from(struct machine *m, struct tlb_array *array, int64_t va, int64_t asid)
{
    int64_t gone = 0;
    for (uint32_t present = array->present; present; present &= present - 1) {
        int size = __builtin_ctz(present);
        int64_t tag = (va >> PAGE_BITS & VPN_MASK) >> (INDEX_BITS * size);
        int64_t everywhere = tag << KEY_TAG | size, key = everywhere | asid << KEY_ASID;
        struct tlb_row *row = tlb_set(array, tag), *end = row + array->ways;
        while (row < end && row->key >= 0) {
            if (row->key != key && row->key != everywhere) {
                row++;
                continue;
            }
            emit(m, EV_TLB_DROP, row->key, row->word, row - array->rows);
            memmove(row, row + 1, (size_t)((char *)end - (char *)(row + 1)));
            end[-1] = (struct tlb_row){-1, 0};
            gone++;
        }
    }
    return gone;
}

static inline int64_t tlb_drop(struct machine *m, int64_t va, int64_t asid)
{
    return tlb_drop_from(m, &m->l1, va, asid) + tlb_drop_from(m, &m->l2, va, asid);
}

/* --- the MMU ------------------------------------------------------------------------------------ */

/* Read the tables; fills m->walk. */
static inline enum kind walk(struct machine *m, int64_t root, int64_t va)
{
    struct walk *w = &m->walk;
    int64_t table = root & FRAME_MASK, rights = ALL_RIGHTS;
    enum kind kind = TABLE;
    int depth = 0;
    while (depth < LEVELS) {
        int64_t index = va >> level_shift(depth) & ((1 << INDEX_BITS) - 1), address = table + index * 8, entry;
        kind = likely(load_entry(m, address, &entry)) ? classify(entry, depth) : BUS;
        rights = kind > LEAF ? 0
                             : rights & (RIGHT_R | (entry & RW) | (entry & US) << 1 | (entry >= 0 ? RIGHT_X : 0));
        w->path[depth++] = (struct step){address, entry, index};
        if (kind != TABLE)
            break;
        table = entry & FRAME_MASK;
    }
    w->steps = depth;
    w->rights = rights;
    return kind;
}

static inline enum fault walk_fault(enum kind kind)
{
    return kind <= LEAF ? FAULT_NONE : kind == BUS ? FAULT_BUS : kind == RESERVED ? FAULT_RESERVED : FAULT_NOT_PRESENT;
}

/* Set A along the path, D in the leaf. */
static inline void mark(struct machine *m, bool dirty)
{
    struct step *step = m->walk.path, *leaf = step + m->walk.steps - 1;
    for (int64_t depth = 0; step <= leaf; step++, depth++) {
        int64_t new = step->entry | A | (dirty && step == leaf ? D : 0), changed = 0;
        if (new != step->entry) {
            store_entry(m, step->address, new);
            step->entry = new;
            changed = INT64_C(1) << 40;
        }
        emit(m, EV_WALK_STEP, depth | step->index << 8 | changed, step->address, new);
    }
}

static inline bool allowed(const struct cpu *cpu, int64_t rights, enum access access)
{
    return cpu->allowed[access] >> rights & 1;
}

static inline int64_t word_address(int64_t word, int64_t size, int64_t va)
{
    return (word >> WORD_PFN << PAGE_BITS) + (va & ((INT64_C(1) << size_shift((int)size)) - 1));
}

static inline int64_t tlb_fill(struct machine *m, const struct cpu *cpu, int64_t va)
{
    int size = LEVELS - m->walk.steps;
    int64_t entry = m->walk.path[m->walk.steps - 1].entry;
    int64_t page = entry & FRAME_MASK & -(INT64_C(1) << size_shift(size));
    int64_t word = page >> PAGE_BITS << WORD_PFN | m->walk.rights | (entry & D ? WORD_DIRTY : 0);
    int64_t key = (va >> PAGE_BITS & VPN_MASK) >> (INDEX_BITS * size) << KEY_TAG | size;
    if (entry & G)
        word |= WORD_GLOBAL;
    else
        key |= cpu->asid << KEY_ASID;
    if (tlb_holds(&m->l1, size))
        tlb_insert(m, &m->l1, key, word);
    if (tlb_holds(&m->l2, size))
        tlb_insert(m, &m->l2, key, word);
    emit(m, EV_TLB_FILL, va, key, word);
    return word_address(word, size, va);
}

static NOINLINE int64_t walk_and_fill(struct machine *m, const struct cpu *cpu, int64_t va, enum access access)
{
    enum fault fault = walk_fault(walk(m, cpu->root, va));
    if (likely(fault == FAULT_NONE)) {
        if (likely(allowed(cpu, m->walk.rights, access))) {
            mark(m, access == ACCESS_WRITE);
            return tlb_fill(m, cpu, va);
        }
        fault = FAULT_PROTECTION;
    }
    for (int64_t depth = 0; depth < m->walk.steps; depth++) {
        const struct step *step = &m->walk.path[depth];
        emit(m, EV_WALK_STEP, depth | step->index << 8, step->address, step->entry);
    }
    m->fault = fault;
    return -1;
}

/* Rights and D of a cached translation. */
static inline int64_t use_cached(struct machine *m, const struct cpu *cpu, int64_t va, enum access access,
                                 struct tlb_row row)
{
    if (unlikely(!allowed(cpu, row.word & WORD_RIGHTS, access))) {
        m->fault = FAULT_PROTECTION;
        return -1;
    }
    if (access == ACCESS_WRITE && unlikely(!(row.word & WORD_DIRTY))) /* D must be set in the table first */
        return walk_and_fill(m, cpu, va, access);
    return word_address(row.word, row.key & KEY_SIZE, va);
}

/* After a miss of the first level. */
static NOINLINE int64_t translate_beyond(struct machine *m, const struct cpu *cpu, int64_t va, enum access access)
{
    const struct tlb_row *found = tlb_use(&m->l2, va, cpu->asid);
    if (!found) {
        emit(m, EV_TLB_MISS, va, cpu->asid, 0);
        return walk_and_fill(m, cpu, va, access);
    }
    struct tlb_row row = *found;
    emit(m, EV_TLB_L2_HIT, va, found - m->l2.rows, row.word);
    if (tlb_holds(&m->l1, row.key & KEY_SIZE))
        tlb_insert(m, &m->l1, row.key, row.word);
    return use_cached(m, cpu, va, access, row);
}

/* One access: a physical address, or -1 and the fault. */
static inline int64_t translate(struct machine *m, const struct cpu *cpu, int64_t va, enum access access)
{
    if (unlikely((uint64_t)(va + (INT64_C(1) << 47)) >> 48)) {
        m->fault = FAULT_NON_CANONICAL;
        return -1;
    }
    const struct tlb_row *found = tlb_use(&m->l1, va, cpu->asid);
    if (unlikely(!found))
        return translate_beyond(m, cpu, va, access);
    emit(m, EV_TLB_HIT, va, found - m->l1.rows, found->word);
    return use_cached(m, cpu, va, access, *found);
}

/* --- frames, reverse map, slots ------------------------------------------------------------------ */

static inline int64_t frame_address(struct machine *m, int64_t frame)
{
    int64_t at = frame << PAGE_BITS;
    const struct bank *bank = m->banks, *last = m->banks + m->bank_count - 1;
    while (bank < last && at >= bank->offset + bank->size)
        bank++;
    return bank->base + at - bank->offset;
}

static inline int64_t pool_take(struct machine *m, struct pool *pool)
{
    int64_t frame = pool->first;
    if (frame >= 0) {
        pool->first = m->frames[frame].next;
        pool->count--;
        m->frames[frame].next = -1;
    }
    return frame;
}

static inline void pool_give(struct machine *m, struct pool *pool, int64_t frame)
{
    m->frames[frame] = (struct frame){.state = FRAME_FREE, .previous = -1, .next = (int32_t)pool->first};
    pool->first = frame;
    pool->count++;
    emit(m, EV_FRAME_FREE, frame_address(m, frame) >> PAGE_BITS, 0, 0);
}

static inline void zero_page(struct machine *m, int64_t frame)
{
    m->dirty[frame] = 1;
    memset(m->ram + (frame << PAGE_BITS), 0, PAGE);
}

static int64_t table_take(struct machine *m, int64_t pid, int depth, int64_t entry)
{
    int64_t frame = pool_take(m, &m->kernel_pool);
    if (frame < 0)
        return -1;
    m->frames[frame].state = FRAME_TABLE;
    m->frames[frame].pid = (int32_t)pid;
    m->frames[frame].depth = depth;
    zero_page(m, frame);
    m->processes[pid].tables++;
    int64_t address = frame_address(m, frame);
    emit(m, EV_TABLE_ALLOC, address >> PAGE_BITS, depth, entry);
    return address;
}

static inline void rmap_add(struct machine *m, struct frame *frame, int64_t entry, int64_t pid, int64_t va)
{
    int64_t new = m->rmap_free;
    m->rmap_free = m->rmaps[new].next;
    m->rmap_count--;
    m->rmaps[new] = (struct rmap){.entry = entry, .va = va, .pid = pid, .next = frame->rmap};
    frame->rmap = (int32_t)new;
    frame->maps++;
}

/* Forget the first mapping of a frame. */
static inline void rmap_pop(struct machine *m, struct frame *frame)
{
    int64_t first = frame->rmap;
    frame->rmap = (int32_t)m->rmaps[first].next;
    m->rmaps[first] = (struct rmap){.next = m->rmap_free};
    m->rmap_free = first;
    m->rmap_count++;
    frame->maps--;
}

static inline int64_t slot_take(struct machine *m, int64_t pid, int64_t va)
{
    int64_t slot = m->slot_free;
    if (slot) {
        m->slot_free = m->slots[slot].next;
        m->slot_count--;
        m->slots[slot] = (struct slot){.refs = 1, .pid = pid, .va = va};
    }
    return slot;
}

static inline void slot_release(struct machine *m, int64_t slot)
{
    if (--m->slots[slot].refs == 0) {
        m->slots[slot] = (struct slot){.next = m->slot_free};
        m->slot_free = slot;
        m->slot_count++;
    }
}

static inline void copy_out(struct machine *m, int64_t frame, int64_t slot)
{
    if (PAYLOAD) {
        m->swap_dirty[slot] = 1;
        memcpy(m->swap + (slot << PAGE_BITS), m->ram + (frame << PAGE_BITS), PAGE);
    }
}

static inline void copy_in(struct machine *m, int64_t frame, int64_t slot)
{
    if (PAYLOAD) {
        m->dirty[frame] = 1;
        memcpy(m->ram + (frame << PAGE_BITS), m->swap + (slot << PAGE_BITS), PAGE);
    }
}

static inline int64_t shoot_down(struct machine *m, int64_t pid, int64_t va)
{
    return tlb_drop(m, va, m->processes[pid].asid); /* one CPU */
}

/* --- policies ----------------------------------------------------------------------------------- */

#if FIFO
static inline void policy_load(struct machine *m, int64_t frame)
{
    m->frames[frame].previous = (int32_t)m->newest;
    m->frames[frame].next = -1;
    if (m->newest < 0)
        m->oldest = frame;
    else
        m->frames[m->newest].next = (int32_t)frame;
    m->newest = frame;
}

static inline void policy_unload(struct machine *m, int64_t frame)
{
    int64_t previous = m->frames[frame].previous, next = m->frames[frame].next;
    if (previous < 0)
        m->oldest = next;
    else
        m->frames[previous].next = (int32_t)next;
    if (next < 0)
        m->newest = previous;
    else
        m->frames[next].previous = (int32_t)previous;
}

static inline int64_t victim(struct machine *m) { return m->oldest; }
#else
static inline void policy_load(struct machine *m, int64_t frame) { (void)m, (void)frame; }
static inline void policy_unload(struct machine *m, int64_t frame) { (void)m, (void)frame; }

/* Clear A in every entry that maps the frame; was it set in one of them? */
static inline bool age(struct machine *m, int64_t frame)
{
    bool used = false;
    for (int64_t row = m->frames[frame].rmap; row; row = m->rmaps[row].next) {
        const struct rmap *map = &m->rmaps[row];
        int64_t entry;
        load_entry(m, map->entry, &entry);
        if (entry & A) {
            used = true;
            store_entry(m, map->entry, entry & ~A);
            emit(m, EV_AGE, frame_address(m, frame) >> PAGE_BITS, map->va, 0);
            shoot_down(m, map->pid, map->va);
        }
    }
    return used;
}

/* Exact CLOCK. */
static inline int64_t victim(struct machine *m)
{
    int64_t frame = m->hand;
    if (frame < m->user_first || frame >= m->user_end)
        frame = m->user_first;
    for (int64_t chances = 2 * (m->user_end - m->user_first); chances > 0; chances--) {
        int64_t this = frame++;
        if (frame == m->user_end)
            frame = m->user_first;
        if (m->frames[this].state == FRAME_USER && m->frames[this].depth == 0 && !age(m, this)) {
            m->hand = frame;
            return this;
        }
    }
    return -1;
}
#endif

/* --- reclaim ------------------------------------------------------------------------------------ */

static inline bool frame_dirty(struct machine *m, const struct frame *frame)
{
    for (int64_t row = frame->rmap, entry; row; row = m->rmaps[row].next) {
        load_entry(m, m->rmaps[row].entry, &entry);
        if (entry & D)
            return true;
    }
    return false;
}

static inline void unmap_to_slot(struct machine *m, struct frame *frame, int64_t slot)
{
    while (frame->rmap) {
        struct rmap map = m->rmaps[frame->rmap];
        int64_t old, new = slot << PAGE_BITS | SLOT_MARK;
        load_entry(m, map.entry, &old);
        store_entry(m, map.entry, new);
        emit(m, EV_ENTRY_WRITE, map.entry, old, new);
        shoot_down(m, map.pid, map.va);
        m->processes[map.pid].rss--;
        m->processes[map.pid].swapped++;
        m->slots[slot].refs++;
        rmap_pop(m, frame);
    }
}

static inline enum reason evict(struct machine *m, int64_t number)
{
    struct frame *frame = &m->frames[number];
    const struct rmap *map = &m->rmaps[frame->rmap];
    int64_t va = map->va, pfn = frame_address(m, number) >> PAGE_BITS, slot = frame->slot;
    bool dirty = frame_dirty(m, frame), write = dirty || slot == 0;
    if (slot == 0 && !(slot = slot_take(m, map->pid, va)))
        return REASON_MEMORY;
    emit(m, EV_EVICT, pfn, va, dirty);
    if (write) {
        copy_out(m, number, slot);
        emit(m, EV_SWAP_OUT, slot, pfn, va);
    } else {
        emit(m, EV_SWAP_DROP, slot, pfn, va);
    }
    unmap_to_slot(m, frame, slot);
    slot_release(m, slot);
    policy_unload(m, number);
    m->resident--;
    pool_give(m, m->user_pool, number);
    return DONE;
}

static inline enum reason reclaim(struct machine *m)
{
    emit(m, EV_RECLAIM, m->user_pool->count, 1, 0);
    int64_t frame = victim(m);
    return frame < 0 ? REASON_MEMORY : evict(m, frame);
}

/* --- faults ------------------------------------------------------------------------------------- */

static COLD enum reason send_signal(struct machine *m, int64_t pid, int number, int code, int64_t va)
{
    m->processes[pid].status = 128 + number;
    emit(m, EV_SIGNAL, number, code, va);
    return REASON_SIGNAL;
}

static inline int64_t region_find(struct machine *m, int64_t pid, int64_t va)
{
    int64_t region = m->processes[pid].region;
    while (region && va >= m->regions[region].end)
        region = m->regions[region].next;
    return region && va >= m->regions[region].start ? region : 0;
}

/* Address of the last-level entry, with tables made on the way; -1: no frame; -2: no way. */
static int64_t leaf_entry(struct machine *m, int64_t pid, int64_t va)
{
    int64_t table = m->processes[pid].root & FRAME_MASK;
    for (int depth = 0;;) {
        int64_t address = table + (va >> level_shift(depth) & ((1 << INDEX_BITS) - 1)) * 8, entry;
        if (depth == LEVELS - 1)
            return address;
        enum kind kind = load_entry(m, address, &entry) ? classify(entry, depth) : BUS;
        depth++;
        if (kind == EMPTY) {
            table = table_take(m, pid, depth, address);
            if (table < 0)
                return -1;
            store_entry(m, address, table | P | RW | US);
            emit(m, EV_ENTRY_WRITE, address, entry, table | P | RW | US);
        } else if (kind == TABLE) {
            table = entry & FRAME_MASK;
        } else {
            return -2;
        }
    }
}

static inline enum reason page_in(struct machine *m, int64_t pid, int64_t region, int64_t va)
{
    struct process *process = &m->processes[pid];
    if (process->limit) {
        emit(m, EV_LIMIT_CHECK, process->rss, process->limit, process->rss < process->limit);
        if (process->rss >= process->limit)
            return send_signal(m, pid, SIGKILL_, 0, va);
    }
    int64_t address, entry = 0, slot = 0;
    if (m->walk.steps == LEVELS) {
        address = m->walk.path[LEVELS - 1].address;
    } else {
        while ((address = leaf_entry(m, pid, va)) == -1)
            if (reclaim(m))
                return REASON_MEMORY;
    }
    if (address >= 0) {
        load_entry(m, address, &entry);
        if (classify(entry, LEVELS - 1) == SWAPPED)
            slot = (entry & FRAME_MASK) >> PAGE_BITS;
    }
    if (address < 0 || slot >= m->slot_rows)
        return send_signal(m, pid, SIGBUS_, 0, va);
    int64_t number;
    while ((number = pool_take(m, m->user_pool)) < 0)
        if (reclaim(m))
            return REASON_MEMORY;
    struct frame *frame = &m->frames[number];
    int64_t page = va & -(int64_t)PAGE, base = frame_address(m, number);
    frame->slot = (int32_t)slot;
    frame->depth = 0;
    if (slot) {
        copy_in(m, number, slot);
        process->swapped--;
        emit(m, EV_SWAP_IN, slot, base >> PAGE_BITS, page);
    } else {
        if (PAYLOAD)
            zero_page(m, number);
        emit(m, EV_FRAME_ALLOC, base >> PAGE_BITS, page, 0);
    }
    int64_t leaf = make_leaf(base, m->regions[region].rights);
    load_entry(m, address, &entry);
    store_entry(m, address, leaf);
    emit(m, EV_ENTRY_WRITE, address, entry, leaf);
    frame->state = FRAME_USER;
    frame->pid = (int32_t)pid;
    rmap_add(m, frame, address, pid, page);
    process->rss++;
    policy_load(m, number);
    m->resident++;
    if (slot) {
        process->major++;
        emit(m, EV_FAULT_MAJOR, va, region, slot);
    } else {
        process->minor++;
        emit(m, EV_FAULT_MINOR, va, region, 0);
    }
    return DONE;
}

static inline enum reason handle_fault(struct machine *m, struct cpu *cpu, int64_t va, enum access access)
{
    enum fault fault = m->fault;
    int64_t pid = cpu->pid;
    cpu->address = va;
    cpu->code = fault_code(fault, access, cpu->mode);
    emit(m, EV_TRAP, fault, cpu->code, va);
    if (fault == FAULT_NON_CANONICAL)
        return send_signal(m, pid, SIGSEGV_, MAPERR, va);
    if (fault == FAULT_PROTECTION) {
        enum kind kind = walk(m, cpu->root, va);
        fault = walk_fault(kind);
        if (kind == LEAF) {
            if (allowed(cpu, m->walk.rights, access)) { /* a cached entry with fewer rights than the table's */
                tlb_drop(m, va, cpu->asid);
                return DONE;
            }
            fault = FAULT_PROTECTION;
        }
        cpu->code = fault_code(fault, access, cpu->mode);
    }
    int64_t region = region_find(m, pid, va);
    if (!region)
        return send_signal(m, pid, SIGSEGV_, MAPERR, va);
    static const int64_t needed[] = {RIGHT_R, RIGHT_W, RIGHT_X};
    if (fault == FAULT_PROTECTION || !(m->regions[region].rights & needed[access]))
        return send_signal(m, pid, SIGSEGV_, ACCERR, va);
    if (fault != FAULT_NOT_PRESENT)
        return send_signal(m, pid, SIGBUS_, 0, va);
    return page_in(m, pid, region, va);
}

/* --- the run loop ------------------------------------------------------------------------------- */

enum { OP_MODIFY = 3, OP_LOOP = 8, OP_END = 9, OP_EXIT = 16, OP_KIND = 0x7F, OP_RANGED = 0x80, OP_WIDTH = 8 };

static void ready_put(struct machine *m, int64_t pid)
{
    m->processes[pid].state = PROCESS_READY;
    m->processes[pid].next = 0;
    if (m->ready_last)
        m->processes[m->ready_last].next = pid;
    else
        m->ready_first = pid;
    m->ready_last = pid;
}

static int64_t ready_take(struct machine *m)
{
    int64_t pid = m->ready_first;
    if (pid) {
        m->ready_first = m->processes[pid].next;
        m->processes[pid].next = 0;
        if (!m->ready_first)
            m->ready_last = 0;
    }
    return pid;
}

static COLD void switch_to(struct machine *m, struct cpu *cpu, int64_t pid)
{
    struct process *process = &m->processes[pid];
    int64_t old = cpu->pid;
    process->state = PROCESS_RUNNING;
    cpu->pid = pid;
    cpu->root = process->root;
    cpu->asid = process->asid;
    cpu->quantum = m->quantum;
    m->counters = m->counts[pid * CPUS + (cpu - m->cpus)];
    emit(m, EV_SWITCH, old, pid, cpu->root);
}

static COLD int64_t dispatch(struct machine *m, struct cpu *cpu)
{
    int64_t pid = ready_take(m);
    if (pid)
        switch_to(m, cpu, pid);
    return pid;
}

static COLD void expire(struct machine *m, struct cpu *cpu)
{
    if (cpu->pid && m->ready_first) {
        ready_put(m, cpu->pid);
        switch_to(m, cpu, ready_take(m));
    } else {
        cpu->quantum = m->quantum;
    }
}

/* Serve faults until the access succeeds: its physical address, or -reason. */
static NOINLINE int64_t reach_after_fault(struct machine *m, struct cpu *cpu, int64_t va, enum access access)
{
    for (;;) {
        enum reason reason = handle_fault(m, cpu, va, access);
        if (reason)
            return -(int64_t)reason;
        emit(m, EV_RETRY, va, access, 0);
        int64_t pa = translate(m, cpu, va, access);
        if (pa >= 0)
            return pa;
    }
}

static COLD enum reason bus_error(struct machine *m, const struct cpu *cpu, int64_t pa, int64_t va)
{
    emit(m, EV_BUS_ERROR, pa, va, 0);
    return send_signal(m, cpu->pid, SIGBUS_, 0, va);
}

/* An access inside one page. */
static inline enum reason access_page(struct machine *m, struct cpu *cpu, int64_t va, enum access how, int64_t width,
                                      int64_t value)
{
    int64_t pa = translate(m, cpu, va, how);
    if (unlikely(pa < 0) && (pa = reach_after_fault(m, cpu, va, how)) < 0)
        return (enum reason)-pa;
    int64_t at = ram_offset(m, pa, 1), seen = 0;
    if (unlikely(at < 0))
        return bus_error(m, cpu, pa, va);
    if (PAYLOAD)
        m->value = seen = load_data(m->ram + at, width);
    if (how == ACCESS_WRITE) {
        m->dirty[at >> PAGE_BITS] = 1;
        if (PAYLOAD)
            store_data(m->ram + at, width, value);
        emit(m, EV_WRITE, pa, seen, value);
    } else {
        emit(m, how == ACCESS_FETCH ? EV_FETCH : EV_READ, pa, seen, 0);
    }
    return DONE;
}

/* An access that crosses into the next page: the lower part first. */
static COLD enum reason access_across(struct machine *m, struct cpu *cpu, int64_t va, enum access how, int64_t width,
                                      int64_t value)
{
    int64_t part = PAGE - (va & (PAGE - 1));
    enum reason reason = access_page(m, cpu, va, how, part, value);
    return reason ? reason : access_page(m, cpu, va + part, how, width - part, value >> part * 8);
}

static COLD int64_t next_operation(struct machine *m, struct process *process)
{
    int64_t row = process->pc, kind = m->ops[row].word & OP_KIND;
    while (kind == OP_LOOP || kind == OP_END) {
        if (kind == OP_LOOP)
            process->loops[process->depth++] = m->ops[row++].va;
        else if (--process->loops[process->depth - 1] > 0)
            row = m->ops[row].va;
        else
            process->depth--, row++;
        kind = m->ops[row].word & OP_KIND;
    }
    return process->pc = row;
}

static inline enum reason operate(struct machine *m, struct cpu *cpu, struct process *process)
{
    const struct op *op = &m->ops[process->pc];
    if (unlikely((op->word & OP_KIND) >= OP_LOOP)) {
        op = &m->ops[next_operation(m, process)];
        if ((op->word & OP_KIND) >= OP_EXIT)
            return REASON_SYSCALL;
    }
    int64_t word = op->word, va = op->va, width = word >> OP_WIDTH & 15;
    if (unlikely(word & OP_RANGED))
        va += process->cursor * op[1].va;
    process->last = va;
    enum access how = (word & 3) == OP_MODIFY ? ACCESS_WRITE : (enum access)(word & 3);
    enum reason reason = likely((va & (PAGE - 1)) + width <= PAGE)
                             ? access_page(m, cpu, va, how, width, op->value)
                             : access_across(m, cpu, va, how, width, op->value);
    if (unlikely(reason))
        return reason;
    if (unlikely(word & OP_RANGED)) {
        if (++process->cursor < op[1].word)
            return DONE;
        process->cursor = 0;
        op++;
    }
    process->pc = op + 1 - m->ops;
    return DONE;
}

static NOINLINE enum reason run(struct machine *m)
{
    while (m->operations < m->limit) {
        struct cpu *cpu = &m->cpus[m->current_cpu];
        m->events = 0;
        if (unlikely(cpu->pid == 0) && dispatch(m, cpu) == 0)
            return REASON_IDLE;
        if (unlikely(m->rmap_count < 2))
            return REASON_GROW;
        m->counters = m->counts[cpu->pid * CPUS + m->current_cpu];
        enum reason reason = operate(m, cpu, &m->processes[cpu->pid]);
        if (unlikely(reason))
            return reason;
        m->operations++;
        if (cpu->quantum > 0 && --cpu->quantum == 0)
            expire(m, cpu);
    }
    return DONE;
}

/* --- set-up ------------------------------------------------------------------------------------- */

struct header {
    int64_t frames, user_frames, user_first, payload, swap_slots, warm_up, timed, operations;
    int64_t l1_sets, l1_ways, l2_sets, l2_ways, fifo;
};

static void *zeroed(int64_t count, size_t size)
{
    void *memory = calloc((size_t)count, size);
    if (!memory) {
        perror("reference");
        exit(1);
    }
    return memory;
}

static void make_tlb(struct tlb_array *array, int64_t sets, int64_t ways)
{
    array->rows = zeroed(sets * ways, sizeof *array->rows);
    for (int64_t i = 0; i < sets * ways; i++)
        array->rows[i].key = -1;
    array->set_mask = sets - 1;
    array->ways = ways;
    array->sizes = 7;
}

static void make_pool(struct machine *m, struct pool *pool, int64_t first, int64_t end)
{
    for (int64_t frame = first; frame < end; frame++) {
        m->frames[frame].next = frame + 1 < end ? (int32_t)frame + 1 : -1;
        m->frames[frame].previous = -1;
    }
    *pool = (struct pool){first, end - first};
}

static void boot(struct machine *m, const struct header *h)
{
    enum { RESERVED_FRAMES = 256 };
    m->ram = zeroed(h->frames, PAGE);
    m->dirty = zeroed(h->frames, 1);
    m->bank_count = 1;
    m->banks = zeroed(m->bank_count, sizeof *m->banks);
    m->banks[0].size = h->frames << PAGE_BITS;
    make_tlb(&m->l1, h->l1_sets, h->l1_ways);
    make_tlb(&m->l2, h->l2_sets, h->l2_ways);
    m->frame_count = m->user_end = h->frames;
    m->frames = zeroed(h->frames, sizeof *m->frames);
    m->hand = m->user_first = h->user_first;
    if (h->user_frames) {
        m->user_end = h->user_first + h->user_frames;
        make_pool(m, &m->kernel_pool, RESERVED_FRAMES, h->user_first);
        make_pool(m, &m->user_frames, h->user_first, m->user_end);
        m->user_pool = &m->user_frames;
    } else {
        make_pool(m, &m->kernel_pool, RESERVED_FRAMES, h->frames);
        m->user_pool = &m->kernel_pool;
    }
    m->oldest = m->newest = -1;
    m->rmap_count = 2 * h->frames - 1;
    m->rmap_free = 1;
    m->rmaps = zeroed(m->rmap_count + 1, sizeof *m->rmaps);
    for (int64_t i = 1; i < m->rmap_count; i++)
        m->rmaps[i].next = i + 1;
    m->slot_rows = h->swap_slots;
    m->slot_count = h->swap_slots - 1;
    m->slot_free = 1;
    m->slots = zeroed(m->slot_rows, sizeof *m->slots);
    for (int64_t i = 1; i < m->slot_count; i++)
        m->slots[i].next = i + 1;
    m->swap_dirty = zeroed(m->slot_rows, 1);
    if (PAYLOAD)
        m->swap = zeroed(m->slot_rows, PAGE);
    m->regions = zeroed(64, sizeof *m->regions);
    m->regions[1] = (struct region){0, INT64_C(1) << 47, ALL_RIGHTS, 0};
    m->processes = zeroed(8, sizeof *m->processes);
    m->counts = zeroed(8 * CPUS, sizeof *m->counts);
    m->counters = m->counts[0];
    for (int rights = 0; rights < 16; rights++) { /* user mode */
        bool user = rights & RIGHT_U && rights & RIGHT_R;
        m->cpus[0].allowed[ACCESS_READ] |= (uint32_t)user << rights;
        m->cpus[0].allowed[ACCESS_WRITE] |= (uint32_t)(user && rights & RIGHT_W) << rights;
        m->cpus[0].allowed[ACCESS_FETCH] |= (uint32_t)(user && rights & RIGHT_X) << rights;
    }
    m->processes[1].root = table_take(m, 1, 0, 0);
    m->processes[1].asid = 1;
    m->processes[1].region = 1;
    ready_put(m, 1);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static struct op *read_workload(const char *name, struct header *h)
{
    FILE *file = fopen(name, "rb");
    if (!file || fread(h, sizeof *h, 1, file) != 1) {
        fprintf(stderr, "reference: cannot read %s: %s\n", name, strerror(errno));
        exit(1);
    }
    struct op *ops = zeroed(h->operations + 2, sizeof *ops);
    if (fread(ops, sizeof *ops, (size_t)h->operations, file) != (size_t)h->operations) {
        fprintf(stderr, "reference: %s is too short\n", name);
        exit(1);
    }
    fclose(file);
    ops[h->operations].word = OP_EXIT;
    return ops;
}

/* Wait for a line of input; false at its end. */
static bool asked(void)
{
    int c;
    while ((c = getchar()) != '\n')
        if (c == EOF)
            return false;
    return true;
}

static double pass(struct machine *m, int64_t operations)
{
    m->processes[1].pc = 0;
    m->limit = m->operations + operations;
    double start = now();
    enum reason reason = run(m);
    double seconds = now() - start;
    if (reason) {
        fprintf(stderr, "reference: stopped for reason %d\n", reason);
        exit(1);
    }
    return seconds;
}

int main(int argc, char **argv)
{
    bool step = argc == 3 && strcmp(argv[2], "--step") == 0;
    if (argc != 2 + step) {
        fprintf(stderr, "usage: reference WORKLOAD [--step]\n");
        return 2;
    }
    static struct machine machine;
    struct machine *m = &machine;
    struct header h;
    m->ops = read_workload(argv[1], &h);
    if (h.payload != PAYLOAD || h.fifo != FIFO) {
        fprintf(stderr, "reference: built for another payload or policy\n");
        return 2;
    }
    boot(m, &h);
    double *seconds = zeroed(h.timed + 1, sizeof *seconds);
    for (int64_t i = 0; i < h.warm_up; i++)
        pass(m, h.operations);
    for (int64_t i = 0; i < h.timed; i++) {
        if (step && !asked())
            return 1;
        seconds[i] = pass(m, h.operations);
        if (step) {
            printf("%.9f\n", seconds[i]);
            fflush(stdout);
        }
    }
    printf("{\"seconds\": [");
    for (int64_t i = 0; i < h.timed; i++)
        printf("%s%.9f", i ? ", " : "", seconds[i]);
    printf("], \"operations\": %lld, \"counts\": {", (long long)m->operations);
    const char *comma = "";
    for (int kind = 0; kind < EVENT_KINDS; kind++)
        if (m->counts[1][kind]) {
            printf("%s\"%s\": %lld", comma, event_names[kind], (long long)m->counts[1][kind]);
            comma = ", ";
        }
    printf("}}\n");
    return 0;
}
