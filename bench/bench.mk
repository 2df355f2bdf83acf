# Benchmarks: bench/bench.py drives the programs of bench/main and the muster binary.
BENCHES := $(patsubst %.c,$(OUT)/%,$(wildcard bench/main/*.c))

$(OUT)/bench/main/%: $(OUT)/bench/main/%.o $(OUT)/libmuster.a
	$(call say,LINK,$@)
	$(Q)$(CXX) $(LDFLAGS) -rdynamic -o $@ $^ $(LDLIBS)

.PHONY: bench bench-check
bench: all $(BENCHES)
	@python3 bench/bench.py

# The same stream against 25, 250 and 1,500 rules; minutes.
.PHONY: bench-growth
bench-growth: all
	@python3 bench/growth.py

# Where a replay with the pack spends its instructions: bench/results/flame-now.svg; under a minute.
.PHONY: bench-flame
bench-flame: all
	@python3 bench/flame.py now

bench-check: all $(BENCHES)
	@python3 bench/bench.py --check
