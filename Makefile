# svidwrap: GNU make, no generated build system. `make help` lists the targets.
#
#   BUILD=dir   where everything goes (default build)
#   CC=clang    another compiler
#   SAN=asan|tsan  sanitizer lane (use with a BUILD of its own; `make asan` does)

BUILD   ?= build
CC      := $(if $(filter default undefined,$(origin CC)),gcc,$(CC))
PREFIX  ?= /usr/local
LIBDIR  ?= $(PREFIX)/lib
VERSION := 0.1.0
SAN     ?=
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)
ARCHIVES ?= $(patsubst %/,%,$(dir $(shell $(CC) -print-file-name=libcrypto.a 2>/dev/null)))

WARN   := -Wall -Wextra -Wconversion -Wshadow -Werror
HARDEN := -fstack-protector-strong -fcf-protection
# The sanitizers bring their own checks; fortified calls would hide from them.
FORTIFY := $(if $(SAN),,-U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)
SANFLAGS_asan := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
SANFLAGS_tsan := -fsanitize=thread -fno-omit-frame-pointer $(if $(findstring clang,$(CC)),,-Wno-tsan)
SANFLAGS := $(SANFLAGS_$(SAN))
OPT    ?= -O2 -g
CFLAGS_ALL := -std=gnu11 -D_GNU_SOURCE $(OPT) $(WARN) $(HARDEN) $(SANFLAGS) -Iinclude -I. -Ishim -I$(BUILD)/gen \
              -DSVIDWRAP_VERSION='"$(VERSION)"' -DSVIDWRAP_PREFIX='"$(PREFIX)"' -MMD -MP $(CFLAGS)
LDFLAGS_ALL := -Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack $(SANFLAGS) $(LDFLAGS)

# ---- the shim -------------------------------------------------------------------------------------
SHIM_SRC := $(wildcard shim/*.c shim/record/*.c shim/hooks/*.c)
SHIM_OBJ := $(SHIM_SRC:%.c=$(BUILD)/pic/%.o)
# libcrypto looks at the processor when the first keys are made, not when it is loaded: shim/record/provider.c.
SHIM_WRAP := -Wl,--wrap=OPENSSL_cpuid_setup

# ---- the binary -----------------------------------------------------------------------------------
BIN_SRC := $(wildcard agentclient/*/*.c) shim/record/record.c shim/guard.c shim/lock.c shim/libc.c \
           $(filter-out shim/conn_memory.c shim/conn_pages.c,$(wildcard shim/conn*.c))
BIN_OBJ := $(BIN_SRC:%.c=$(BUILD)/obj/%.o) $(BUILD)/obj/gen/workload.pb-c.o
GRPC_A  := $(addprefix $(ARCHIVES)/,libgrpc.a libgpr.a libaddress_sorting.a libupb.a libcares.a libre2.a libz.a) \
           $(wildcard $(ARCHIVES)/libabsl_*.a)
SSL_A   := $(addprefix $(ARCHIVES)/,libssl.a libcrypto.a)
MISC_A  := $(addprefix $(ARCHIVES)/,libevent_core.a libevent_extra.a libevent_pthreads.a libyaml.a libjansson.a \
             libprotobuf-c.a)
# libssl's decoding of certificates goes through agentclient/identity/decoded.c.
BIN_WRAP := -Wl,--wrap=d2i_X509
BIN_LIBS := -Wl,--start-group $(GRPC_A) $(SSL_A) -Wl,--end-group $(MISC_A) -l:libstdc++.a -static-libgcc -lm

all: $(BUILD)/libsvidwrap.so $(BUILD)/svidwrap
.PHONY: all

