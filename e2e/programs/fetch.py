# Fetches each URL of its input by the client that its input names, and tells what came of it and how long that took. None of them is
# told of a proxy. Programs are started by this one, so that one clock measures all.
import json
import os
import subprocess
import sys
import time

given = json.load(sys.stdin)
CA = "/ca/ca.pem"


def urllib_(url):
    import ssl
    import urllib.request

    with urllib.request.urlopen(url, timeout=10, context=ssl.create_default_context(cafile=CA)) as answer:
        return answer.read().decode()


def requests_(url):
    import requests

    return requests.get(url, timeout=10, verify=CA).text


def program(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    if done.returncode:
        raise OSError(" ".join(done.stderr.split()))
    return done.stdout.strip()


def curl(url):
    return program("/usr/bin/curl", "--silent", "--show-error", "--max-time", "10", "--cacert", CA, url)


def git(url):
    os.environ.update({"GIT_SSL_CAINFO": CA, "GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0"})
    where = f"/work/clone-{time.monotonic_ns()}"
    program("/usr/bin/git", "clone", "--quiet", url, where)
    with open(f"{where}/greeting") as file:
        return file.read().strip()


def psql(url):
    # Nothing of the environment: no service file, no password file, no history.
    return program("/usr/lib/postgresql/bin/psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command", "select 6 * 7", url)


client = {"urllib": urllib_, "requests": requests_, "curl": curl, "git": git, "psql": psql}[given["client"]]
answers = []
for url in given["urls"]:
    times = []
    for _ in range(given.get("times", 1)):
        started = time.monotonic()
        try:
            answer = {"body": client(url)}
        except Exception as error:
            answer = {"error": str(error)}
        times.append(round((time.monotonic() - started) * 1000))
    answers.append({**answer, "millis": min(times)})
print(json.dumps(answers))
