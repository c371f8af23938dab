/* A plugin of QEMU's user mode that adds the number of instructions which a program
 * executed, as a line, to the file that COUNT_TO names. It asks for so little that
 * it declares the few functions itself: Debian has no package of their header. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t id;
struct block;
void qemu_plugin_register_vcpu_tb_trans_cb(id, void (*)(id, struct block *));
void qemu_plugin_register_vcpu_tb_exec_cb(struct block *, void (*)(unsigned, void *), int, void *);
void qemu_plugin_register_atexit_cb(id, void (*)(id, void *), void *);
size_t qemu_plugin_tb_n_insns(const struct block *);

EXPORT int qemu_plugin_version = VERSION;

static _Atomic uint64_t count;

static void executed(unsigned cpu, void *instructions)
{
	atomic_fetch_add_explicit(&count, (uintptr_t)instructions, memory_order_relaxed);
}

static void translated(id plugin, struct block *b)
{
	qemu_plugin_register_vcpu_tb_exec_cb(b, executed, 0, (void *)(uintptr_t)qemu_plugin_tb_n_insns(b));
}

static void ended(id plugin, void *unused)
{
	FILE *f = fopen(getenv("COUNT_TO"), "a");
	if (f && fprintf(f, "%" PRIu64 "\n", count) > 0)
		fclose(f);
}

EXPORT int qemu_plugin_install(id plugin, const void *info, int argc, char **argv)
{
	qemu_plugin_register_vcpu_tb_trans_cb(plugin, translated);
	qemu_plugin_register_atexit_cb(plugin, ended, NULL);
	return 0;
}
