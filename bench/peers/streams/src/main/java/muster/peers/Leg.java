/* One side of a payment as bytes: time, amount, the other account as a number, direction; on the wire the event's id behind it. */
package muster.peers;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;

final class Leg {
    static final int BYTES = 25;
    static final byte IN = 1, OUT = 2;

    private Leg() {
    }

    static byte[] wire(long timeMs, long amount, long other, byte flow, String id) {
        byte[] name = id.getBytes(StandardCharsets.UTF_8);
        return ByteBuffer.allocate(BYTES + name.length).putLong(timeMs).putLong(amount).putLong(other).put(flow).put(name).array();
    }

    static String id(byte[] wire) {
        return new String(wire, BYTES, wire.length - BYTES, StandardCharsets.UTF_8);
    }

    /** FNV-1a of 64 bits, never 0: 0 is cash. Two accounts would have to collide within one window to be taken for one. */
    static long number(String account) {
        if (account == null)
            return 0;
        long hash = 0xcbf29ce484222325L;
        for (int i = 0; i < account.length(); i++)
            hash = (hash ^ account.charAt(i)) * 0x100000001b3L;
        return hash == 0 ? 1 : hash;
    }
}