help:
	@echo "make            build/libsvidwrap.so and build/svidwrap"
	@echo "make demo       the tour: real programs, allowed and refused"
	@echo "make test       everything; installs what it needs"
	@echo "make compat     real programs and other people's tests, native against wrapped; FILTER=redis: some"
	@echo "make unit       the unit tests alone"
	@echo "make bench      figures, as ratios of one run"
	@echo "make fuzz       a bounded run of every fuzzer (FUZZ_SECONDS=20 each)"
	@echo "make asan tsan  the unit tests under a sanitizer"
	@echo "make differential-asan -tsan -valgrind  the differential scenarios and some random seeds under each; FILTER=epoll.: some"
	@echo "make random-asan -tsan        random operations under each; SEEDS=n FROM=n, SEED=n: one"
	@echo "make lint       cppcheck, clang-format, scripts that parse"
	@echo "make test-spire SPIRE_BIN=DIR  against a real SPIRE server and agent"
	@echo "make install DESTDIR= PREFIX=/usr/local"
	@echo "make clean      removes what was built"
	@echo "BUILD=dir (default build), CC=clang, V=1 (show the commands)"
.PHONY: help

$(BUILD)/libsvidwrap.so: $(SHIM_OBJ)
	@echo "  CC $@"
	$(Q)$(CC) -shared -o $@ $(SHIM_OBJ) $(LDFLAGS_ALL) -Wl,--exclude-libs,ALL \
	  -Wl,--gc-sections -Wl,-Bsymbolic $(SHIM_WRAP) -Wl,-soname,libsvidwrap.so -static-libgcc $(ARCHIVES)/libcrypto.a

$(BUILD)/svidwrap: $(BIN_OBJ)
	@echo "  CC $@"
	$(Q)$(CC) -pie -o $@ $(BIN_OBJ) $(LDFLAGS_ALL) -Wl,--gc-sections $(BIN_WRAP) $(BIN_LIBS)

# The hooks define read() and its kind themselves: glibc's fortified inline versions must stay out. Nor may they be
# instrumented for threads: that sanitizer's runtime calls sigaction() and more before it is ready for anybody.
$(BUILD)/pic/shim/hooks/%.o: FORTIFY := -U_FORTIFY_SOURCE $(if $(filter tsan,$(SAN)),-fno-sanitize=thread)
$(BUILD)/pic/shim/libc.o $(BUILD)/pic/shim/record/provider.o: FORTIFY += $(if $(filter tsan,$(SAN)),-fno-sanitize=thread)
$(BUILD)/pic/%.o: %.c
	@mkdir -p $(@D)
	@echo "  CC $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(FORTIFY) -DSHIM -fPIC -fvisibility=hidden -ftls-model=initial-exec -ffunction-sections -c -o $@ $<

$(BUILD)/obj/%.o: %.c | $(BUILD)/gen/workload.pb-c.h
	@mkdir -p $(@D)
	@echo "  CC $@"
	$(Q)$(CC) $(CFLAGS_ALL) $(FORTIFY) -fPIE -ffunction-sections -c -o $@ $<

$(BUILD)/gen/workload.pb-c.c $(BUILD)/gen/workload.pb-c.h &: agentclient/workload/workload.proto
	@mkdir -p $(BUILD)/gen
	@echo "  PB $@"
	$(Q)protoc-c --c_out=$(BUILD)/gen -Iagentclient/workload $<
$(BUILD)/obj/gen/workload.pb-c.o: $(BUILD)/gen/workload.pb-c.c
	@mkdir -p $(@D)
	@echo "  CC $@"
	$(Q)$(CC) -std=gnu11 -O2 -g $(HARDEN) $(SANFLAGS) -I$(BUILD)/gen -fPIE -c -o $@ $<

