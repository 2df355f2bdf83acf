/* Keeps each account's legs of the longest window and the allowed lateness, and asks the five rules at each leg. */
package muster.peers;

import java.nio.ByteBuffer;
import java.util.Arrays;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;
import org.apache.kafka.streams.state.KeyValueStore;

final class Rules extends ContextualProcessor<String, byte[], String, String> {
    private static final long HOUR_MS = 3_600_000, SMALL = 300_00;
    private static final long KEPT_MS = (96 + 24) * HOUR_MS;

    private final Job.Progress progress;
    private KeyValueStore<String, byte[]> accounts;
    private long[] seen = new long[1024];

    Rules(Job.Progress progress) {
        this.progress = progress;
    }

    @Override
    public void init(ProcessorContext<String, String> context) {
        super.init(context);
        accounts = context.getStateStore(Job.STORE);
    }

    @Override
    public void process(Record<String, byte[]> leg) {
        byte[] kept = append(accounts.get(leg.key()), leg.value());
        accounts.put(leg.key(), kept);
        judge(leg, ByteBuffer.wrap(kept));
        progress.add();
    }

    /** The account's legs with this one behind them, without those that no window can reach any more. */
    private static byte[] append(byte[] before, byte[] leg) {
        if (before == null)
            return Arrays.copyOf(leg, Leg.BYTES);
        ByteBuffer old = ByteBuffer.wrap(before);
        long newest = ByteBuffer.wrap(leg).getLong(0);
        for (int at = 0; at < before.length; at += Leg.BYTES)
            newest = Math.max(newest, old.getLong(at));
        int from = 0;  // legs lie in order of arrival; the first that is still wanted ends the cut
        while (from < before.length && old.getLong(from) <= newest - KEPT_MS)
            from += Leg.BYTES;
        byte[] after = new byte[before.length - from + Leg.BYTES];
        System.arraycopy(before, from, after, 0, before.length - from);
        System.arraycopy(leg, 0, after, before.length - from, Leg.BYTES);
        return after;
    }

    private void judge(Record<String, byte[]> leg, ByteBuffer legs) {
        int last = legs.limit() - Leg.BYTES;
        byte flow = legs.get(last + 24);
        boolean in = (flow & Leg.IN) != 0, out = (flow & Leg.OUT) != 0, small = in && legs.getLong(last + 8) < SMALL;
        long tIn = 0, tOut = 0, tSmall = 0, tAny = 0;  // the rules' clocks
        for (int at = 0; at <= last; at += Leg.BYTES) {
            long t = legs.getLong(at);
            tAny = Math.max(tAny, t);
            if ((legs.get(at + 24) & Leg.OUT) != 0)
                tOut = Math.max(tOut, t);
            if ((legs.get(at + 24) & Leg.IN) != 0) {
                tIn = Math.max(tIn, t);
                if (legs.getLong(at + 8) < SMALL)
                    tSmall = Math.max(tSmall, t);
            }
        }
        long credits = 0, pooled = 0, large = 0, came = 0, went = 0;
        for (int at = 0; at <= last; at += Leg.BYTES) {
            long t = legs.getLong(at), amount = legs.getLong(at + 8);
            if ((legs.get(at + 24) & Leg.IN) != 0) {
                came += t > tAny - 72 * HOUR_MS ? amount : 0;
                if (amount < SMALL && t > tSmall - 24 * HOUR_MS) {
                    credits++;
                    pooled += amount;
                }
            }
            if ((legs.get(at + 24) & Leg.OUT) != 0) {
                went += t > tAny - 72 * HOUR_MS ? amount : 0;
                large += t > tOut - 24 * HOUR_MS ? amount : 0;
            }
        }
        if (in && distinct(legs, Leg.IN, tIn - 96 * HOUR_MS) >= 137)
            hit(leg, "FAN-IN");
        if (out && distinct(legs, Leg.OUT, tOut - 96 * HOUR_MS) >= 55)
            hit(leg, "FAN-OUT");
        if (small && credits >= 42 && pooled >= 1_500_00)
            hit(leg, "SMALL-IN");
        if (out && large >= 8_500_00)
            hit(leg, "LARGE-OUT");
        if (came >= 5_000_00 && went * 100 >= came * 80)
            hit(leg, "PASS");
    }

    /** Different other accounts of the legs of one direction after a moment. */
    private int distinct(ByteBuffer legs, byte flow, long after) {
        int size = Integer.highestOneBit(legs.limit() / Leg.BYTES) * 4, mask = size - 1, count = 0;
        if (seen.length < size)
            seen = new long[size];
        Arrays.fill(seen, 0, size, 0);
        for (int at = 0; at < legs.limit(); at += Leg.BYTES) {
            long other = legs.getLong(at + 16);
            if (other == 0 || (legs.get(at + 24) & flow) == 0 || legs.getLong(at) <= after)
                continue;
            int slot = (int) (other ^ other >>> 32) & mask;
            while (seen[slot] != 0 && seen[slot] != other)
                slot = slot + 1 & mask;
            if (seen[slot] == 0) {
                seen[slot] = other;
                count++;
            }
        }
        return count;
    }

    private void hit(Record<String, byte[]> leg, String rule) {
        context().forward(new Record<>(leg.key(), rule + "," + Leg.id(leg.value()), leg.timestamp()));
    }
}
