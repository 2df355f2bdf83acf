/* Turns a payment into its legs: one for each account on either side, one for an account on both. */
package muster.peers;

import com.fasterxml.jackson.core.JsonFactory;
import com.fasterxml.jackson.core.JsonParser;
import com.fasterxml.jackson.core.JsonToken;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.math.BigDecimal;
import java.time.Instant;
import org.apache.kafka.streams.processor.api.ContextualProcessor;
import org.apache.kafka.streams.processor.api.Record;

final class Legs extends ContextualProcessor<byte[], byte[], String, byte[]> {
    private static final JsonFactory JSON = new JsonFactory();
    private String id, sender, receiver;
    private long timeMs, amount;

    @Override
    public void process(Record<byte[], byte[]> payment) {
        try (JsonParser parser = JSON.createParser(payment.value())) {
            id = sender = receiver = null;
            parser.nextToken();
            read(parser);
        } catch (IOException fault) {
            throw new UncheckedIOException(fault);
        }
        if (sender != null && sender.equals(receiver)) {
            send(payment, sender, sender, (byte) (Leg.IN | Leg.OUT));
            return;
        }
        if (sender != null)
            send(payment, sender, receiver, Leg.OUT);
        if (receiver != null)
            send(payment, receiver, sender, Leg.IN);
    }

    private void send(Record<byte[], byte[]> payment, String account, String other, byte flow) {
        context().forward(new Record<>(account, Leg.wire(timeMs, amount, Leg.number(other), flow, id), payment.timestamp()));
    }

    private void read(JsonParser parser) throws IOException {
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            String name = parser.currentName();
            JsonToken token = parser.nextToken();
            switch (name) {
                case "id" -> id = parser.getText();
                case "time" -> timeMs = Instant.parse(parser.getText()).toEpochMilli();
                case "amount" -> amount = new BigDecimal(parser.getText()).movePointRight(2).longValueExact();
                case "sender" -> sender = account(parser);
                case "receiver" -> receiver = account(parser);
                default -> {
                    if (token.isStructStart())
                        parser.skipChildren();
                }
            }
        }
    }

    private static String account(JsonParser parser) throws IOException {
        String account = null;
        while (parser.nextToken() == JsonToken.FIELD_NAME) {
            boolean wanted = parser.currentName().equals("account");
            parser.nextToken();
            if (wanted)
                account = parser.getText();
            else
                parser.skipChildren();
        }
        return account;
    }
}
