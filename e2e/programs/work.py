# Honest work: files of a granted tree, threads, JSON, a timer, a program where processes are allowed, a result.
import json
import os
import subprocess
import sys
import threading
import time

given = json.load(sys.stdin)
with open("/data/numbers.json") as file:
    numbers = json.load(file)
sums = [0] * 4


def add(part):
    sums[part] = sum(numbers[part::4])


threads = [threading.Thread(target=add, args=(part,)) for part in range(4)]
for one in threads:
    one.start()
for one in threads:
    one.join()
fired = []
started = time.monotonic()
timer = threading.Timer(0.02, lambda: fired.append(time.monotonic() - started))
timer.start()
timer.join()
result = {
    "name": given["name"],
    "sum": sum(sums),
    "files": sorted(name for name in os.listdir("/data") if not name.startswith(".")),
    "timer": fired[0] >= 0.02,
}
if given["writes"]:
    with open("/work/out.txt", "w") as file:
        file.write("written")
    os.rename("/work/out.txt", "/work/kept.txt")
    with open("/work/kept.txt") as file:
        result["file"] = file.read()
if given["starts"]:
    result["child"] = subprocess.run(["/bin/busybox", "echo", "hello"], capture_output=True, text=True).stdout.strip()
print(json.dumps(result))
