// Fetches each URL of its input, and tells what came of it and how long that took. Nobody told it of a proxy.
const fs = require("node:fs");

async function main() {
  const given = JSON.parse(fs.readFileSync(0, "utf8"));
  const answers = [];
  for (const url of given.urls) {
    let millis = Infinity;
    let answer;
    for (let time = 0; time < given.times; time++) {
      const started = performance.now();
      try {
        const response = await fetch(url, { signal: AbortSignal.timeout(10_000) });
        answer = { body: await response.text() };
      } catch (error) {
        answer = { error: String(error.cause?.code ?? error.cause ?? error) };
      }
      millis = Math.min(millis, Math.round(performance.now() - started));
    }
    answers.push({ ...answer, millis });
  }
  console.log(JSON.stringify(answers));
}

main();
