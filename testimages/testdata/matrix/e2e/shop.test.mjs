// Tests the shop's containers from outside.
import assert from "node:assert";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";

const [command, ...words] = process.env.SHOP_RUN.split(" ");
const tag = process.env.SHOP_TAG;

function run(...args) {
  return spawn(command, [...words, ...args], { stdio: ["ignore", "pipe", "inherit"] });
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}

test("catalog", { timeout: 60_000 }, async () => {
  const port = await freePort();
  const service = run("--network=host", "--env", `PORT=${port}`, `shop/catalog:${tag}`);
  const url = `http://127.0.0.1:${port}`;
  try {
    while (!(await fetch(`${url}/health`).then((answer) => answer.ok, () => false))) await pause(100);
    for (const [name, status] of [["tea", 200], ["cup", 200], ["pot", 404]]) {
      assert.equal((await fetch(`${url}/products/${name}`)).status, status);
    }
  } finally {
    service.kill("SIGTERM");
    await once(service, "exit");
  }
});

test("nightly", async () => {
  const batch = run("--network=none", `shop/nightly:${tag}`, "2026-11-24");
  let out = "";
  batch.stdout.on("data", (text) => (out += text));
  await once(batch, "close");
  assert.deepEqual(JSON.parse(out).cents, { north: 1050, south: 1050 });
});
