import java.io.FileInputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.security.KeyStore;
import java.security.cert.CertificateFactory;
import java.time.Duration;
import java.util.ArrayList;
import java.util.regex.Pattern;
import javax.net.ssl.SSLContext;
import javax.net.ssl.TrustManagerFactory;

/** Fetches each URL of its input, and tells what came of it and how long that took. Nobody told it of a proxy. */
public final class Fetch {
    private static String quoted(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", " ") + '"';
    }

    public static void main(String[] arguments) throws Exception {
        var given = new String(System.in.readAllBytes());
        var times = Pattern.compile("\"times\"\\s*:\\s*(\\d+)").matcher(given);
        if (!times.find()) throw new IllegalArgumentException("times");
        var store = KeyStore.getInstance(KeyStore.getDefaultType());
        store.load(null);
        try (var file = new FileInputStream("/ca/ca.pem")) {
            store.setCertificateEntry("ca", CertificateFactory.getInstance("X.509").generateCertificate(file));
        }
        var trust = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
        trust.init(store);
        var tls = SSLContext.getInstance("TLS");
        tls.init(null, trust.getTrustManagers(), null);
        var client = HttpClient.newBuilder().sslContext(tls).version(HttpClient.Version.HTTP_1_1)
            .connectTimeout(Duration.ofSeconds(10)).build();

        var answers = new ArrayList<String>();
        var urls = Pattern.compile("\"(https?://[^\"]*)\"").matcher(given);
        while (urls.find()) {
            long millis = Long.MAX_VALUE;
            String answer = "";
            for (int time = 0; time < Integer.parseInt(times.group(1)); time++) {
                long started = System.nanoTime();
                try {
                    var request = HttpRequest.newBuilder(URI.create(urls.group(1))).timeout(Duration.ofSeconds(10)).build();
                    answer = "\"body\":" + quoted(client.send(request, BodyHandlers.ofString()).body());
                } catch (Exception error) {
                    Throwable cause = error;
                    while (cause.getCause() != null) cause = cause.getCause();
                    answer = "\"error\":" + quoted(cause.toString());
                }
                millis = Math.min(millis, (System.nanoTime() - started) / 1_000_000);
            }
            answers.add("{" + answer + ",\"millis\":" + millis + "}");
        }
        System.out.println("[" + String.join(",", answers) + "]");
    }
}
