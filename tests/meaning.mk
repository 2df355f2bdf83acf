# Tests written in the rule language: the numbered meaning, the packs, the examples of rules/README.md.
.PHONY: test-meaning
test-meaning: $(OUT)/muster
	tests/meaning.sh $(OUT)/muster
