# Integration tests that are C programs: build/VARIANT/tests/integration/NAME.
$(OUT)/tests/integration/%: $(OUT)/tests/integration/%.o $(OUT)/libmuster.a
	$(CXX) $(LDFLAGS) -rdynamic -o $@ $^ $(LDLIBS)
