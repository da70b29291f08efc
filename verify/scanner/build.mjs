// Makes dist/ from src/: `node build.mjs`. With --tests it makes build/*.test.js for
// `node --test` instead.
import { build } from "esbuild";
import { createHash } from "node:crypto";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
process.chdir(here);
const sha256 = (...parts) => parts.reduce((h, p) => h.update(p), createHash("sha256")).digest("hex");
const walk = (dir) =>
  readdirSync(dir, { withFileTypes: true })
    .flatMap((e) => (e.isDirectory() ? walk(join(dir, e.name)) : [join(dir, e.name)]))
    .sort();

const common = { bundle: true, format: "esm", target: "es2022", charset: "utf8", logLevel: "warning", legalComments: "none" };

if (process.argv.includes("--tests")) {
  rmSync("build", { recursive: true, force: true });
  await build({ ...common, entryPoints: walk("src").filter((f) => f.endsWith(".test.ts")), outdir: "build", platform: "node" });
  process.exit();
}

// What dist/ was made from. The same again needs no work.
const style = "../../internal/web/assets/signet.css";
const seal_ = "../../internal/web/assets/seal.svg";
const sources = [...walk("src").filter((f) => !f.endsWith(".test.ts")), style, seal_, "build.mjs", "package-lock.json"];
const stamp = sha256(...sources.flatMap((f) => [f, "\n", readFileSync(f)]));
if (existsSync("dist/.stamp") && existsSync("dist/index.html") && readFileSync("dist/.stamp", "utf8") === stamp) process.exit();

for (const name of readdirSync("dist")) if (name !== ".keep") rmSync(join("dist", name), { recursive: true });
mkdirSync("dist/assets", { recursive: true });

const hashed = (name, ext, body) => `assets/${name}-${sha256(body).slice(0, 12)}${ext}`;
const files = []; // what the service worker keeps
function put(path, body) {
  writeFileSync(join("dist", path), body);
  files.push(path);
  return path;
}

const wasm = readFileSync("node_modules/zxing-wasm/dist/reader/zxing_reader.wasm");
const wasmPath = put(hashed("zxing", ".wasm", wasm), wasm);
const seal = readFileSync(seal_);
const icon = put(hashed("icon", ".svg", seal), seal);

const options = { ...common, minify: true, outdir: "dist/assets", entryNames: "[name]-[hash]", chunkNames: "[name]-[hash]", assetNames: "[name]-[hash]", metafile: true };
const worker = await build({ ...options, entryPoints: ["src/decode.worker.ts"], define: { WASM: JSON.stringify("/verify/" + wasmPath) } });
const outputs = (result) => Object.entries(result.metafile.outputs).map(([path, o]) => [relative("dist", path), o.entryPoint]);
const decode = outputs(worker)[0][0];
const page = await build({
  ...options,
  splitting: true,
  entryPoints: ["src/app.ts", "src/core/index.ts", "src/app.css"],
  entryNames: "[name]-[hash]",
  define: { DECODER: JSON.stringify("/verify/" + decode) },
  external: ["*.svg"],
});
const made = outputs(page);
const of = (entry) => made.find(([, e]) => e === entry)[0];
files.push(decode, ...made.map(([path]) => path));

const manifest = {
  name: "Signet: check a permit 查验证照",
  short_name: "查验 Check",
  start_url: "/verify/",
  scope: "/verify/",
  display: "standalone",
  background_color: "#ffffff",
  theme_color: "#ffffff",
  icons: [{ src: "/verify/" + icon, sizes: "any", type: "image/svg+xml", purpose: "any" }],
};
put("app.webmanifest", JSON.stringify(manifest));
const index = readFileSync("src/index.html", "utf8").replace(/\{\{(\w+)\}\}/g, (_, name) => {
  const path = { app: of("src/app.ts"), style: of("src/app.css"), icon }[name];
  if (!path) throw new Error(`index.html asks for ${name}`);
  return "/verify/" + path;
});
put("index.html", index);

// The worker's own bytes change whenever any file does: browsers look for that.
const version = sha256(...files.flatMap((f) => [f, readFileSync(join("dist", f))])).slice(0, 16);
const kept = files.map((f) => (f === "index.html" ? "/verify/" : "/verify/" + f));
await build({ ...common, format: "iife", minify: true, entryPoints: ["src/sw.ts"], outfile: "dist/sw.js", define: { VERSION: JSON.stringify(version), FILES: JSON.stringify(kept) } });
// For the tests that hold the core against Go.
writeFileSync("dist/parts.json", JSON.stringify({ version, core: "/verify/" + of("src/core/index.ts") }) + "\n");
writeFileSync("dist/.stamp", stamp);
