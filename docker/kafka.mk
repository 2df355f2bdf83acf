# A real Apache Kafka without containers, fetched by Maven: see docker/kafka.py.
KAFKA_DIR ?= build/kafka/broker

.PHONY: kafka kafka-stop test-kafka
kafka:
	@address=$$(python3 docker/kafka.py start $(KAFKA_DIR)) || exit $$?; \
	 echo "Apache Kafka listens on $$address"; \
	 echo "  a topic:  python3 docker/kafka.py topic $(KAFKA_DIR) payments.a 3"; \
	 echo "  an end:   make kafka-stop (what it holds stays in $(KAFKA_DIR))"

kafka-stop:
	@python3 docker/kafka.py stop $(KAFKA_DIR) && echo "Stopped."

test-kafka: all
	@python3 tests/run.py kafka
