# A real Apache Kafka for tests, without containers: see docker/kafka.py.
.PHONY: kafka test-kafka
kafka:
	@python3 docker/kafka.py fetch --version 3
	@python3 docker/kafka.py fetch --version 4

test-kafka:
	@python3 tests/run.py kafka
