# Muster: one non-recursive makefile; each variant builds into its own folder under build/.
#   make [VARIANT=release|debug|asan|tsan|fuzz|fault|planted_drop|planted_double|planted_race] [CC=gcc|clang-14]

VARIANT ?= release
V       ?= 0
Q       := $(if $(filter 1,$(V)),,@)
say      = $(if $(filter 1,$(V)),,@printf '  %-4s %s\n' $(1) $(patsubst build/%,%,$(2)))
CC      := $(if $(filter default,$(origin CC)),gcc,$(CC))
CXX     := $(if $(findstring clang,$(CC)),clang++-14,g++)
OUT     := build/$(VARIANT)

WARN := -Wall -Wextra -Wconversion -Wshadow -Werror
CWARN := -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wundef -Wformat=2 -Wpointer-arith -Wwrite-strings
# clang 14 wants a second flag before it takes zero initialisation, so only gcc has it
HARDEN := -fstack-protector-strong -fstack-clash-protection -fcf-protection=full -fPIE $(if $(findstring clang,$(CC)),,-ftrivial-auto-var-init=zero)
CPPFLAGS := -I. -D_GNU_SOURCE -MMD -MP

flags_release := -O2 -g -D_FORTIFY_SOURCE=2 $(HARDEN) -fno-omit-frame-pointer
flags_debug   := -O0 -g3 $(HARDEN)
flags_asan    := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
flags_tsan    := -O1 -g -fsanitize=thread -fno-omit-frame-pointer
flags_fault   := -O1 -g -DMUSTER_FAULT
flags_planted_drop   := -O1 -g -DMUSTER_PLANTED_DROP
flags_planted_double := -O1 -g -DMUSTER_PLANTED_DOUBLE
flags_planted_race   := $(flags_tsan) -DMUSTER_PLANTED_RACE
flags_fuzz    := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
VFLAGS  := $(flags_$(VARIANT))

CFLAGS   := -std=c17 $(WARN) $(CWARN) $(VFLAGS) -pthread
CXXFLAGS := -std=c++17 -fno-exceptions -fno-rtti $(WARN) $(VFLAGS) -pthread -I/usr/include/postgresql
pie     := -pie -Wl,-z,relro,-z,now
LDFLAGS  := $(VFLAGS) -pthread $(if $(filter release debug,$(VARIANT)),$(pie))
LDLIBS   := -lsimdjson -lpcre2-8 -lexpat -lcurl -lpq -lrdkafka -lmicrohttpd -lsodium -lzstd -lz -lyaml -ljansson -lsmartcols -lm
ifeq ($(VARIANT),release)
CPPFLAGS += -DMUSTER_JEMALLOC
LDLIBS   += -ljemalloc
endif
CPPFLAGS += -I/usr/include/postgresql

SRC_C   := $(sort $(wildcard engine/*/*.c rules/*/*.c connectors/*/*.c bench/*.c))
SRC_CXX := $(sort $(wildcard connectors/*/*.cc))
MAIN_C  := engine/cli/main.c
LIB_OBJ = $(patsubst %.c,$(OUT)/%.o,$(filter-out $(MAIN_C),$(SRC_C))) $(patsubst %.cc,$(OUT)/%.o,$(SRC_CXX))

.PHONY: all
all: $(OUT)/muster

$(OUT)/muster: $(OUT)/engine/cli/main.o $(OUT)/libmuster.a
	$(call say,LINK,$@)
	$(Q)$(CXX) $(LDFLAGS) -rdynamic -o $@ $^ $(LDLIBS)
	@if [ $(VARIANT) = release ]; then ln -sf release/muster build/muster; fi

$(OUT)/libmuster.a: $(LIB_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@; ar rcs $@ $^

$(OUT)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,CC,$@)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(OUT)/%.o: %.cc
	@mkdir -p $(@D)
	$(call say,CXX,$@)
	$(Q)$(CXX) $(CPPFLAGS) $(CXXFLAGS) -c -o $@ $<

-include $(wildcard tests/*.mk docker/*.mk bench/*.mk)

# Unit tests: one Criterion program per file of tests/unit (tests/unit/AREA/NAME.c -> build/VARIANT/tests/unit/AREA/NAME);
# plain programs (threads, models) are tests/simulation/*.c, ending with the line "N passed, N failed".
UNIT     := $(patsubst %.c,$(OUT)/%,$(wildcard tests/unit/*/*.c))
SIMULATE := $(patsubst %.c,$(OUT)/%,$(wildcard tests/simulation/*.c))

$(OUT)/tests/unit/%: $(OUT)/tests/unit/%.o $(OUT)/libmuster.a
	$(call say,LINK,$@)
	$(Q)$(CXX) $(LDFLAGS) -o $@ $^ -lcriterion $(LDLIBS)

# libavro is what our own reader of Avro is held against.
$(OUT)/tests/unit/avro/%: LDLIBS += -lavro

$(OUT)/tests/simulation/%: $(OUT)/tests/simulation/%.o $(OUT)/libmuster.a
	$(call say,LINK,$@)
	$(Q)$(CXX) $(LDFLAGS) -rdynamic -o $@ $^ $(LDLIBS)

.PHONY: lib tests test test-crash test-long pages check-pages fuzz-short clean
lib: $(OUT)/libmuster.a $(OUT)/engine/cli/main.o
tests: $(OUT)/muster $(UNIT) $(SIMULATE) $(INTEGRATE)

# What a newcomer runs: installs what is missing, then every suite that needs no more than that.
test:
	@docker/packages.sh
	@python3 tests/run.py quick

# The suites that take longer: ThreadSanitizer, a million events, kills, fuzzing, gates on speed.
test-long:
	@python3 tests/run.py long

test-crash: all
	@python3 tests/crash/crash.py

fuzz-short:
	@python3 tests/fuzz/run.py --seconds 20

# Pages made from the tables that the code is made from.
PAGES := settings:engine/SETTINGS.md commands:engine/COMMANDS.md metrics:engine/METRICS.md \
         rejections:connectors/json/REJECTIONS.md diagnostics:rules/DIAGNOSTICS.md language:rules/LANGUAGE.md iso20022:connectors/iso20022/FIELDS.md \
         vim:rules/editors/muster.vim textmate:rules/editors/muster.tmLanguage.json
pages: all
	@for p in $(PAGES); do build/muster reference $${p%%:*} > $${p#*:} || exit 1; done
	@mkdir -p build/man; for c in "" $$(sed -n 's/^COMMAND(\([a-z_]*\),.*/-\1/p' engine/cli/command.def); do \
	  build/muster reference man$$c > build/man/muster$$c.1 || exit 1; done

check-pages: all
	@for p in $(PAGES); do build/muster reference $${p%%:*} | diff -u $${p#*:} - || \
	  { echo "$${p#*:} is stale: run make pages"; exit 1; }; done

clean:
	rm -rf build

# The migrations are read by the assembler when migrate.c is compiled.
$(OUT)/connectors/postgres/migrate.o: $(wildcard connectors/postgres/migrations/*.sql)

.SECONDARY:
-include $(shell find build/$(VARIANT) -name '*.d' 2>/dev/null)
