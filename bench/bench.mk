# Benchmarks: bench/bench.py drives the programs of bench/main and the muster binary.
BENCHES := $(patsubst %.c,$(OUT)/%,$(wildcard bench/main/*.c))

$(OUT)/bench/main/%: $(OUT)/bench/main/%.o $(OUT)/libmuster.a
	$(call say,LINK,$@)
	$(Q)$(CXX) $(LDFLAGS) -rdynamic -o $@ $^ $(LDLIBS)

# PARTS=replay,latency: only these are measured anew (bench/bench.py --list names all).
.PHONY: bench bench-check bench-accept bench-growth
bench: all $(BENCHES)
	@python3 bench/bench.py --only "$(PARTS)"

# What each graph operator finds of published laundering attempts; minutes. MUSTER_AML_DATA names the folder of the sets.
.PHONY: bench-aml
bench-aml: all
	@python3 bench/aml/aml.py

# What TRN-02 finds of planted ransom, and of look-alikes: bench/results/ransom.md; half a minute.
.PHONY: bench-ransom
bench-ransom: all
	@python3 bench/ransom/ransom.py

# Muster beside a PostgreSQL function, Kafka Streams and snapml; some ten minutes.
.PHONY: bench-peers
bench-peers: all
	@python3 bench/peers/peers.py --events 300000 --write

# Where a replay with the pack spends its instructions: bench/results/flame-now.svg; under a minute.
.PHONY: bench-flame
bench-flame: all
	@python3 bench/flame.py now

# Gates on instruction counts and on ratios within one run.
bench-check: all $(BENCHES)
	@python3 bench/bench.py --check

# The instructions that are counted now become what bench-check holds later ones against.
bench-accept: all
	@python3 bench/bench.py --accept

# The same stream against 25, 250 and 1,500 rules; minutes.
bench-growth: all
	@python3 bench/growth.py
