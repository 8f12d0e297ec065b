import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.concurrent.Callable;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;
import java.util.stream.Collectors;
import java.util.stream.IntStream;

/** Honest work: files of a granted tree, threads, JSON, a timer, a program where processes are allowed, a result. */
public final class Work {
    private static String field(String json, String name) {
        var found = Pattern.compile("\"" + name + "\"\\s*:\\s*\"?([^\",}]*)").matcher(json);
        if (!found.find()) throw new IllegalArgumentException(name);
        return found.group(1);
    }

    public static void main(String[] arguments) throws Exception {
        var given = new String(System.in.readAllBytes());
        var text = Files.readString(Path.of("/data/numbers.json"));
        var numbers = Arrays.stream(text.replaceAll("[\\[\\]\\s]", "").split(",")).mapToInt(Integer::parseInt).toArray();
        var pool = Executors.newFixedThreadPool(4);
        var parts = IntStream.range(0, 4).<Callable<Integer>>mapToObj(part -> () -> {
            int sum = 0;
            for (int index = part; index < numbers.length; index += 4) sum += numbers[index];
            return sum;
        }).toList();
        int sum = 0;
        for (var part : pool.invokeAll(parts)) sum += part.get();
        pool.shutdown();

        var timer = Executors.newSingleThreadScheduledExecutor();
        long started = System.nanoTime();
        long waited = timer.schedule(() -> System.nanoTime() - started, 20, TimeUnit.MILLISECONDS).get();
        timer.shutdown();

        String files;
        try (var all = Files.list(Path.of("/data"))) {
            files = all.map(path -> path.getFileName().toString()).filter(name -> !name.startsWith(".")).sorted()
                .map(name -> "\"" + name + "\"").collect(Collectors.joining(","));
        }
        var result = new StringBuilder(String.format("{\"name\":\"%s\",\"sum\":%d,\"files\":[%s],\"timer\":%b",
            field(given, "name"), sum, files, waited >= 20_000_000));
        if (Boolean.parseBoolean(field(given, "writes"))) {
            Files.writeString(Path.of("/work/out.txt"), "written");
            Files.move(Path.of("/work/out.txt"), Path.of("/work/kept.txt"));
            result.append(",\"file\":\"").append(Files.readString(Path.of("/work/kept.txt"))).append('"');
        }
        if (Boolean.parseBoolean(field(given, "starts"))) {
            var child = new ProcessBuilder("/bin/busybox", "echo", "hello").start();
            result.append(",\"child\":\"").append(new String(child.getInputStream().readAllBytes()).strip()).append('"');
            if (child.waitFor() != 0) throw new IllegalStateException("the child failed");
        }
        System.out.println(result.append('}'));
    }
}