# ---- unit tests and fuzzers: tests/unit/NAME.mk sets NAME_SRCS (project sources) and NAME_LIBS ------
-include $(wildcard tests/unit/*.mk) $(wildcard tests/fuzz/*.mk)
UNIT := $(patsubst tests/unit/%.c,%,$(wildcard tests/unit/test_*.c))
UNIT_BIN := $(UNIT:%=$(BUILD)/unit/%)

define unit_rule
$(BUILD)/unit/$(1): $(BUILD)/obj/tests/unit/$(1).o $$(patsubst %.c,$(BUILD)/obj/%.o,$$($(1)_SRCS)) $$(addprefix $(BUILD)/obj/gen/,$$($(1)_GEN))
	@mkdir -p $$(@D)
	@echo "  CC $$@"
	$$(Q)$$(CC) -o $$@ $$^ $$(LDFLAGS_ALL) -lcmocka $$($(1)_LIBS)
endef
$(foreach t,$(UNIT),$(eval $(call unit_rule,$(t))))

unit: $(UNIT_BIN)
	@scripts/run-unit $(UNIT_BIN)
.PHONY: unit

# Coverage-guided, by clang: project sources are compiled again, instrumented.
FUZZERS := $(patsubst tests/fuzz/%.c,%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_SECONDS ?= 20
FUZZ_CC ?= clang
FUZZ_CFLAGS := -std=gnu11 -D_GNU_SOURCE -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined \
               -Iinclude -I. -Ishim -I$(BUILD)/gen -DSVIDWRAP_VERSION='"$(VERSION)"' -DSVIDWRAP_PREFIX='"$(PREFIX)"' -DFUZZING -MMD -MP
$(BUILD)-fuzz/obj/%.o: %.c | $(BUILD)/gen/workload.pb-c.h
	@mkdir -p $(@D)
	@echo "  CC $@"
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) $(FUZZ_EXTRA) -c -o $@ $<
$(BUILD)-fuzz/obj/gen/%.o: $(BUILD)/gen/%.c
	@mkdir -p $(@D)
	@echo "  CC $@"
	$(Q)$(FUZZ_CC) $(FUZZ_CFLAGS) -c -o $@ $<
define fuzz_rule
$(BUILD)-fuzz/$(1): $(BUILD)-fuzz/obj/tests/fuzz/$(1).o $$(patsubst %.c,$(BUILD)-fuzz/obj/%.o,$$($(1)_SRCS)) $$(addprefix $(BUILD)-fuzz/obj/gen/,$$($(1)_GEN))
	@echo "  CC $$@"
	$$(Q)$$(FUZZ_CC) -fsanitize=fuzzer,address,undefined -o $$@ $$^ $$($(1)_LIBS)
endef
$(foreach t,$(FUZZERS),$(eval $(call fuzz_rule,$(t))))

fuzz-build: $(FUZZERS:%=$(BUILD)-fuzz/%)
fuzz:
	@scripts/deps test
	@$(MAKE) --no-print-directory fuzz-build
	@scripts/run-fuzz $(BUILD)-fuzz $(FUZZ_SECONDS) $(FUZZERS)
.PHONY: fuzz fuzz-build

-include tests/tests.mk

test:
	@scripts/test
compat:
	@FILTER="$(FILTER)" scripts/compat
demo:
	@scripts/demo
bench:
	@scripts/bench
test-spire:
	@SPIRE_BIN="$(SPIRE_BIN)" scripts/test-spire
asan:
	@scripts/sanitize asan
tsan:
	@scripts/sanitize tsan
differential-asan differential-tsan differential-valgrind:
	@scripts/lanes $(@:differential-%=%) $(FILTER)
random-asan random-tsan:
	@scripts/lanes $(@:random-%=%) --random $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),1000) --from $(or $(FROM),1))
lint:
	@scripts/lint
.PHONY: test compat demo bench test-spire asan tsan lint differential-asan differential-tsan differential-valgrind random-asan random-tsan

install: all
	install -D -m 755 $(BUILD)/svidwrap $(DESTDIR)$(PREFIX)/bin/svidwrap
	install -D -m 755 $(BUILD)/libsvidwrap.so $(DESTDIR)$(LIBDIR)/svidwrap/libsvidwrap.so
	install -D -m 644 include/svidwrap/svidwrap.h $(DESTDIR)$(PREFIX)/include/svidwrap/svidwrap.h
	install -D -m 644 docs/svidwrap.schema.json $(DESTDIR)$(PREFIX)/share/svidwrap/svidwrap.schema.json
	install -D -m 644 docs/check.schema.json $(DESTDIR)$(PREFIX)/share/svidwrap/check.schema.json
	for m in docs/man/*.[1-8]; do install -D -m 644 $$m $(DESTDIR)$(PREFIX)/share/man/man$${m##*.}/$${m##*/} || exit 1; done
.PHONY: install

clean:
	rm -rf $(BUILD) $(BUILD)-asan $(BUILD)-tsan $(BUILD)-fuzz $(BUILD)-lane-asan $(BUILD)-lane-tsan
.PHONY: clean

-include $(shell find $(BUILD) $(BUILD)-fuzz -name "*.d" 2>/dev/null)
