/* The rules of bench/peers/window as a Kafka Streams job: payments become legs, keyed by account; each account keeps its legs. */
package muster.peers;

import com.sun.management.OperatingSystemMXBean;
import java.io.PrintStream;
import java.lang.management.ManagementFactory;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.stream.Collectors;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsBuilder;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.kstream.Consumed;
import org.apache.kafka.streams.kstream.Produced;
import org.apache.kafka.streams.kstream.Repartitioned;
import org.apache.kafka.streams.state.Stores;

/** Usage: Job BROKERS NAME THREADS GUARANTEE PAYMENTS LEGS STATE_DIR HITS_FILE; ends when LEGS legs are judged.
 * Prints `seconds cpu_seconds legs_timed start_seconds`: the span begins when half is judged, so that the virtual machine is warm,
 * and ends a sixteenth before the last is, for the last wait up to half a second for a fetch; the start is from that of the virtual machine until the first leg is judged, and in no span. */
public final class Job {
    static final String STORE = "accounts";

    static Topology topology(String payments, String hits, int threads, Progress progress) {
        StreamsBuilder builder = new StreamsBuilder();
        builder.addStateStore(Stores.keyValueStoreBuilder(Stores.inMemoryKeyValueStore(STORE), Serdes.String(), Serdes.ByteArray())
            .withCachingEnabled().withLoggingEnabled(Map.of()));
        builder.stream(payments, Consumed.with(Serdes.ByteArray(), Serdes.ByteArray()))
            .process(Legs::new)
            .repartition(Repartitioned.<String, byte[]>as("legs").withKeySerde(Serdes.String()).withValueSerde(Serdes.ByteArray())
                .withNumberOfPartitions(threads))
            .process(() -> new Rules(progress), STORE)
            .to(hits, Produced.with(Serdes.String(), Serdes.String()));
        return builder.build();
    }

    static Properties settings(String brokers, String name, String threads, String guarantee, String state) {
        Properties set = new Properties();
        set.put(StreamsConfig.APPLICATION_ID_CONFIG, name);
        set.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        set.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, threads);
        set.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, guarantee);
        set.put(StreamsConfig.STATE_DIR_CONFIG, state);
        set.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, 256L << 20);
        set.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 10000);
        set.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        set.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, 1000);
        set.put(StreamsConfig.TOPOLOGY_OPTIMIZATION_CONFIG, StreamsConfig.OPTIMIZE);
        set.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        set.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 5000);
        set.put(StreamsConfig.consumerPrefix(ConsumerConfig.FETCH_MIN_BYTES_CONFIG), 1);
        set.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 256 << 10);
        set.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), 20);
        set.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        return set;
    }

    /** Writes what the job said of hits: `rule,event,account` a line. */
    static void copyHits(String brokers, String topic, String file) throws Exception {
        Properties set = new Properties();
        set.put(ConsumerConfig.BOOTSTRAP_SERVERS_CONFIG, brokers);
        set.put(ConsumerConfig.ISOLATION_LEVEL_CONFIG, "read_committed");
        set.put(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG, "earliest");
        try (KafkaConsumer<String, String> consumer = new KafkaConsumer<>(set, new StringDeserializer(), new StringDeserializer());
             PrintStream out = new PrintStream(file, StandardCharsets.UTF_8)) {
            List<TopicPartition> parts = consumer.partitionsFor(topic).stream()
                .map(info -> new TopicPartition(topic, info.partition())).collect(Collectors.toList());
            consumer.assign(parts);
            consumer.seekToBeginning(parts);
            Map<TopicPartition, Long> ends = consumer.endOffsets(parts);
            while (parts.stream().anyMatch(part -> consumer.position(part) < ends.get(part)))
                consumer.poll(Duration.ofMillis(200)).forEach(hit -> out.println(hit.value() + "," + hit.key()));
        }
    }

    /** Legs judged so far, by all threads; the clocks at the first and at the ends of the span. */
    static final class Progress {
        private final long legs;
        private final AtomicLong judged = new AtomicLong();
        private final CountDownLatch whole = new CountDownLatch(1);
        private volatile long firstMs, begunNs, endedNs, begunCpuNs, endedCpuNs;

        Progress(long legs) {
            this.legs = legs;
        }

        private static long cpuNs() {
            return ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getProcessCpuTime();
        }

        void add() {
            long now = judged.incrementAndGet();
            if (now == 1) {
                firstMs = System.currentTimeMillis();
            } else if (now == legs / 2) {
                begunNs = System.nanoTime();
                begunCpuNs = cpuNs();
            } else if (now == legs - legs / 16) {
                endedNs = System.nanoTime();
                endedCpuNs = cpuNs();
            } else if (now == legs) {
                whole.countDown();
            }
        }

        boolean await(long mostS) throws InterruptedException {
            return whole.await(mostS, TimeUnit.SECONDS);
        }

        String text() {
            long startMs = firstMs - ManagementFactory.getRuntimeMXBean().getStartTime();
            return String.format("%.3f %.3f %d %.3f", (endedNs - begunNs) / 1e9, (endedCpuNs - begunCpuNs) / 1e9, legs - legs / 16 - legs / 2, startMs / 1e3);
        }
    }

    public static void main(String[] words) throws Exception {
        String brokers = words[0], name = words[1], payments = words[4], hits = name + "-hits";
        Progress progress = new Progress(Long.parseLong(words[5]));
        KafkaStreams streams = new KafkaStreams(topology(payments, hits, Integer.parseInt(words[2]), progress),
            settings(brokers, name, words[2], words[3], words[6]));
        streams.setUncaughtExceptionHandler(fault -> {
            fault.printStackTrace();
            return org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        streams.start();
        boolean whole = progress.await(300);
        streams.close(Duration.ofSeconds(30));
        if (!whole) {
            System.err.println("not done after 300 s: " + progress.judged + " legs of " + words[5]);
            System.exit(3);
        }
        copyHits(brokers, hits, words[7]);
        System.out.println(progress.text());
    }
}
