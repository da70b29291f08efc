import { prepareZXingModule, readBarcodes, type ReaderOptions } from "zxing-wasm/reader";
import type { Answer, Question } from "./decode.ts";

// Finds the codes in one picture. The page ends this worker when it takes too long.

declare const WASM: string;
declare const self: DedicatedWorkerGlobalScope;

prepareZXingModule({ overrides: { locateFile: (path: string, prefix: string) => (path.endsWith(".wasm") ? WASM : prefix + path) } });

const options: ReaderOptions = { formats: ["QRCode"], maxNumberOfSymbols: 16, textMode: "Plain", tryHarder: true, tryRotate: true, tryInvert: true, tryDownscale: true };
const small = 1600; // pixels on the longer side

async function codes(image: ImageData): Promise<string[]> {
  const found = await readBarcodes(image, options);
  return found.filter((f) => f.isValid).map((f) => f.text);
}

/** draw returns the picture on white paper, with its longer side at most that long. */
function draw(bitmap: ImageBitmap, longest: number): ImageData {
  const scale = Math.min(1, longest / Math.max(bitmap.width, bitmap.height));
  const width = Math.max(1, Math.round(bitmap.width * scale));
  const height = Math.max(1, Math.round(bitmap.height * scale));
  const c = new OffscreenCanvas(width, height).getContext("2d", { willReadFrequently: true })!;
  c.fillStyle = "#fff";
  c.fillRect(0, 0, width, height);
  c.drawImage(bitmap, 0, 0, width, height);
  return c.getImageData(0, 0, width, height);
}

async function answer(q: Question): Promise<Answer> {
  if (q.image) return { id: q.id, texts: await codes(q.image) };
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(q.file);
  } catch {
    return { id: q.id, texts: [], unreadable: true };
  }
  const texts = new Set(await codes(draw(bitmap, small)));
  // A large picture is looked at in full too: a small code on a large page needs it.
  if (Math.max(bitmap.width, bitmap.height) > small) for (const text of await codes(draw(bitmap, Infinity))) texts.add(text);
  bitmap.close();
  return { id: q.id, texts: [...texts] };
}

self.onmessage = async (e: MessageEvent<Question>) => {
  try {
    self.postMessage(await answer(e.data));
  } catch {
    self.postMessage({ id: e.data.id, texts: [], unreadable: true } satisfies Answer);
  }
};
