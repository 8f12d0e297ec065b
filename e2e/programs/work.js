// Honest work: files of a granted tree, threads, JSON, a timer, a program where processes are allowed, a result.
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const { Worker } = require("node:worker_threads");

const add = `
const { parentPort, workerData } = require("node:worker_threads");
parentPort.postMessage(workerData.reduce((sum, number) => sum + number, 0));
`;

function sum(numbers) {
  return new Promise((done, failed) => {
    const worker = new Worker(add, { eval: true, workerData: numbers, resourceLimits: { maxOldGenerationSizeMb: 16 } });
    worker.on("message", done);
    worker.on("error", failed);
  });
}

async function main() {
  const given = JSON.parse(fs.readFileSync(0, "utf8"));
  const numbers = JSON.parse(await fs.promises.readFile("/data/numbers.json", "utf8"));
  const parts = [0, 1].map((part) => numbers.filter((_, index) => index % 2 === part));
  const sums = await Promise.all(parts.map(sum));
  const started = performance.now();
  await new Promise((done) => setTimeout(done, 20));
  const result = {
    name: given.name,
    sum: sums[0] + sums[1],
    files: fs.readdirSync("/data").filter((name) => !name.startsWith(".")).sort(),
    timer: performance.now() - started >= 19,
  };
  if (given.writes) {
    await fs.promises.writeFile("/work/out.txt", "written");
    fs.renameSync("/work/out.txt", "/work/kept.txt");
    result.file = fs.readFileSync("/work/kept.txt", "utf8");
  }
  if (given.starts) result.child = execFileSync("/bin/busybox", ["echo", "hello"], { encoding: "utf8" }).trim();
  console.log(JSON.stringify(result));
}

main();
