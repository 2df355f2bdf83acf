# Integration tests that are C programs: build/VARIANT/tests/integration/NAME.
INTEGRATE := $(patsubst %.c,$(OUT)/%,$(wildcard tests/integration/*.c))

$(OUT)/tests/integration/%: $(OUT)/tests/integration/%.o $(OUT)/libmuster.a
	$(call say,LINK,$@)
	$(Q)$(CXX) $(LDFLAGS) -rdynamic -o $@ $^ $(LDLIBS)

# ThreadSanitizer must see librdkafka's locks.
ifeq ($(VARIANT),tsan)
$(INTEGRATE) $(OUT)/muster: $(OUT)/tests/tsan_shim.o
endif
