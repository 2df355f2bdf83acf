# The demo: see docker/demo.sh.
.PHONY: demo up down packages
packages:
	@docker/packages.sh

demo: packages
	@$(MAKE) --no-print-directory -s -j$$(nproc) all
	@docker/demo.sh demo

up: packages
	@$(MAKE) --no-print-directory -s -j$$(nproc) all
	@docker/demo.sh up

down:
	@docker/demo.sh down
