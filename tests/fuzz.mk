# Fuzz targets: make VARIANT=fuzz CC=clang-14 fuzzers.
FUZZERS := $(patsubst %.c,$(OUT)/%,$(wildcard tests/fuzz/fuzz_*.c))
.PHONY: fuzzers
fuzzers: $(FUZZERS)

$(OUT)/tests/fuzz/%: $(OUT)/tests/fuzz/%.o $(OUT)/libmuster.a
	$(call say,LINK,$@)
	$(Q)$(CXX) $(subst fuzzer-no-link,fuzzer,$(LDFLAGS)) -o $@ $^ $(LDLIBS)
